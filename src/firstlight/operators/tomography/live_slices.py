"""Three planes of the sample that sharpen while projections come in."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.errors import AxesError, ChangeRefused, FirstlightError
from firstlight.core.fold import Fold
from firstlight.core.held import Held
from firstlight.core.units import Bytes, Micrometre
from firstlight.kernels.ramp import Window

from .angles import projection_angles
from .per_length import per_length
from .planes import Geometry, Plane, PlaneName
from .ring import DIGESTED, FILTER, NONE, SPARE, UNFILTERED, FilterKey, Ring, digested, filter_name, is_digested

NAMES: tuple[PlaneName, ...] = ("xy", "xz", "yz")
ALONG: Mapping[PlaneName, str] = {"xy": "z", "xz": "y", "yz": "x"}
UNSEEN_SHIFT = 0.05
"""Pixels by which the centre may differ from the one that another step finds before live planes are summed anew."""
COARSE_SECONDS = 0.015
REFINE_SECONDS = 0.04
_NEIGHBOURS = 20.0
"""Step in degree above which frames that follow each other are no neighbours: golden angle and the like."""
REFRESH = 64
"""Windows of projections after which a plane is summed anew, long before float32 rounding reaches 1e-4."""


@dataclass(slots=True)
class Live:
    """The projections of the last half turn and the planes made of them."""

    rows: int
    columns: int
    length: int | None
    """Ids in the window; None until the angle from one frame to the next is known."""
    ring: Ring | None = None
    planes: dict[PlaneName, Plane] = field(default_factory=dict[PlaneName, Plane])
    early: list[Chunk] = field(default_factory=list[Chunk])
    """A first single frame, from which no step of angle can be told."""


class LiveSlices(Fold[Live]):
    """Show three planes across the sample while it turns: filtered back-projection that goes frame by frame.

    The filtered projections of the last half turn (or turn) are kept; a new one is added to each plane and the one that it
    replaces is taken back. Each counts by the angle it stands for, so unequal steps, lost frames and a turn that has only
    begun come out right; what is not covered yet is left out, and the grey values are those of a full turn. The planes
    equal filtered back-projection of the same projections, in attenuation per cm (per pixel without pixel size).

    A moved plane, another center or filter shows a coarse picture at once; the full one grows in idle time, and with each
    new frame.
    """

    use: ClassVar[str] = "live_slices"
    signature: ClassVar[Any] = "[angle] row col -> xy: y x, xz: z x, yz: z y"
    cites: ClassVar[tuple[str, ...]] = ("10.1107/S1600577522003095", "10.1038/s41598-019-54647-4")
    sentence: ClassVar[str] = (
        "During the scan, three slices were reconstructed from the last {span} degrees by filtered back-projection with"
        " the filter '{filter}' and the rotation axis at {center:column}."
    )
    tolerance: ClassVar[float] = 1e-3
    windowed: ClassVar[bool] = True
    follows: ClassVar[dict[str, dict[str, str]]] = {name: {"x": "x", "y": "y", "z": "z"} for name in NAMES}

    x: Annotated[float, Field(ge=0)] | None = None
    """Column of the slices at which the plane `yz` cuts, from 0. Default: the middle."""
    y: Annotated[float, Field(ge=0)] | None = None
    """Row of the slices at which the plane `xz` cuts, from 0 at the top. Default: the middle."""
    z: Annotated[float, Field(ge=0)] | None = None
    """Detector row at which the plane `xy` cuts, from 0 at the top. Default: the middle."""
    center: float | None = None
    """Column of the rotation axis, from 0. Default: the middle of the detector."""
    filter: Window = "parzen"
    """Window of the ramp filter; ram-lak is the sharpest, hann and parzen the smoothest."""
    cutoff: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Where the window of the filter ends, as a fraction of the highest frequency."""
    pixel: Annotated[Micrometre, Field(gt=0)] | None = None
    """Pixel size at the sample. Default: that of the scan, where it is known."""
    span: Literal[180, 360] = 180
    """How much of the rotation is kept, in degree; 360 for a sample wider than the detector."""
    projections: Annotated[int, Field(ge=2)] | None = None
    """Frames in the window. Default: as many ids as `span` takes; give it for interlaced or golden-angle scans."""
    precision: Literal["float16", "float32"] = "float16"
    """Number type of the projections kept."""
    memory: Annotated[Bytes, Field(ge=2**20)] = 4.0 * 2**30
    """Memory for projections. With room for twice the window the unfiltered ones are kept too, so that the filter can be
    changed; without room for the window only every second, third, ... frame is used."""

    def sizes(self, known: Mapping[str, int | None], scan: Scan) -> Mapping[str, int | None]:
        """Slices are as wide and deep as the detector has columns."""
        return {"z": known.get("row"), "y": known.get("col"), "x": known.get("col")}

    def unit(self, scan: Scan) -> str | None:
        """Attenuation per length."""
        return "1/cm" if self.pixel is not None or scan.pixel("um") is not None else "1/px"

    def calibrated(self, scan: Scan) -> Self:
        """With the pixel size of the scan, where the user gave none."""
        found = scan.pixel("um")
        return self if self.pixel is not None or found is None else self.model_copy(update={"pixel": found})

    def workspace(self, scan: Scan, frames: int) -> int:
        """The projections kept, at most `memory`."""
        each = scan.main.size("row") * scan.main.size("col") * np.dtype(self.precision).itemsize
        length = self._length(scan.coords.get("angle"), None) or 2000
        return int(min(self.memory, 2 * each * (length + SPARE)))

    @property
    def _key(self) -> FilterKey:
        return (self.filter, self.cutoff)

    def _geometry(self, name: PlaneName, rows: int, columns: int) -> Geometry:
        """Where a plane lies now.

        Raises:
            AxesError: outside the volume.
        """
        label, size = ALONG[name], rows if name == "xy" else columns
        position = getattr(self, label)
        if position is not None and position > size - 1:
            raise AxesError(
                "The plane lies outside the volume.", field=label, value=position, expected=f"0 to {size - 1}"
            )
        known = self.center is not None and np.isfinite(self.center)
        center = float(self.center) if known and self.center is not None else (columns - 1) / 2
        return Geometry(name, float(size // 2 if position is None else position), center, rows, columns)

    def _length(self, angles: Array | None, ids: Array | None) -> int | None:
        """Ids in a window: from the parameter, or from the step of the angle; None if too little is known."""
        if self.projections is not None:
            return self.projections
        if angles is None or len(angles) < 2:
            return None
        order = np.arange(len(angles)) if ids is None else np.argsort(ids, kind="stable")
        steps = np.diff(np.asarray(angles, np.float64)[order])
        steps = np.abs(np.mod(steps + 180.0, 360.0) - 180.0) / np.diff(order if ids is None else ids[order])
        usual = float(np.median(steps))
        if usual <= 0:
            raise FirstlightError(
                "The angle does not change from frame to frame.",
                field="angle",
                value=usual,
                expected="a rotation",
                next_move="Check the angles of the source, or give 'projections'.",
            )
        if usual > _NEIGHBOURS and ids is None:
            return len(angles)
        if usual > _NEIGHBOURS:
            raise FirstlightError(
                f"The angle steps by {usual:.1f} degree, so that its step does not tell how many frames a turn takes.",
                field="projections",
                expected="how many frames make a complete picture",
                next_move="Give 'projections'.",
            )
        return max(2, int(np.ceil(self.span / usual - 1e-3)))

    def empty(self, scan: Scan) -> Live:
        """The state before the first frame."""
        known = scan.coords.get("angle")
        length = self._length(None if known is None else projection_angles(known, self.use), None)
        if length is not None and scan.main.frames is not None:
            length = min(length, max(scan.main.frames, 1))
        state = Live(scan.main.size("row"), scan.main.size("col"), length)
        for name in NAMES:
            self._geometry(name, state.rows, state.columns)
        return state

    def _open(self, state: Live, length: int) -> Ring:
        """Make room for a window of projections, and the planes."""
        state.length = length
        ring = Ring.empty(length, (state.rows, state.columns), self.precision, self._key, self.memory)
        state.ring = ring
        for name in NAMES:
            plane = Plane(self._geometry(name, state.rows, state.columns), len(ring.id))
            plane.restart()
            state.planes[name] = plane
        return ring

    def digest(self, chunk: Chunk) -> Chunk:
        """Apply the ramp filter, which needs no state."""
        return chunk if is_digested(chunk) else digested(chunk, self._key, self.precision)

    def negligible(self, other: Any) -> bool:
        """True if nothing but the center differs, by less than anybody sees: a full sum for that would only flicker."""
        if not isinstance(other, LiveSlices) or self.center is None or other.center is None:
            return False
        same = self.model_copy(update={"center": other.center}) == other
        return same and abs(self.center - other.center) < UNSEEN_SHIFT

    def digests_like(self, other: Any) -> bool:
        """Always: `add` filters anew what was filtered otherwise."""
        return isinstance(other, LiveSlices) and self.precision == other.precision

    def add(self, state: Live, chunk: Chunk, *held: Held) -> None:
        """Take projections into the ring and bring every plane up to date."""
        if len(chunk) == 0:
            return
        ready = self.digest(chunk)
        ring = state.ring
        if ring is None:
            length = state.length or self._guess(state, ready)
            if length is None:
                return
            ring = self._open(state, length)
        for waiting in (*state.early, ready):
            self._add(state, ring, waiting)
        state.early.clear()

    def _guess(self, state: Live, chunk: Chunk) -> int | None:
        """Ids in a window, from the first frames; a single one has to wait for the next."""
        everything = [*state.early, chunk]
        angles = np.concatenate([np.asarray(each.coords.get("angle", np.zeros(0))) for each in everything])
        projection_angles(angles, self.use, sum(len(each) for each in everything))
        same = [each for each in everything if each.epoch == chunk.epoch]
        length = self._length(
            np.concatenate([each.coords["angle"] for each in same]), np.concatenate([each.ids for each in same])
        )
        if length is None:
            state.early.append(chunk)
        return length

    def _add(self, state: Live, ring: Ring, chunk: Chunk) -> None:
        if chunk.epoch > ring.epoch:
            ring.restart(chunk.epoch)
            ring.weigh()
            ring.release()
            for plane in state.planes.values():
                plane.restart()
        index = ring.wanted(chunk)
        if index.size == 0:
            return
        angles = projection_angles(chunk.coords.get("angle"), self.use, len(chunk), part=True)
        for first in range(0, index.size, SPARE):
            part = index[first : first + SPARE]
            ring.take(chunk, part, angles[part])
            for plane in state.planes.values():
                plane.follow(ring)
                plane.grow(ring, most=2 * part.size)
            ring.release()
        for plane in state.planes.values():
            if plane.current is not None and plane.current.changes > REFRESH * max(ring.length, 16):
                plane.refresh()

    def refine(self, state: Live) -> bool:
        """Let planes grow for a few hundredths of a second; True if that changed something."""
        ring = state.ring
        if ring is None:
            return False
        growing = [plane for plane in state.planes.values() if plane.growing is not None]
        for count, plane in enumerate(growing):
            share = REFINE_SECONDS / (len(growing) - count)
            plane.grow(ring, until=time.perf_counter() + share)
        return bool(growing)

    def ready(self, state: Live) -> bool:
        """True once a projection has come."""
        return state.ring is not None and bool(state.ring.where)

    def coarse(self, state: Live) -> bool:
        """True while a picture is not the full one yet."""
        return any(not plane.complete for plane in state.planes.values())

    def coverage(self, state: Live) -> float:
        """Share of the window's frames that are there."""
        return 0.0 if state.ring is None else state.ring.coverage

    def result(self, state: Live) -> dict[str, Array]:
        """The planes, float32: `xy` (y, x), `xz` (z, x), `yz` (z, y)."""
        if state.ring is None:
            shapes = {"xy": (state.columns, state.columns)}
            rest = (state.rows, state.columns)
            return {name: np.zeros(shapes.get(name, rest), np.float32) for name in NAMES}
        pictures: dict[str, Array] = {name: state.planes[name].picture() for name in NAMES}
        if self.pixel is not None:
            for picture in pictures.values():
                picture *= np.float32(per_length(self.pixel))
        return pictures

    def adapt(self, state: Live, old: Self) -> Live:
        """Move planes, change center or filter: coarse at once, the full picture grows."""
        for name in ("span", "projections", "precision", "memory"):
            if getattr(self, name) != getattr(old, name):
                raise ChangeRefused(
                    f"'{name}' decides how projections are kept and can not change while the scan runs.",
                    field=name,
                    value=getattr(self, name),
                    expected=str(getattr(old, name)),
                    next_move="Stop the run and start it with the new value.",
                )
        geometries = {name: self._geometry(name, state.rows, state.columns) for name in NAMES}
        ring = state.ring
        if ring is None:
            return state
        if self._key != ring.key:
            self._change_filter(state, ring)
        for name, plane in state.planes.items():
            if plane.geometry != geometries[name]:
                plane.move(ring, geometries[name], COARSE_SECONDS)
        return state

    def _change_filter(self, state: Live, ring: Ring) -> None:
        if ring.raw is None and ring.where:
            raise ChangeRefused(
                "The filter can not change: there was no memory to keep the projections before the filter.",
                field="filter",
                value=self.filter,
                expected=ring.key[0],
                next_move=f"Start the run with more 'memory' ({2 * ring.cache.nbytes / 2**30:.1f} GiB).",
            )
        ring.key = self._key
        ring.stale[ring.id != NONE] = True
        for plane in state.planes.values():
            plane.filter_anew()

    def save(self, state: Live) -> dict[str, Any]:
        """The projections in the window."""
        ring = state.ring
        if ring is None:
            return {"length": state.length or 0}
        ring.refilter(np.flatnonzero(ring.id != NONE))
        frames = np.array(sorted(ring.where), np.int64)
        places = np.array([ring.where[frame] for frame in frames.tolist()], np.int64)
        saved: dict[str, Any] = {"length": ring.length, "epoch": ring.epoch, "ids": frames}
        saved["filter"] = filter_name(ring.key)
        saved |= {"angle": ring.angle[places], "filtered": ring.cache[places]}
        return saved if ring.raw is None else {**saved, "raw": ring.raw[places]}

    def load(self, saved: dict[str, Any], scan: Scan) -> Live:
        """The state that `save` wrote; the planes are summed anew."""
        state = self.empty(scan)
        if int(saved["length"]):
            state.length = int(saved["length"])
        if "ids" not in saved:
            return state
        self._take_saved(state, saved)
        return state

    def _take_saved(self, state: Live, saved: dict[str, Any]) -> None:
        """Add the projections of a saved state.

        Raises:
            ChangeRefused: they have another filter, and the unfiltered ones were not saved.
        """
        if saved["filter"] != filter_name(self._key) and "raw" not in saved:
            raise ChangeRefused(
                "The saved projections were filtered in another way, and were not kept unfiltered.",
                field="filter",
                value=self.filter,
                expected=str(saved["filter"]),
            )
        ring = state.ring or self._open(state, int(saved["length"]))
        ids = np.asarray(saved["ids"], np.int64)
        raw = np.asarray(saved["raw"]) if "raw" in saved else np.zeros((len(ids), state.rows, state.columns), "float16")
        coords = {"angle": np.asarray(saved["angle"]), UNFILTERED: raw, FILTER: np.full(len(ids), saved["filter"])}
        chunk = Chunk(np.asarray(saved["filtered"]), DIGESTED, ids, int(saved["epoch"]), coords=coords)
        if len(chunk):
            self._add(state, ring, chunk)

    def merge(self, state: Live, other: Live) -> Live:
        """Add the projections of an adjacent part of the scan."""
        if other.ring is not None:
            self._take_saved(state, self.save(other))
        for chunk in other.early:
            self.add(state, chunk)
        return state
