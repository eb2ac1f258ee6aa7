"""Operators: plain functions on arrays that become steps.

Positional arguments are data, keyword-only arguments are parameters. The decorated name stays the function:
``paganin(frames, energy=25)`` computes, ``paganin(energy=25)`` makes a step.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Self, cast, get_args, get_type_hints

from pydantic import Field, create_model
from pydantic.fields import FieldInfo

from .arrays import Array
from .axes import parse_signature
from .chunk import Scan
from .errors import FirstlightError
from .held import Held
from .step import DESCRIBED, Step
from .units import Quantity

Body = Callable[..., Any]

_COORDINATE = "coordinate of the scan"

Coordinate = Annotated["Array | None", _COORDINATE]
"""Annotates a keyword-only argument that is no parameter: the runner fills in the scan's coordinate of that name,
one value per position along its axis, such as ``angle`` in degree."""


class Operator(Step):
    """A step without memory: each block of frames gives its own result."""

    bodies: ClassVar[Mapping[str, Body]] = {}
    """One function per device; ``cpu`` is always there."""
    proven: ClassVar[frozenset[str]] = frozenset()
    """Devices whose body has been tried on a real one, not only in a simulator: a job that leaves the choice to us uses these."""
    scalar: ClassVar[Any] = None
    """A function of one pixel (``kernels.elementwise.ScalarBody``), by which chains of element-wise steps are fused."""
    wants_held: ClassVar[frozenset[str]] = frozenset()
    """Data arguments whose body interpolates, and so gets every version instead of the one that applies."""
    coordinates: ClassVar[tuple[str, ...]] = ()
    """Coordinates of the scan that the body asks for."""
    hooks: ClassVar[Mapping[str, Callable[..., Any]]] = {}

    def run(self, *arrays: Array | Held, device: str = "cpu", **coordinates: Array) -> Any:
        """Apply the body to arrays whose first dimension counts blocks."""
        return self.bodies[device](*arrays, **self.parameters(), **coordinates)

    def parameters(self) -> dict[str, Any]:
        """The fields by name, as Python values."""
        return {name: getattr(self, name) for name in type(self).model_fields}

    def prepare(self, scan: Scan) -> None:
        """Do once, before the first block, what all blocks share (plans, tables)."""
        if "prepare" in self.hooks:
            self.hooks["prepare"](self, scan)

    def close(self) -> None:
        """Give back what `prepare` took."""
        if "close" in self.hooks:
            self.hooks["close"](self)

    def sizes(self, known: Mapping[str, int | None], scan: Scan) -> Mapping[str, int | None]:
        """Lengths of the axes that this step makes or changes."""
        return self.hooks["sizes"](self, known) if "sizes" in self.hooks else {}

    def dtype(self, given: str) -> str:
        """Type of the values that come out."""
        return self.hooks["dtype"](self, given) if "dtype" in self.hooks else "float32"

    def unit(self, scan: Scan) -> str | None:
        """Unit of the values that come out."""
        return self.hooks["unit"](self, scan) if "unit" in self.hooks else None

    def units(self, scan: Scan) -> Mapping[str, str | None]:
        """Units of those outputs that have another than `unit`, by output."""
        return self.hooks["units"](self, scan) if "units" in self.hooks else {}

    def halo(self) -> dict[str, int]:
        """Neighbours needed on each side, per axis."""
        return self.hooks["halo"](self) if "halo" in self.hooks else super().halo()

    def block(self) -> int:
        """How many blocks at once this step works fastest on."""
        return self.hooks["block"](self) if "block" in self.hooks else 1

    def workspace(self, scan: Scan, frames: int) -> int:
        """Extra memory in byte for a block of so many frames."""
        return self.hooks["workspace"](self, scan, frames) if "workspace" in self.hooks else 0

    def device_workspace(self, scan: Scan, frames: int) -> int | None:
        """Extra memory in byte on a device for a block of so many frames; None where the step does not say."""
        return self.hooks["device_workspace"](self, scan, frames) if "device_workspace" in self.hooks else None

    def shared(self, scan: Scan) -> int:
        """Memory in byte of what all threads use together, such as tables."""
        return self.hooks["shared"](self, scan) if "shared" in self.hooks else 0

    def calibrated(self, scan: Scan) -> Self:
        """This step with the parameters that it takes from the scan (pixel size, energy) where the user gave none."""
        return self.hooks["calibrate"](self, scan) if "calibrate" in self.hooks else self

    def calibration(self, scan: Scan) -> Mapping[str, Quantity]:
        """The calibration of what comes out."""
        return self.hooks["calibration"](self, scan) if "calibration" in self.hooks else super().calibration(scan)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by reference to the decorated function, plus values."""
        return (_restore, (type(self).__module__, type(self).__qualname__, self.model_dump()))


def _restore(module: str, name: str, values: dict[str, Any]) -> Operator:
    __import__(module)
    found: Any = sys.modules[module]
    for part in name.split("."):
        found = getattr(found, part)
    return cast("OperatorFunction", found).step(**values)


class OperatorFunction:
    """The decorated function: call it with arrays to compute, without to make a step."""

    def __init__(self, body: Body, step: type[Operator]) -> None:
        """Keep the function, and the model made of its signature."""
        self.__wrapped__ = body
        self.__doc__ = body.__doc__
        self.__name__ = body.__name__
        self.__qualname__ = body.__qualname__
        self.__module__ = body.__module__
        self.step = step

    def __call__(self, *arrays: Array | Held, **parameters: Any) -> Any:
        """Compute on arrays (first dimension counts frames), or make a step of the parameters."""
        if not arrays:
            return self.step(**parameters)
        return self.__wrapped__(*arrays, **parameters)

    def _hook(self, name: str) -> Callable[[Body], Body]:
        def register(function: Body) -> Body:
            self.step.hooks = {**self.step.hooks, name: function}
            return function

        return register

    def hook(self, name: str) -> Callable[[Body], Body]:
        """Register a function beside the body.

        One of ``sizes(step, known)``, ``dtype(step, given)``, ``unit(step, scan)``, ``units(step, scan)`` (of outputs
        that have another unit), ``halo(step)``, ``prepare(step, scan)``, ``close(step)``,
        ``workspace(step, scan, frames)``, ``device_workspace(step, scan, frames)`` (byte beyond input and output on a device),
        ``shared(step, scan)``, ``block(step)``, ``calibrate(step, scan)`` (fills parameters from the scan) and
        ``calibration(step, scan)`` (what holds for the output), ``coordinates(step, coords)`` (the coordinates that change, one
        row per block, where the step changes an axis that has some); ``wanted(step, size)`` and ``finish(step, sums, size)``
        for a step that sums pixels (`core.one_pass`), ``sparse(step, frames)`` for its body of sparse frames;
        ``numbers(step, shape, look, **coordinates)`` for a pixelwise step whose function of one pixel wants other numbers than the step's
        parameters: one array (frame,) each; ``look(rows, columns)`` gives a region of the frames as the step sees them.
        """
        return self._hook(name)

    def device(self, name: str, *, proven: bool = False) -> Callable[[Body], Body]:
        """Register a body for another device; the contract tests compare it with the CPU's.

        Args:
            name: Of the kind of device: ``cuda``.
            proven: It has been compared with the CPU's on a real device, not only in a simulator: jobs use it unasked.
        """

        def register(function: Body) -> Body:
            self.step.bodies = {**self.step.bodies, name: function}
            self.step.proven = self.step.proven | ({name} if proven else set[str]())
            return function

        return register

    def pixelwise(self, body: Any) -> None:
        """Register the function of one pixel by which element-wise chains are fused."""
        self.step.scalar = body


def operator(
    signature: str, *, cites: tuple[str, ...] | list[str] = (), sentence: str = ""
) -> Callable[[Body], OperatorFunction]:
    """Make a step of a function, whose signature becomes the step's interface.

    Args:
        signature: Axes in and out, see `core.axes`.
        cites: DOIs of what the function implements.
        sentence: What it does, for a methods section; ``{parameter}`` where a value goes (see `Configured.sentence`).

    Raises:
        FirstlightError: A parameter has no annotation, or neither a line in the docstring's ``Args:`` section nor a type that
            describes itself; the sentence
            names one that does not exist.
    """

    def decorate(body: Body) -> OperatorFunction:
        model = _model(body, signature)
        model.cites, model.sentence = tuple(cites), sentence
        model.check_sentence()
        return OperatorFunction(body, model)

    return decorate


def _model(body: Body, signature: str) -> type[Operator]:
    hints = get_type_hints(body, include_extras=True)
    described = argument_descriptions(body.__doc__ or "")
    data: list[str] = []
    coordinates: list[str] = []
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(body).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            data.append(name)
            continue
        if _COORDINATE in get_args(hints.get(name)):
            coordinates.append(name)
            continue
        fields[name] = _field(body.__name__, name, parameter, hints, described)
    model = create_model(
        body.__name__,
        __base__=Operator,
        __module__=body.__module__,
        __doc__=body.__doc__,
        __cls_kwargs__=dict(DESCRIBED),
        **fields,
    )
    model.__qualname__ = body.__qualname__
    model.use = body.__name__
    model.signature = parse_signature(signature)
    model.arguments = tuple(data)
    model.bodies = {"cpu": body}
    model.coordinates = tuple(coordinates)
    model.wants_held = frozenset(name for name in data if "Held" in str(hints.get(name, "")))
    return model


def _field(
    step: str, name: str, parameter: inspect.Parameter, hints: dict[str, Any], described: dict[str, str]
) -> tuple[Any, Any]:
    text = described.get(name) or _described(hints.get(name))
    if name not in hints or not text:
        missing = "an annotation" if name not in hints else "a line in the docstring's 'Args:' section"
        raise FirstlightError(f"Parameter '{name}' of step '{step}' lacks {missing}.", field=name, expected=missing)
    default = ... if parameter.default is inspect.Parameter.empty else parameter.default
    if isinstance(default, FieldInfo):
        return hints[name], default
    return hints[name], Field(default, title=name.replace("_", " ").capitalize(), description=text)


def _described(annotation: Any) -> str | None:
    """What an annotated type says of itself: ``Annotated[int, Field(description=...)]``, shared by several steps."""
    return next((each.description for each in get_args(annotation) if isinstance(each, FieldInfo)), None)


_ARGUMENT = re.compile(r"^(?P<name>\w+)(?:\s*\([^)]*\))?:\s*(?P<text>.*)$")


def argument_descriptions(docstring: str) -> dict[str, str]:
    """The ``Args:`` section of a docstring, by argument name."""
    lines = inspect.cleandoc(docstring).splitlines()
    found: dict[str, str] = {}
    current: str | None = None
    inside = False
    for line in lines:
        if line.strip() in ("Args:", "Arguments:"):
            inside = True
        elif inside and line and not line.startswith(" "):
            break
        elif inside and line.strip():
            match = _ARGUMENT.match(line.strip())
            if match and len(line) - len(line.lstrip()) <= 4:
                current = str(match["name"])
                found[current] = match["text"].strip()
            elif current is not None:
                found[current] = f"{found[current]} {line.strip()}".strip()
    return found
