"""Sweeps: a step whose parameters take several values, as one more axis of what it gives.

The axis is called ``step.parameter``. Each swept parameter adds one, so that several make a grid. Steps before the
swept one run once; steps behind it work on every value, because the axis is free for them.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from types import new_class
from typing import Any, ClassVar, cast

import numpy as np

from .arrays import Array
from .axes import Signature
from .chunk import Scan, Stream
from .errors import FirstlightError
from .held import Held
from .operator import Operator
from .step import DESCRIBED, Step

MOST = 4096
"""Values of one sweep, all combinations counted: more are a slip of the keyboard."""

_WITHOUT_STEP = re.compile(r"[-+.\d\s]+:[-+.\d\s]+")
"""Two numbers of a range whose step was forgotten."""

Values = tuple[Any, ...]

turn: ContextVar[Callable[[int], None]] = ContextVar("turn", default=lambda done: None)
"""Called before each value has its turn, with the number of those that had theirs; what it raises ends the sweep there."""


def sweep_values(given: Any) -> Values:
    """The values of a sweep: a list, or ``start:stop:step`` with both ends included.

    Raises:
        FirstlightError: It is neither, or it has too many values.
    """
    if isinstance(given, str) and (given.count(":") == 2 or _WITHOUT_STEP.fullmatch(given)):
        return _range(given)
    if isinstance(given, str):
        given = [text.strip() for text in given.split(",") if text.strip()]
    if not isinstance(given, list | tuple) or not given:
        raise FirstlightError(
            "The sweep has no values.", field="sweep", value=given, expected="a list, or start:stop:step"
        )
    values = tuple(_number(value) if isinstance(value, str) else value for value in cast("Sequence[Any]", given))
    if len(values) > MOST:
        raise FirstlightError(
            "The sweep has too many values.", field="sweep", value=len(values), expected=f"at most {MOST}"
        )
    return values


def _number(text: str) -> Any:
    """A number where the text is one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _range(text: str) -> Values:
    try:
        start, stop, step = (float(part) for part in text.split(":"))
    except ValueError:
        start = stop = step = math.nan
    count = (stop - start) / step if step else math.nan
    if not math.isfinite(count) or count < 0:
        raise FirstlightError(
            "The range of the sweep is not understood.",
            field="sweep",
            value=text,
            expected="start:stop:step of numbers, with a step that leads from start to stop, such as 500:520:0.5",
        )
    if count >= MOST:
        raise FirstlightError("The sweep has too many values.", field="sweep", value=text, expected=f"at most {MOST}")
    whole = all(part.strip().lstrip("+-").isdigit() for part in text.split(":"))
    # what a person writes in decimals is meant in decimals: 0.1 + 2 × 0.1 is 0.3
    values = [round(start + number * step, 12) for number in range(int(count + 1e-9) + 1)]
    return tuple(int(value) for value in values) if whole else tuple(values)


class Sweeping(Operator):
    """What a swept step adds to the step that it sweeps; made with `swept`."""

    sweeps: ClassVar[Mapping[str, Values]] = {}
    """By parameter: its values."""
    swept_kind: ClassVar[type[Operator]] = Operator
    """The step that is swept."""
    swept_name: ClassVar[str] = ""
    """The name of the step, by which its axes are called."""

    @property
    def variants(self) -> list[Any]:
        """The step with every combination of values, the last parameter changing fastest."""
        names = list(self.sweeps)
        return [
            plain(self).model_copy(update=dict(zip(names, values, strict=True)))
            for values in itertools.product(*self.sweeps.values())
        ]

    def run(self, *arrays: Array | Held, device: str = "cpu", **coordinates: Array) -> Any:
        """Apply the body with every combination, and put the results side by side."""
        shape = tuple(len(values) for values in self.sweeps.values())
        results: list[dict[str, Array]] = []
        for done, each in enumerate(self.variants):
            turn.get()(done)
            results.append(by_name(self.signature, each.run(*arrays, device=device, **coordinates)))
        found: dict[str, Array] = {}
        for name in self.signature.outputs:
            stacked = np.stack([result[name] for result in results], axis=1)
            found[name] = stacked.reshape(len(stacked), *shape, *stacked.shape[2:])
        return found

    def prepare(self, scan: Scan) -> None:
        """Prepare every variant."""
        for each in self.variants:
            each.prepare(scan)

    def sizes(self, known: Mapping[str, int | None], scan: Scan) -> Mapping[str, int | None]:
        """Lengths of the axes; the same for every value.

        Raises:
            FirstlightError: The swept parameter changes them.
        """
        found = [dict(each.sizes(known, scan)) for each in self.variants]
        if any(sizes != found[0] for sizes in found):
            raise FirstlightError(
                f"The sizes that '{self.use}' gives depend on what is swept.",
                field="sweep",
                value=", ".join(self.sweeps),
                next_move="Sweep another parameter, or run the job once for each value.",
            )
        return {**found[0], **{f"{self.swept_name}.{name}": len(values) for name, values in self.sweeps.items()}}

    def _after(self, scan: Scan, along: str | None) -> dict[str, Stream]:
        marks = {f"{self.swept_name}.{name}": values for name, values in self.sweeps.items()}
        return {
            name: replace(stream, marks={**stream.marks, **marks})
            for name, stream in super()._after(scan, along).items()
        }

    def halo(self) -> dict[str, int]:
        """The widest halo of all values."""
        found = [each.halo() for each in self.variants]
        return {axis: max(halo.get(axis, 0) for halo in found) for axis in {axis for halo in found for axis in halo}}

    def workspace(self, scan: Scan, frames: int) -> int:
        """That of the value that needs most: they take their turns."""
        return max(each.workspace(scan, frames) for each in self.variants)

    def close(self) -> None:
        """Close every variant."""
        for each in self.variants:
            each.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the step that is swept, and the values."""
        return (swept, (plain(self), self.swept_name, dict(self.sweeps)))


def by_name(signature: Signature, result: Any) -> dict[str, Array]:
    """What a body returned, by output."""
    if isinstance(result, Mapping):
        return {name: np.asarray(array) for name, array in cast("Mapping[str, Array]", result).items()}
    arrays = cast("tuple[Array, ...]", result) if isinstance(result, tuple) else (result,)
    return dict(zip(signature.outputs, map(np.asarray, arrays), strict=True))


def plain(step: Operator) -> Operator:
    """The step without its sweep."""
    if not isinstance(step, Sweeping):
        return step
    kind: type[Operator] = type(step).swept_kind
    values = {name: getattr(step, name) for name in kind.model_fields}
    return kind.model_construct(step.model_fields_set, **values)


def swept(step: Step, name: str, sweeps: Mapping[str, Values]) -> Step:
    """A step that works with several values of some parameters.

    Args:
        step: The step, with the first value of each.
        name: Its name in the pipeline.
        sweeps: By parameter: the values, each checked by the parameter's type.

    Raises:
        FirstlightError: The step adds frames up or rearranges them, or there are too many combinations.
        ValidationError: The parameter does not take a value.
    """
    if not isinstance(step, Operator):
        raise FirstlightError(
            f"'{step.use}' works on the whole scan at once, so that its parameters can not be swept.",
            field="sweep",
            value=", ".join(sweeps),
            next_move="Sweep a parameter of a step that works block by block, such as fbp.center; in place of general_backproject "
            "take backproject_volume.",
        )
    count = math.prod(len(values) for values in sweeps.values())
    if count > MOST:
        raise FirstlightError(
            "The sweeps have too many combinations.", field="sweep", value=count, expected=f"at most {MOST}"
        )
    kind = type(step)
    checked = {
        parameter: tuple(
            getattr(kind.model_validate({**step.model_dump(), parameter: value}), parameter) for value in values
        )
        for parameter, values in sweeps.items()
    }
    labels = tuple(f"{name}.{parameter}" for parameter in checked)
    outputs = {
        output: replace(pattern, whole=(*labels, *pattern.whole)) for output, pattern in step.signature.outputs.items()
    }
    body: dict[str, Any] = {
        "__module__": kind.__module__,
        "__doc__": kind.__doc__,
        "sweeps": checked,
        "swept_kind": kind,
        "swept_name": name,
        "scalar": None,
        "signature": replace(step.signature, outputs=outputs),
    }
    made: Any = new_class(kind.__name__, (Sweeping, kind), dict(DESCRIBED), lambda space: space.update(body))
    return made(**step.model_dump(exclude_unset=True))
