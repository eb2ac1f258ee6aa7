"""Source over NXtomo: frames sorted by image key, with darks and flats placed among the projections."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import SourceError

from ..hdf5.angles import chosen
from ..hdf5.files import attribute, dataset, is_dataset, lookup, open_file, quantity, words
from ..hdf5.frames import DatasetReader, check_numbers, covered, image_dataset, recorded
from ..hdf5.handles import Dataset, File
from ..recorded.frames import Frames, Recording, image_stream
from ..recorded.source import RecordedSource
from .keys import ALIGNMENT, FrameSet, check_key, sort_frames, sort_noted
from .layout import PROCESSED, Layout, broken_angles, find_layout, monitor_of

_PIXEL = ("sample/x_pixel_size", "instrument/detector/x_pixel_size")
_OWN_PIXEL = ("calibration/pixel",)
_ENERGY = (
    "beam/incident_energy",
    "sample/beam/incident_energy",
    "instrument/beam/incident_energy",
    "instrument/monochromator/energy",
)
_DISTANCE = ("instrument/detector/distance",)
_WORDS = {
    "title": "title",
    "sample": "sample/name",
    "start": "start_time",
    "instrument": "instrument/name",
    "experiment": "experiment_identifier",
}


class NXtomoSource(RecordedSource):
    """Plays a tomography scan from a NeXus file with an image key (NXtomo), or slices of a volume (NXtomoproc).

    Projections have the ids 0, 1, 2 …; darks and flats lie on the same scale: before zero, between, or after them.
    """

    use: ClassVar[str] = "nxtomo"
    cites: ClassVar[tuple[str, ...]] = ("10.1107/S1600576714027575",)

    entry: str | None = None
    """Path of the entry; default: the first NXtomo, then NXtomoproc, then any with an image key."""
    data: str | None = None
    """Path of the frames; default: where NXtomo has them."""
    image_key: str | None = None
    """Path of the key (0 projection, 1 flat, 2 dark, 3 invalid); default: where NXtomo has it."""

    darks: str | None = None
    """Dark frames elsewhere: a dataset of this file, or ``FILE:PATH``; default: what the key marks, or ``darkfield``."""
    flats: str | None = None
    """Flat frames elsewhere, likewise; default: what the key marks, or ``flatfield``."""
    monitor: str | None = None
    """Path of what a monitor of the beam counted during each frame; default: ``control/data``, where it is there."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True if the file has an NXtomo or NXtomoproc entry, or an image key beside frames."""
        try:
            with open_file(path) as file:
                find_layout(file)
        except (SourceError, OSError):
            return False
        return True

    def load(self) -> Recording:
        """Open the file and find frames, keys and angles.

        Raises:
            SourceError: The file can not be read, or something that is needed is missing or makes no sense.
        """
        return recorded(self.path, self._record)

    def _record(self, file: File) -> Recording:
        apart = self.darks is not None or self.flats is not None
        layout = find_layout(file, entry=self.entry, data=self.data, image_key=self.image_key, apart=apart)
        frames = dataset(file, layout.data, "data")
        check_numbers(frames, "data", 3)
        return self._volume(file, layout, frames) if layout.kind == PROCESSED else self._scan(file, layout, frames)

    def _volume(self, file: File, layout: Layout, frames: Dataset) -> Recording:
        axes = ("z", "y", "x")
        main = Stream(axes, dict(zip(axes, frames.shape, strict=True)), _dtype(frames), unit=attribute(frames, "units"))
        ids = np.arange(len(frames), dtype=np.int64)
        part = Frames(DatasetReader(frames), ids, ids, covered(frames, 1), reason="missing in the file", kind="lost")
        return Recording(self._describe(file, layout, {MAIN: main}, {}), (part,))

    def _scan(self, file: File, layout: Layout, frames: Dataset) -> Recording:
        key = self._key(file, layout, len(frames))
        noted: Any = lookup(frames.parent, "frame_id")
        ids = np.asarray(noted[()], np.int64) if is_dataset(noted) and noted.shape == key.shape else None
        kinds = (None if ids is None else sort_noted(key, ids)) or sort_frames(key)
        angle = self._angles(file, layout, len(frames))[kinds.rows]
        detector = {"row": frames.shape[1], "col": frames.shape[2]}
        unit = attribute(frames, "units")
        streams = {
            MAIN: Stream(("angle", "row", "col"), {"angle": len(kinds.rows), **detector}, _dtype(frames), unit=unit)
        }
        parts: list[Frames] = []
        elsewhere = {
            **layout.images,
            **{n: p for n, p in (("dark", self.darks), ("flat", self.flats)) if p is not None},
        }
        for name, sets in (("dark", kinds.darks), ("flat", kinds.flats)):
            if name in elsewhere:
                parts.append(part := image_dataset(file, elsewhere[name], name, streams[MAIN]))
                streams[name] = image_stream(part, streams[MAIN])
            elif sets:
                count = sum(len(each.rows) for each in sets)
                first = int(sets[0].ids[0])
                streams[name] = Stream(
                    ("frame", "row", "col"), {"frame": count, **detector}, _dtype(frames), unit=unit, first=first
                )
                parts += _set_frames(frames, name, sets)
        coords = {"angle": angle, **self._monitored(file, layout, len(frames), kinds.rows)}
        keep = None if kinds.valid.all() else kinds.valid
        parts.append(
            Frames(
                DatasetReader(frames),
                kinds.rows,
                np.arange(len(kinds.rows), dtype=np.int64),
                keep,
                coords,
                reason="the image key marks it as invalid",
            )
        )
        return Recording(self._describe(file, layout, streams, coords), tuple(parts))

    def _key(self, file: File, layout: Layout, frames: int) -> Array:
        if layout.image_key is None:
            return np.zeros(frames, np.int64)
        found = dataset(file, layout.image_key, "image_key")
        key = check_key(found[()], frames, f"'{found.name}' in {found.file.filename}")
        if layout.control is None:
            return key
        control = np.asarray(lookup(file, layout.control)[()]).ravel()
        return np.where(control == ALIGNMENT, ALIGNMENT, key) if len(control) == frames else key

    def _angles(self, file: File, layout: Layout, frames: int) -> Array:
        if self.angles is not None:
            return chosen(self.angles, file, frames, unit=self.angle_unit, trust=True)
        if layout.angles is None:
            broken = broken_angles(file, layout.entry)
            raise SourceError(
                f"The entry '{layout.entry or '/'}' of {file.filename} has no angles"
                + (f": {'; '.join(broken)}." if broken else "."),
                field="angles",
                value=None,
                expected=f"{layout.entry}/sample/rotation_angle with {frames} values",
                next_move="Name the dataset in 'angles'"
                + (", or copy the file that the link names." if broken else "."),
            )
        return chosen(layout.angles, file, frames, unit=self.angle_unit, trust=True)

    def _monitored(self, file: File, layout: Layout, frames: int, rows: Array) -> dict[str, Array]:
        """The coordinate `monitor` of the projections, if the file has one."""
        path = self.monitor or monitor_of(file, layout.entry, frames)
        if path is None:
            return {}
        found = dataset(file, path, "monitor")
        if found.dtype.kind not in "iuf" or found.size != frames:
            raise SourceError(
                "The monitor does not have one number for each frame.",
                field="monitor",
                value=f"{path}: {found.shape} {found.dtype}",
                expected=f"{frames} numbers, of projections, darks and flats",
                next_move="Name another dataset in 'monitor'.",
            )
        return {"monitor": np.asarray(found[()], np.float64).ravel()[rows]}

    def _describe(self, file: File, layout: Layout, streams: dict[str, Stream], coords: dict[str, Array]) -> Scan:
        entry = lookup(file, layout.entry or "/")
        calibration = self.known(
            {
                "pixel": quantity(entry, _PIXEL, "m") or quantity(entry, _OWN_PIXEL, "um"),
                "energy": quantity(entry, _ENERGY, "keV"),
                "distance": quantity(entry, _DISTANCE, "m"),
            }
        )
        order = tuple(name for name in ("dark", "flat", MAIN) if name in streams)
        return Scan(streams, self.path.stem, calibration, coords, order, words(entry, _WORDS))


def _dtype(frames: Dataset) -> str:
    return frames.dtype.newbyteorder("=").name


def _set_frames(frames: Dataset, name: str, sets: tuple[FrameSet, ...]) -> list[Frames]:
    return [
        Frames(DatasetReader(frames), each.rows, each.ids, stream=name, set=number) for number, each in enumerate(sets)
    ]
