"""A function of an installed package as a step."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import nullcontext
from functools import cached_property, lru_cache
from typing import Annotated, Any, ClassVar, cast

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from firstlight.core.arrays import Array
from firstlight.core.axes import Signature, parse_signature
from firstlight.core.chunk import Scan
from firstlight.core.errors import AxesError, FirstlightError
from firstlight.core.operator import Operator

from .function import Function, find_function

_ALONE = threading.Lock()
_read_signature = lru_cache(maxsize=256)(parse_signature)


def _checked_axes(text: str) -> str:
    """Refuse axes that a plain function can not be given.

    Raises:
        AxesError: They are no signature, have several inputs, or pieces.
    """
    signature = _read_signature(text)
    first = signature.first
    if len(signature.inputs) > 1 or first.pieces or any(isinstance(n, str) for n in first.halo.values()):
        raise AxesError(
            "A function is called with one array, whole.",
            field="axes",
            value=text,
            expected="one input without brackets, and halos as numbers, such as 'row~2 col -> row col'",
        )
    return text


class Call(Operator):
    """Call a function of an installed package, such as ``scipy.ndimage.gaussian_filter``, on each block of the data.

    `axes` says what the function gets: with ``row col -> row col`` each frame, with ``angle col -> angle col`` each sinogram,
    with ``angle row col -> angle row col`` the complete scan as one array, with ``->`` values of any shape. Keys of the step
    that are no parameters of `call` become arguments of the function; they are checked against its signature before
    the first frame. The function gets an array of its own, which it may change. It runs with all rights of the user:
    jobs that came over the network may not use this step.
    """

    use: ClassVar[str] = "call"
    runs_code: ClassVar[bool] = True
    sentence: ClassVar[str] = "The function {function} was applied with {given}."

    function: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$", max_length=200)]
    """Name of the function with its package, such as scipy.ndimage.gaussian_filter."""
    axes: Annotated[str, Field(max_length=200), AfterValidator(_checked_axes)] = "row col -> row col"
    """What the function gets and gives, in axis labels."""
    given: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the function; further keys of the step are added to them."""
    data: str | None = None
    """Name of the argument that takes the data; by default the first one."""
    angles: str | None = None
    """Name of the argument that takes the angle of each projection, in radian; by default none does."""
    center: Annotated[float, Field(ge=-1e6, le=1e6)] | None = None
    """Column of the rotation axis, for a function with an argument of that name; another step may find it."""
    lengths: dict[str, Annotated[int, Field(ge=1)] | str] = Field(default_factory=dict)
    """Lengths of axes that the function makes or changes: a number, or the name of an axis that is as long."""
    type: Annotated[str, Field(pattern=r"^(float32|float64|u?int(8|16|32|64)|complex64|bool)$")] = "float32"
    """Type of the values that come out."""
    alone: bool = False
    """True for a function that can not run in several threads at once."""

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: Any) -> Any:
        """Put the keys that are no parameters of this step into `given`."""
        if not isinstance(given, Mapping):
            return given
        values = dict(cast("Mapping[str, Any]", given))
        more = {name: values.pop(name) for name in list(values) if name not in cls.model_fields}
        told = values.get("given", {})
        if not more or not isinstance(told, Mapping):
            return values
        return {**values, "given": {**cast("Mapping[str, Any]", told), **more}}

    @property
    def signature(self) -> Signature:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The axes as they were given."""
        return _read_signature(self.axes)

    @property
    def coordinates(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The angles, if an argument takes them."""
        return ("angle",) if self.angles else ()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by values."""
        return (_make, (self.model_dump(),))

    def sizes(self, known: Mapping[str, int | None], scan: Scan) -> Mapping[str, int | None]:
        """Lengths of the axes that the function makes; looks at the function on the way, before the first frame.

        Raises:
            FirstlightError: The function does not exist or does not take these arguments, or a length is not known.
        """
        _ = self.loaded
        found: dict[str, int | None] = {}
        for pattern in self.signature.outputs.values():
            for label in pattern.whole:
                found[label] = self._length(label, known)
        return found

    def _length(self, label: str, known: Mapping[str, int | None]) -> int | None:
        told = self.lengths.get(label, label)
        if isinstance(told, int):
            return told
        if told not in known:
            raise AxesError(
                f"The length of axis '{label}', which '{self.function}' makes, is not known.",
                field="lengths",
                value=dict(self.lengths),
                expected=f"a number, or one of {', '.join(known)}, such as 'lengths: {{{label}: {next(iter(known), 100)}}}'",
            )
        return known[told]

    def dtype(self, given: str) -> str:
        """As the user wants it."""
        return self.type

    @cached_property
    def loaded(self) -> Function:
        """The function, imported and compared with the arguments when it is first asked for.

        Raises:
            FirstlightError: It does not exist, or does not take these arguments.
        """
        return find_function(self.function, self.given, data=self.data, angles=self.angles)

    def prepare(self, scan: Scan) -> None:
        """Load the function."""
        _ = self.loaded

    def run(self, *arrays: Any, device: str = "cpu", **coordinates: Array) -> Any:
        """Call the function once for each block (once for all values where it needs no axis)."""
        frames = np.asarray(arrays[0])
        if not self.signature.first.whole:
            return self._outputs(self._once(frames, coordinates), frames.shape)[0]
        blocks = [self._outputs(self._once(block, coordinates), block.shape) for block in frames]
        return {
            name: np.stack(each) for name, each in zip(self.signature.outputs, zip(*blocks, strict=True), strict=True)
        }

    def _once(self, block: Array, coordinates: Mapping[str, Array]) -> Any:
        own = np.array(block, order="C")
        angles = np.deg2rad(coordinates["angle"]) if self.angles and "angle" in coordinates else None
        with _ALONE if self.alone else nullcontext():
            return self.loaded(own, angles, self.center)

    def _outputs(self, found: Any, shape: tuple[int, ...]) -> list[Array]:
        """What one call gave of a block of a shape, by output, of the type that was announced.

        Raises:
            FirstlightError: The function gave something else.
        """
        outputs = self.signature.outputs
        several = cast("tuple[Any, ...]", found) if isinstance(found, tuple) and len(outputs) > 1 else (found,)
        results: list[Array] = []
        for place, name in enumerate(outputs):
            given, wanted = np.asarray(several[place] if place < len(several) else None), self._shape(name, shape)
            fits = given.ndim == len(wanted) and all(n in (m, None) for n, m in zip(wanted, given.shape, strict=True))
            if given.dtype.kind not in "biufc" or not fits:
                labels = outputs[name].whole or ("value",) * len(wanted)
                along = ", ".join(
                    label if n is None else f"{n} {label}" for label, n in zip(labels, wanted, strict=True)
                )
                raise FirstlightError(
                    f"'{self.function}' did not give what its axes announce.",
                    field="axes",
                    value=self.axes,
                    expected=f"numbers along ({along}) for '{name}', not {given.dtype} of shape {given.shape}",
                    next_move="Tell the lengths that it makes by 'lengths'." if given.ndim == len(wanted) else None,
                )
            results.append(given.astype(self.type, copy=False))
        return results

    def _shape(self, output: str, block: tuple[int, ...]) -> tuple[int | None, ...]:
        """The shape of an output of a block; None for a length that the block does not tell."""
        whole = self.signature.first.whole
        if not whole:
            return block
        known: Mapping[str | int, int] = dict(zip(whole, block, strict=True))
        told = (self.lengths.get(label, label) for label in self.signature.outputs[output].whole)
        return tuple(length if isinstance(length, int) else known.get(length) for length in told)


def _make(values: dict[str, Any]) -> Call:
    return Call(**values)
