"""Savu's CPU plugins as steps."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, PrivateAttr

from firstlight.core.arrays import Array
from firstlight.core.axes import Signature, parse_signature
from firstlight.core.chunk import Scan
from firstlight.core.errors import FirstlightError, UnknownName
from firstlight.core.operator import Operator

from .stand_in import Asked, defaults

_given: dict[str, type] = {}
"""Classes that were given as such, by the name under which a step knows them."""
_PATTERNS = {"PROJECTION": "angle~0 row col -> angle row col", "SINOGRAM": "row~0 angle col -> row angle col"}
_FRAMES = {"PROJECTION": (1, 2), "SINOGRAM": (0, 2)}
"""Which of the axes angle, row and col a frame of a pattern has."""
_PADDINGS = ("pad_multi_frames", "pad_frame_edges")


def from_savu(plugin: type, *, center: float | None = None, **parameters: Any) -> SavuPlugin:
    """Make a step of a CPU plugin of Savu.

    Args:
        plugin: A class that keeps the contract of `BaseFilter` or `BaseRecon`.
        center: Column of the rotation axis, for a reconstruction. Default: the middle.
        parameters: Values of its parameters; the others have the defaults that its docstring or its tools class state.

    Raises:
        FirstlightError: It takes no such parameter, has several data sets, or a pattern that is not known.
    """
    name = f"{plugin.__module__}:{plugin.__qualname__}"
    _given[name] = plugin
    known = defaults(plugin)
    for wrong in sorted(parameters.keys() - known.keys()) if known else ():
        raise FirstlightError(
            f"The plugin '{plugin.__name__}' has no parameter '{wrong}'.",
            field=wrong,
            expected="one of " + ", ".join(known),
        )
    step = SavuPlugin(plugin=name, settings=parameters, center=center)
    step.contract()
    return step


class SavuPlugin(Operator):
    """Run a CPU plugin of Savu on projections or sinograms, one call at a time.

    Frames, padding, `pre_process` and `post_process` are as in Savu; darks, flats and other data sets are not offered to
    the plugin. It runs with all rights of the user: jobs that came over the network may not use this step.
    """

    use: ClassVar[str] = "savu_plugin"
    runs_code: ClassVar[bool] = True
    sentence: ClassVar[str] = "The Savu plugin {plugin} was applied with {settings}."

    plugin: Annotated[str, Field(pattern=r"^[\w.]+:[\w.<>]+$", max_length=300)]
    """Module and class of the plugin, with a colon between them."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Its parameters; those that are not given have their defaults."""
    center: float | None = None
    """Column of the rotation axis, for a reconstruction. Default: the middle of the detector."""

    _state: Any = PrivateAttr(default=None)

    def __eq__(self, other: object) -> bool:
        """Steps are equal that have the same values."""
        return isinstance(other, SavuPlugin) and self.model_dump() == other.model_dump()

    def __hash__(self) -> int:
        """By the plugin alone."""
        return hash(self.plugin)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by values."""
        return (_make, (self.model_dump(),))

    def contract(self) -> _Running:
        """The plugin, with what it asks for.

        Raises:
            FirstlightError: It can not be loaded, or asks for what is not offered.
        """
        if self._state is None:
            self._state = _Running(_find(self.plugin), self.settings)
        return self._state

    @property
    def signature(self) -> Signature:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Frames or sinograms, with neighbours where the plugin asks for them."""
        return self.contract().signature

    @property
    def coordinates(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The angles, for a reconstruction."""
        return ("angle",) if self.contract().reconstructs else ()

    def halo(self) -> dict[str, int]:
        """The frames on each side that the plugin asks for."""
        asked = self.contract()
        return {asked.along: asked.neighbours} if asked.neighbours else {}

    def sizes(self, known: Mapping[str, int | None], scan: Scan) -> Mapping[str, int | None]:
        """A slice is as wide as the detector."""
        return {"y": known.get("col"), "x": known.get("col")} if self.contract().reconstructs else {}

    def prepare(self, scan: Scan) -> None:
        """Call the plugin's `pre_process`, once."""
        stream = scan.main
        shape = tuple(int(stream.sizes.get(label) or 0) for label in ("angle", "row", "col"))
        self.contract().begin(shape)

    def close(self) -> None:
        """Call the plugin's `post_process`, once."""
        if self._state is not None:
            self._state.end()

    def run(self, *arrays: Any, device: str = "cpu", **coordinates: Array) -> Any:
        """Let the plugin work on frames; the first dimension counts blocks."""
        asked = self.contract()
        with asked.lock:
            asked.begin((0, 0, 0))
            if asked.reconstructs:
                width = arrays[0].shape[-1]
                center = (width - 1) / 2 if self.center is None else self.center
                angles = coordinates.get("angle", np.linspace(0, 180, arrays[0].shape[1], endpoint=False))
                return np.stack([asked.slice(block, center, angles) for block in arrays[0]])
            if asked.neighbours:
                return np.stack([asked.frames(block) for block in arrays[0]])
            return asked.frames(arrays[0])


def _make(values: dict[str, Any]) -> SavuPlugin:
    return SavuPlugin(**values)


def _find(name: str) -> type:
    if name in _given:
        return _given[name]
    module, _, qualified = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in qualified.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise UnknownName(f"The plugin '{name}' can not be loaded: {error}.", field="plugin", value=name) from None
    return found


class _Running:
    """One plugin, its parameters, and what it asked for."""

    def __init__(self, kind: type, parameters: Mapping[str, Any]) -> None:
        self.lock = threading.RLock()
        self._begun = False
        try:
            self.plugin: Any = kind()
        except TypeError:
            self.plugin = kind(kind.__name__)
        self.plugin.parameters = {**defaults(kind), **parameters}
        self._offer((0, 0, 0))
        self.reconstructs = hasattr(self.plugin, "get_frame_params")
        pattern, self.most = self._setup()
        if pattern not in _PATTERNS or (self.reconstructs and pattern != "SINOGRAM"):
            raise FirstlightError(
                f"The plugin '{kind.__name__}' asks for a pattern that is not offered.",
                field="pattern",
                value=pattern,
                expected="PROJECTION or SINOGRAM",
            )
        for count in ("nInput_datasets", "nOutput_datasets"):
            if getattr(self.plugin, count, lambda: 1)() != 1:
                raise FirstlightError(f"The plugin '{kind.__name__}' has several data sets.", field=count, expected="1")
        self.sinograms = pattern == "SINOGRAM"
        self.along = "row" if self.sinograms else "angle"
        self.neighbours, self.edges = self._padding(kind.__name__)
        self.signature = parse_signature(self._text(pattern))

    def _text(self, pattern: str) -> str:
        if self.reconstructs:
            return "angle col -> z=row y x"
        if self.neighbours:
            return _PATTERNS[pattern].replace("~0", f"~{self.neighbours}")
        return "angle col -> angle col" if self.sinograms else "row col -> row col"

    def _offer(self, shape: tuple[int, ...], pattern: str | None = None) -> Asked:
        """Let the plugin ask about the whole data, and about what one call gets: a frame alone has two axes."""
        whole, frames = Asked(shape), Asked(shape, _FRAMES.get(pattern or "") if self._alone else None)
        plugin = self.plugin
        plugin.get_in_datasets = plugin.get_out_datasets = lambda: [whole]
        plugin.get_plugin_in_datasets = plugin.get_plugin_out_datasets = lambda: [frames]
        plugin.get_datasets, plugin.get_plugin_datasets = lambda: ([whole], [whole]), lambda: ([frames], [frames])
        return frames

    @property
    def _alone(self) -> bool:
        return getattr(self, "most", None) == "single"

    def _setup(self) -> tuple[str, str | int]:
        """The pattern of the frames, and how many of them come at once: as filters and reconstructions say it, or by `setup`."""
        plugin = self.plugin
        if hasattr(plugin, "get_plugin_pattern"):
            return plugin.get_plugin_pattern(), plugin.get_max_frames() if hasattr(
                plugin, "get_max_frames"
            ) else "multiple"
        asked = self._offer((0, 0, 0))
        plugin.setup()
        return asked.pattern or "PROJECTION", asked.frames or "multiple"

    def _padding(self, name: str) -> tuple[int, int]:
        """Neighbouring frames, and pixels around each frame."""
        asked = Asked((0, 0, 0))
        if hasattr(self.plugin, "set_filter_padding"):
            self.plugin.set_filter_padding([asked], [Asked((0, 0, 0))])
        told = asked.padding
        if told is None and hasattr(self.plugin, "get_filter_padding"):  # as it was called first
            told = self.plugin.get_filter_padding()
        told = dict(told or {})
        for key in told:
            if key not in _PADDINGS:
                raise FirstlightError(
                    f"The plugin '{name}' asks for a padding that is not offered.",
                    field="padding",
                    value=told,
                    expected=" or ".join(_PADDINGS),
                )
        return tuple(int(told.get(key, 0)) for key in _PADDINGS)  # pyright: ignore[reportReturnType]

    def begin(self, shape: tuple[int, ...]) -> None:
        with self.lock:
            if not self._begun:
                self._begun = True
                self._offer(shape, "SINOGRAM" if self.sinograms else "PROJECTION")
                getattr(self.plugin, "pre_process", lambda: None)()

    def end(self) -> None:
        with self.lock:
            if self._begun:
                self._begun = False
                getattr(self.plugin, "post_process", lambda: None)()

    def _call(self, data: Array) -> Array:
        """Call it by the name that its time had for it."""
        for name, listed in (("process_frames", True), ("filter_frames", True), ("filter_frame", False)):
            method = getattr(self.plugin, name, None)
            if method is not None:
                found = method([data] if listed else data)
                return np.asarray(found[0] if isinstance(found, list) else found)
        raise FirstlightError(
            "The plugin has no method process_frames.", field="plugin", value=type(self.plugin).__name__
        )

    def slice(self, sinogram: Array, center: float, angles: Array) -> Array:
        width = sinogram.shape[-1]
        self.plugin.frame_params = (center, np.asarray(angles), (width, width), None)
        self.plugin.get_frame_params = lambda: self.plugin.frame_params
        found = self._call(np.array(sinogram, np.float32))
        return self._shaped(found, (width, width))

    def frames(self, stack: Array) -> Array:
        """All frames of a stack; the neighbours of the outermost are these again, as in Savu."""
        n, edge = self.neighbours, self.edges
        padded = np.pad(np.asarray(stack, np.float32), ((n, n), (edge, edge), (edge, edge)), mode="edge")
        most = len(stack) if self.most == "multiple" else 1 if self.most == "single" else int(self.most)
        parts = [self._group(padded[first : first + most + 2 * n]) for first in range(0, len(stack), most)]
        whole = np.concatenate(parts)[: len(stack)]
        return np.ascontiguousarray(
            whole[:, edge : whole.shape[1] - edge, edge : whole.shape[2] - edge] if edge else whole
        )

    def _group(self, part: Array) -> Array:
        """Frames with their neighbours: one call. Savu keeps the order angle, row, col also for several sinograms."""
        n = self.neighbours
        count = len(part) - 2 * n
        flat = self.most == "single" and not n
        given = part[0] if flat else np.ascontiguousarray(np.moveaxis(part, 0, 1)) if self.sinograms else part.copy()
        found = self._call(given.copy() if flat else given)
        if found.ndim == 2:
            return self._shaped(found, part.shape[1:])[np.newaxis]
        found = np.moveaxis(found, 1, 0) if self.sinograms else found
        if len(found) == len(part):
            found = found[n : n + count]
        return self._shaped(found, (count, *part.shape[1:]))

    def _shaped(self, found: Array, shape: tuple[int, ...]) -> Array:
        if found.shape != shape or found.dtype.kind not in "biuf":
            raise FirstlightError(
                f"The plugin '{type(self.plugin).__name__}' gave what it did not announce.",
                field="process_frames",
                value=f"{found.dtype} of shape {found.shape}",
                expected=f"numbers of shape {shape}",
            )
        return found.astype(np.float32)
