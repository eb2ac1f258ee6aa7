"""A UDF as a step: live and offline, in the same pass as other steps."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import count
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, PrivateAttr

from firstlight.core.arrays import Array
from firstlight.core.axes import Signature, parse_signature
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.errors import FirstlightError, MissingExtra
from firstlight.core.fold import Fold
from firstlight.core.held import Held
from firstlight.core.registry import EXTRAS

from . import instance
from .buffers import BufferWrapper, Declared, Shape
from .corrections import CorrectionSet
from .udf import Meta

_numbers = count()
COVERED = "covered_points"
"""Output beside the buffers: which scan points are in them."""


@dataclass(slots=True)
class State:
    """The buffers of the whole scan, and which scan points are in them."""

    arrays: dict[str, Array]
    covered: Array


@dataclass(frozen=True, slots=True)
class Given:
    """What a step was made of, shared by all its copies."""

    udf: Any
    roi: Array | None
    corrections: CorrectionSet | None
    task_data: threading.local


_given: dict[str, Given] = {}


class UdfFold(Fold[State]):
    """Runs one UDF over all frames; its buffers are the outputs."""

    use: ClassVar[str] = "libertem_udf"
    runs_code: ClassVar[bool] = True

    udf: str
    """The class of the UDF, with a number that tells its instance."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Its parameters that were changed since it was made."""
    nav: tuple[int, ...] = ()
    """Sizes of the scan; taken from it."""
    arrival: tuple[str, ...] = ("scan_y", "scan_x")
    """Axes of the scan; taken from it."""
    sig: tuple[int, ...] = (64, 64)
    """Rows and columns of the detector; taken from the scan."""
    type: str = "float32"
    """Type of the pixels; taken from the scan."""

    _signature: Signature | None = PrivateAttr(default=None)

    def __eq__(self, other: object) -> bool:
        """Steps are equal that have the same UDF and parameters."""
        return isinstance(other, UdfFold) and self.model_dump() == other.model_dump()

    def __hash__(self) -> int:
        """By the UDF alone."""
        return hash(self.udf)

    @property
    def given(self) -> Given:
        """What this step was made of.

        Raises:
            FirstlightError: It was made in another process.
        """
        try:
            return _given[self.udf]
        except KeyError:
            raise FirstlightError(
                "A UDF lives in the process that made it.",
                field="udf",
                value=self.udf,
                next_move="Call fl.from_libertem.",
            ) from None

    @property
    def signature(self) -> Signature:  # pyright: ignore[reportIncompatibleVariableOverride]
        """All scan axes go in; buffers come out, with the axes of scan or detector and their own."""
        if self._signature is None:
            outputs = [f"{n}: {' '.join(self._labels(n, d))}" for n, d in self._declared().items()]
            outputs.append(f"{COVERED}: {' '.join(self.arrival)}")
            self._signature = parse_signature("[*] row col -> " + ", ".join(outputs))
        return self._signature

    def _declared(self) -> dict[str, Declared]:
        udf = instance.at_work(self.given.udf, self._meta(), self.parameters)
        return {name: one for name, one in udf.declared.items() if one.use != "private"}

    def _labels(self, name: str, declared: Declared) -> tuple[str, ...]:
        extra = declared.extra_shape or ((1,) if declared.kind == "single" else ())
        labels = tuple(f"{name}_{place}" for place in range(len(extra)))
        return {"nav": self.arrival, "sig": ("row", "col"), "single": ()}[declared.kind] + labels

    def _meta(self) -> Meta:
        given = self.given
        dtype = np.dtype(self.type) if given.corrections is None else np.result_type(self.type, np.float32)
        return Meta(Shape(self.nav + self.sig), dtype, dtype, given.roi, given.corrections)

    def calibrated(self, scan: Scan) -> Self:
        """This step, with what the scan looks like.

        Raises:
            FirstlightError: The length of the scan is not known, or the region of interest has another shape.
        """
        stream = scan.main
        if stream.frames is None or stream.frame_axes != ("row", "col"):
            raise FirstlightError(
                "A UDF needs a scan of known size, of frames with rows and columns.",
                field="axes",
                value=stream.axes,
                expected="scan_y scan_x row col",
            )
        nav = tuple(stream.size(label) for label in stream.arrival_axes)
        roi = self.given.roi
        if roi is not None and roi.shape != nav:
            raise FirstlightError(
                "The region has another shape than the scan.", field="roi", value=roi.shape, expected=str(nav)
            )
        made = self.model_copy(
            update={"nav": nav, "arrival": stream.arrival_axes, "sig": stream.frame_shape, "type": stream.dtype}
        )
        made._signature = None
        begin = getattr(self.given.udf, "begin", None)
        if begin is not None:
            begin(made._meta())
        return made

    def sizes(self, known: Mapping[str, int | None], scan: Scan) -> Mapping[str, int | None]:
        """Sizes of the scan, and of the axes that buffers add."""
        found: dict[str, int | None] = dict(zip(self.arrival, self.nav, strict=False))
        for name, one in self._declared().items():
            extra = one.extra_shape or ((1,) if one.kind == "single" else ())
            found |= {f"{name}_{place}": size for place, size in enumerate(extra)}
        return found

    def empty(self, scan: Scan) -> State:
        """The buffers, as the UDF wants them before the first frame."""
        udf = instance.at_work(self.given.udf, self._meta(), self.parameters)
        frames = Shape(self.nav, 0).size
        arrays = {n: d.allocate(frames, self.sig) for n, d in udf.declared.items() if d.use != "result_only"}
        if instance.own(udf, "preprocess") is not None:
            udf.meta.ids = np.arange(frames)
            udf.results = instance.Views(arrays)
            udf.preprocess()
        return State(arrays, np.zeros(frames, bool))

    def digest(self, chunk: Chunk) -> Chunk:
        """The buffers of the frames of one chunk alone."""
        if chunk.data.dtype == object:
            return chunk
        given, meta = self.given, self._meta()
        chosen = slice(None) if given.roi is None else given.roi.reshape(-1)[chunk.ids]
        meta.ids = chunk.ids[chosen]
        part: dict[str, Array] = {}
        if len(meta.ids):
            udf = instance.at_work(given.udf, meta, self.parameters)
            meta.input_dtype = instance.input_dtype(udf, chunk.data.dtype)
            frames = chunk.data[chosen].astype(meta.input_dtype, copy=False)
            if given.corrections is not None:
                frames = given.corrections.apply(frames)
            part = instance.process(udf, frames, self._task_data(udf))
        whole = np.empty(1, object)
        whole[0] = (meta.ids, part)
        # one object that stands for all frames of the chunk
        return chunk.with_data(np.broadcast_to(whole, (len(chunk),)), ())

    def _task_data(self, udf: Any) -> Mapping[str, Any]:
        """What the UDF makes once for each thread."""
        local, key = self.given.task_data, (self.nav, self.sig, repr(self.parameters))
        if getattr(local, "key", None) != key:
            made = udf.get_task_data() if instance.own(udf, "get_task_data") is not None else {}
            local.key, local.made = key, dict(made or {})
        return local.made

    def add(self, state: State, chunk: Chunk, *held: Held) -> None:
        """Merge the buffers of one chunk."""
        digested = self.digest(chunk).data
        if not len(digested):
            return
        ids, part = digested[0]
        if part:
            udf = instance.at_work(self.given.udf, self._meta(), self.parameters)
            instance.merge(udf, state.arrays, part, ids)
            state.covered[ids] = True

    def result(self, state: State) -> dict[str, Array]:
        """The results, as the UDF makes them of its buffers."""
        meta = self._meta()
        meta.covered = state.covered.copy()
        udf = instance.at_work(self.given.udf, meta, self.parameters)
        found: dict[str, Array] = {}
        for name, (declared, values, _) in instance.results(udf, state.arrays).items():
            found[name] = values.reshape(self.nav + values.shape[1:]) if declared.kind == "nav" else values.copy()
        return {**found, COVERED: state.covered.reshape(self.nav).copy()}

    def wrapped(self, values: Mapping[str, Array]) -> dict[str, BufferWrapper]:
        """Results by name as LiberTEM gives them."""
        covered = values[COVERED].reshape(-1).astype(bool)
        found: dict[str, BufferWrapper] = {}
        for name, declared in self._declared().items():
            points = declared.kind == "nav"
            flat = values[name].reshape(-1, *declared.extra_shape) if points else values[name]
            found[name] = BufferWrapper(declared, flat, self.nav, self.given.roi, covered if points else True)
        return found

    def coverage(self, state: State) -> float:
        """The share of the scan points that have come."""
        return float(state.covered.mean()) if len(state.covered) else 0.0

    def adapt(self, state: State, old: Any) -> State:
        """Other parameters hold for the frames to come; what was made with the old ones stays."""
        return state


def from_libertem(udf: Any, *, roi: Any = None, corrections: CorrectionSet | None = None) -> UdfFold:
    """Make a step of a UDF, LiberTEM's or one derived from our `UDF`; its buffers are the outputs.

    Args:
        udf: The UDF, such as ``SumUDF()`` or one of your own; or where its class is, as ``libertem.udf.sum:SumUDF``.
        roi: Region of the scan, bool in its shape; other frames are left out.
        corrections: Dark image, gain and defect pixels, applied to each frame.

    Raises:
        FirstlightError: It is no UDF, or has buffers that can not be results.
        MissingExtra: LiberTEM is named, and not installed.
    """
    if isinstance(udf, str):
        udf = _named(udf)
    if not callable(getattr(udf, "get_result_buffers", None)) or isinstance(udf, type):
        raise FirstlightError(
            "This is no UDF.",
            field="udf",
            value=repr(udf)[:80],
            expected="an object with get_result_buffers, such as SumUDF()",
        )
    kind = type(udf)
    name = f"{kind.__module__}:{kind.__qualname__}#{next(_numbers)}"
    chosen = None if roi is None else np.asarray(roi, bool)
    _given[name] = Given(udf, chosen, corrections, threading.local())
    made = UdfFold(udf=name)
    _ = made.signature
    return made


def _named(where: str) -> Any:
    """The UDF of a class that needs no parameters.

    Raises:
        FirstlightError: There is none.
        MissingExtra: LiberTEM is not installed.
    """
    module, _, name = where.partition(":")
    try:
        return getattr(import_module(module), name)()
    except ModuleNotFoundError as missing:
        extra = EXTRAS.get((missing.name or "").partition(".")[0])
        if extra is not None:
            raise MissingExtra(missing.name or module, extra, f"The UDF '{where}'") from missing
        raise _no_udf(where) from missing
    except (AttributeError, TypeError, ValueError) as error:
        raise _no_udf(where) from error


def _no_udf(where: str) -> FirstlightError:
    return FirstlightError(
        "There is no such UDF.", field="udf", value=where, expected="module:Class, such as libertem.udf.sum:SumUDF"
    )


def forget(step: UdfFold) -> None:
    """Let go what a step was made of, and with it all its copies, once no run needs them."""
    _given.pop(step.udf, None)
