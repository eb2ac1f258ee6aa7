"""Simulated tomography scan of an ellipsoid phantom with exact line integrals."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, PrivateAttr, model_validator

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import MAIN, Chunk, End, Item, Scan, Stream
from firstlight.core.errors import UnknownName
from firstlight.core.selection import BEFORE, Positions, cut_frames, keeps_ids, moved_set
from firstlight.core.source import Source
from firstlight.core.units import Bytes, Degree, Hertz, Micrometre, Millimetre, Quantity

if TYPE_CHECKING:
    from .scene import Scene

TRUTH = "truth"
LONGEST_CHUNK = 0.05
"""Seconds that a chunk may take to come when a rate is given: a live picture must not wait for a full one."""


class PhantomSource(Source):
    """Simulates a tomography scan of the Shepp-Logan head: exact projections, Poisson noise, and the faults of a detector.

    Every frame depends on its id and the seed alone. Any size: frames are made as they are asked for.
    """

    use: ClassVar[str] = "phantom"
    cites: ClassVar[tuple[str, ...]] = ("10.1109/TNS.1974.6499235",)
    sentence: ClassVar[str] = "Data were simulated: exact projections of a Shepp-Logan phantom ({sample})."

    columns: Annotated[int, Field(ge=8, le=16384)] = 256
    """Columns of the detector; the sample is scaled to them."""
    rows: Annotated[int, Field(ge=1, le=16384)] = 64
    """Rows of the detector, about the middle of the sample."""
    angles: Annotated[int, Field(ge=1, le=1_000_000)] = 360
    """Number of projections."""
    range: Annotated[Degree, Field(gt=0)] = 180.0
    """Angle that the projections are spread over evenly; its end is left out."""
    start: Degree = 0.0
    """Angle of the first projection."""
    sample: Literal["head", "cylinders"] = "head"
    """The 3-D Shepp-Logan head, or its middle slice continued along the axis."""
    opacity: Annotated[float, Field(gt=0, le=100)] = 6.0
    """Attenuation −ln T of a ray that crosses the detector's full width in material of density 1 (the skull)."""
    center: float | None = None
    """Column of the rotation axis, counted from 0; default: the middle, (columns − 1) / 2."""
    tilt: Annotated[Degree, Field(gt=-90, lt=90)] = 0.0
    """Angle by which the top of the rotation axis leans towards the detector; 0 for tomography."""
    roll: Annotated[Degree, Field(gt=-90, lt=90)] = 0.0
    """Angle by which the top of the rotation axis leans to the right, seen along the beam."""
    source_distance: Annotated[Millimetre, Field(gt=0)] | None = None
    """From the source to the rotation axis, for cone beam; needs `pixel`. Default: parallel beam."""
    counts: Annotated[float, Field(gt=0, le=60000)] = 20000.0
    """Photons per pixel and frame in the open beam: the dose."""
    noise: bool = True
    """Draw photons (Poisson) and electronics; false gives rounded mean values."""
    dark: Annotated[float, Field(ge=0, le=10000)] = 100.0
    """Counts without light."""
    readout: Annotated[float, Field(ge=0, le=1000)] = 2.0
    """Standard deviation of the electronics, in counts."""
    darks: Annotated[int, Field(ge=0)] = 10
    """Dark frames in a set."""
    flats: Annotated[int, Field(ge=0)] = 10
    """Flat frames in a set."""
    sets: Annotated[int, Field(ge=1, le=2)] = 1
    """1: darks and flats from before the scan; 2: from before and after it."""
    structure: Annotated[float, Field(ge=0, le=2)] = 0.2
    """Unevenness of the beam and of the pixels' gain."""
    drift: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Part of the beam's strength that is lost from the first projection to the last."""
    rings: Annotated[int, Field(ge=0)] = 0
    """Columns whose gain differs between flats and projections, which makes rings."""
    dead: Annotated[int, Field(ge=0)] = 0
    """Columns that see no light."""
    zingers: Annotated[float, Field(ge=0)] = 0.0
    """Saturated pixels per projection, on average."""
    pixel: Annotated[Micrometre, Field(gt=0)] | None = None
    """Pixel size at the sample; without one, attenuation is per pixel."""
    rate: Annotated[Hertz, Field(gt=0)] | None = None
    """Projections per second; default: as fast as they can be made."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Another seed gives other noise and other defects."""
    chunk: Annotated[Bytes, Field(gt=0)] = 2 * 2.0**20
    """Size of a chunk: as many whole frames as fit, at least one."""

    with_truth: bool = False
    """Play what the reconstruction should give as the stream ``truth`` (z, y, x) too, for `compare_with_truth`."""

    _scene: Any = PrivateAttr(None)
    _left: Scan | None = PrivateAttr(None)
    """What is left of the scan, if only a part of it is played."""
    _chosen: Mapping[str, Positions] = PrivateAttr(default_factory=lambda: {})
    _stopped: bool = PrivateAttr(False)

    @property
    def axis(self) -> float:
        """Column of the rotation axis, counted from 0."""
        return (self.columns - 1) / 2 if self.center is None else self.center

    @model_validator(mode="after")
    def _source_is_placed(self) -> Self:
        if self.source_distance is not None and self.pixel is None:
            raise ValueError("source_distance needs 'pixel', the pixel size at the rotation axis, such as '5 um'")
        return self

    @property
    def upright(self) -> bool:
        """True for parallel beam at right angles to the rotation axis."""
        return self.tilt == 0.0 and self.roll == 0.0 and self.source_distance is None

    @property
    def mu(self) -> float:
        """Attenuation of density 1 per pixel."""
        return self.opacity / self.columns

    @property
    def scale(self) -> float:
        """Attenuation of density 1 in the unit of the reconstruction: 1/cm if the pixel size is known, else per pixel."""
        return self.mu if self.pixel is None else self.mu / (self.pixel * 1e-4)

    def scan(self) -> Scan:
        """What the scan looks like."""
        detector = {"row": self.rows, "col": self.columns}
        streams = {MAIN: Stream(("angle", "row", "col"), {"angle": self.angles, **detector}, "uint16", unit="counts")}
        for name, count in (("dark", self.darks), ("flat", self.flats)):
            if count:
                sizes = {"frame": count * self.sets, **detector}
                streams[name] = Stream(("frame", "row", "col"), sizes, "uint16", unit="counts", first=-count)
        angle = self.start + self.range * np.arange(self.angles) / self.angles
        calibration = {"pixel": Quantity(self.pixel, "um")} if self.pixel else {}
        if self.with_truth:
            sizes = {"z": self.rows, "y": self.columns, "x": self.columns}
            streams[TRUTH] = Stream(("z", "y", "x"), sizes, "float32", unit="1/cm" if self.pixel else "1/px")
        order = (*(name for name in ("dark", "flat", TRUTH) if name in streams), MAIN)
        told = {
            "simulated": "yes: ellipsoid phantom of firstlight, no measured data",
            "sample": f"Shepp-Logan {self.sample}",
        }
        return Scan(streams, "phantom", calibration, {"angle": angle}, order, told)

    def truth(self, planes: Sequence[int] | Array | None = None) -> Array:
        """What the reconstruction should give.

        Args:
            planes: Detector rows; default: all.

        Returns:
            (z, y, x) float32, x and y about the rotation axis, in 1/cm if the pixel size is known, else per pixel;
            averaged over 4 × 4 × 4 points of each voxel.
        """
        rows = np.arange(self.rows) if planes is None else np.asarray(planes, dtype=np.int64)
        return self._made().truth(rows)

    def open(self) -> Scan:
        """Prepare the sample and the beam."""
        self._scene, self._stopped = self._made(), False
        self._left, self._chosen = None, {}
        return self.scan()

    def narrow(self, scan: Scan, chosen: Mapping[str, Positions]) -> None:
        """Make only the selected part from now on; `scan` is what is left."""
        self._left, self._chosen = scan, dict(chosen)

    def items(self) -> Iterator[Item]:
        """Darks and flats set by set, then the projections in order."""
        whole = self.scan().main
        for name, number in (("dark", self.darks), ("flat", self.flats)):
            last = BEFORE
            for set_ in range(self.sets if number else 0):
                first = -number if set_ == 0 else self.angles
                frames = np.arange(first, first + number, dtype=np.int64)
                ids = moved_set(frames, whole, self._chosen, last)
                last = int(ids[-1])
                yield from self._play(name, frames, ids, set_)
                if self._stopped:
                    return
                yield End(name, set_)
            if number:
                yield End(name)
        if self.with_truth:
            yield from self._play_truth()
        frames = self._all_ids(MAIN)
        ids = frames if keeps_ids(whole, self._chosen) else np.arange(len(frames), dtype=np.int64)
        yield from self._play(MAIN, frames, ids, 0)
        if not self._stopped:
            yield End(MAIN)

    def _play(self, stream: str, frames: Ids, ids: Ids, set_: int) -> Iterator[Chunk]:
        rows = self._chosen.get("row", range(self.rows))
        step = max(1, int(self.chunk // (2 * len(rows) * self.columns)))
        if stream == MAIN and self.rate:
            step = max(1, min(step, int(self.rate * LONGEST_CHUNK)))
        begun = time.monotonic()
        for start in range(0, len(ids), step):
            part = frames[start : start + step]
            data = self._frames(stream, part, rows)
            if stream == MAIN and self.rate:
                self._wait(begun + (start + len(part)) / self.rate)
            if self._stopped:
                return
            coords = {"angle": self.start + self.range * part / self.angles} if stream == MAIN else {}
            yield Chunk(data, ("row", "col"), ids[start : start + step], coords=coords, stream=stream, set=set_)

    def _play_truth(self) -> Iterator[Item]:
        step = max(1, int(self.chunk // (4 * self.columns**2)))
        for start in range(0, self.rows, step):
            if self._stopped:
                return
            ids = np.arange(start, min(start + step, self.rows), dtype=np.int64)
            yield Chunk(self.truth(ids), ("y", "x"), ids, stream=TRUTH)
        yield End(TRUTH, 0)
        yield End(TRUTH)

    def _wait(self, until: float) -> None:
        while not self._stopped and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))

    def _made(self) -> Scene:
        """The scene; imported here, because listing the sources must not load the kernels' compiler."""
        from .scene import Scene

        return Scene(self)

    def _frames(self, stream: str, frames: Ids, rows: Positions, columns: slice = slice(None)) -> Array:
        """Frames by their number in the whole scan; only the rows that are asked for are made."""
        scene = self._scene = self._scene or self._made()
        start, stop = (rows.start, rows[-1] + 1) if len(rows) else (0, 0)
        out = np.empty((len(frames), stop - start, self.columns), np.uint16)
        for number, frame in enumerate(frames.tolist()):
            scene.frame(stream, frame, start, stop, out[number])
        kept = out[:, :: max(rows.step, 1)]
        only = {"col": self._chosen["col"]} if "col" in self._chosen else {}
        return cut_frames(kept, ("row", "col"), only)[..., columns]

    def read(self, where: Mapping[str, slice], stream: str = MAIN) -> Array:
        """One block of a stream; only the rows that are asked for are made.

        Raises:
            UnknownName: There is no such stream or axis.
        """
        described = (self._left or self.scan()).stream(stream)
        if unknown := set(where) - set(described.axes):
            expected = "axes out of " + " ".join(described.axes)
            raise UnknownName(
                f"The stream '{stream}' has no axis '{min(unknown)}'.",
                field="where",
                value=sorted(where),
                expected=expected,
            )
        if stream == TRUTH:
            planes = np.arange(self.rows)[where.get("z", slice(None))]
            return self.truth(planes)[:, where.get("y", slice(None)), where.get("x", slice(None))]
        frames = self._all_ids(stream)[where.get(described.axes[0], slice(None))]
        rows = self._chosen.get("row", range(self.rows))[where.get("row", slice(None))]
        return self._frames(stream, frames, rows, where.get("col", slice(None)))

    def _all_ids(self, stream: str) -> Ids:
        if stream == MAIN:
            return np.asarray(self._chosen.get("angle", range(self.angles)), np.int64)
        count = self.darks if stream == "dark" else self.flats
        before = np.arange(-count, 0, dtype=np.int64)
        return before if self.sets == 1 else np.concatenate([before, self.angles + np.arange(count, dtype=np.int64)])

    def stop(self) -> None:
        """End `items` after the chunk in hand."""
        self._stopped = True

    def close(self) -> None:
        """Give the memory of the beam image back."""
        self._scene = None
