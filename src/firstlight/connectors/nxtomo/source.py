"""Source over NXtomo: frames sorted by image key, with darks and flats placed among the projections."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import SourceError

from ..hdf5.angles import chosen, how_many
from ..hdf5.files import attribute, dataset, is_dataset, lookup, neighbour, open_file, quantity, words
from ..hdf5.frames import DatasetReader, check_numbers, covered, frame_reader, image_dataset, recorded
from ..hdf5.handles import Dataset, File
from ..recorded.frames import Frames, Reader, Recording, image_stream
from ..recorded.source import RecordedSource
from .keys import ALIGNMENT, Sorted, check_key, sort_frames, sort_noted
from .layout import PROCESSED, Layout, broken_angles, entries, find_layout, is_scan, monitor_of

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
    sentence: ClassVar[str] = "Data were read from a NeXus file (NXtomo)."

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
    scan: Annotated[int, Field(ge=0)] | None = None
    """Which scan to play of frames with a fourth axis (angle row col scan)."""
    monitor: str | None = None
    """Path of what a monitor of the beam counted during each frame; default: ``control/data``, where it is there."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True if the file has an NXtomo or NXtomoproc entry, or an image key beside frames."""
        try:
            with open_file(path) as file:
                return is_scan(file)
        except (SourceError, OSError):
            return False

    @classmethod
    def infer(cls, path: Path, given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Which of several scans is taken.

        Args:
            path: The file.
            given: Parameters that the user gave.

        Returns:
            Parameters, and what was assumed, in words.
        """
        with open_file(path) as file:
            found = [] if {"entry", "data"} & given.keys() else entries(file)
        if len(found) < 2:
            return {}, []
        others = ", ".join(found[1:4]) + (" …" if len(found) > 4 else "")
        return {}, [f"of {len(found)} scans in the file {found[0]} is taken (--set source.entry=PATH for {others})"]

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
        if layout.kind == PROCESSED:
            check_numbers(frames, "data", 3)
            return self._volume(file, layout, frames)
        return self._scan(file, layout, frames)

    def _volume(self, file: File, layout: Layout, frames: Dataset) -> Recording:
        axes = ("z", "y", "x")
        main = Stream(axes, dict(zip(axes, frames.shape, strict=True)), _dtype(frames), unit=attribute(frames, "units"))
        ids = np.arange(len(frames), dtype=np.int64)
        part = Frames(DatasetReader(frames), ids, ids, covered(frames, 1), reason="missing in the file", kind="lost")
        return Recording(self._describe(file, layout, {MAIN: main}, {}), (part,))

    def _scan(self, file: File, layout: Layout, frames: Dataset) -> Recording:
        reader = frame_reader(frames, "data", self.scan)
        key = self._key(file, layout, len(frames))
        noted = neighbour(frames, "frame_id")
        fits = is_dataset(noted) and noted.ndim == 1 and len(noted) >= len(key)
        ids = np.asarray(noted[: len(key)], np.int64) if fits else None
        kinds = (None if ids is None else sort_noted(key, ids)) or sort_frames(key)
        axes, rows = ("angle", "row", "col"), kinds.rows
        sizes = dict(zip(axes, (len(rows), *reader.shape[1:]), strict=True))
        main = Stream(axes, sizes, _dtype(frames), unit=attribute(frames, "units"))
        images = self._images(file, layout, kinds, reader, main)
        coords = {
            "angle": self._angles(file, layout, len(frames), kinds),
            **self._monitored(file, layout, len(frames), rows),
        }
        keep = None if kinds.valid.all() else kinds.valid
        place = np.arange(len(rows), dtype=np.int64)
        projections = Frames(reader, rows, place, keep, coords, reason="the image key marks it as invalid")
        streams = {MAIN: main} | {name: stream for name, (stream, _) in images.items()}
        parts = [part for _, found in images.values() for part in found]
        return Recording(self._describe(file, layout, streams, coords), (*parts, projections))

    def _images(
        self, file: File, layout: Layout, kinds: Sorted, reader: Reader, main: Stream
    ) -> dict[str, tuple[Stream, list[Frames]]]:
        """Darks and flats: those elsewhere, or those that the key marks, set by set."""
        named = {name: path for name, path in (("dark", self.darks), ("flat", self.flats)) if path is not None}
        elsewhere = {**layout.images, **named}
        found: dict[str, tuple[Stream, list[Frames]]] = {}
        for name, sets in (("dark", kinds.darks), ("flat", kinds.flats)):
            if name in elsewhere:
                part = image_dataset(file, elsewhere[name], name, main)
                found[name] = (image_stream(part, main), [part])
            elif sets:
                sizes = {**main.sizes, "frame": sum(len(each.rows) for each in sets)}
                axes = ("frame", *main.frame_axes)
                stream = replace(main, axes=axes, sizes={axis: sizes[axis] for axis in axes}, first=int(sets[0].ids[0]))
                parts = [Frames(reader, each.rows, each.ids, stream=name, set=n) for n, each in enumerate(sets)]
                found[name] = (stream, parts)
        return found

    def _key(self, file: File, layout: Layout, frames: int) -> Array:
        if layout.image_key is None:
            return np.zeros(frames, np.int64)
        found = dataset(file, layout.image_key, "image_key")
        key = check_key(found[()], frames, f"'{found.name}' in {found.file.filename}")
        if layout.control is None:
            return key
        control = np.asarray(lookup(file, layout.control)[()]).ravel()
        return np.where(control == ALIGNMENT, ALIGNMENT, key) if len(control) == frames else key

    def _angles(self, file: File, layout: Layout, frames: int, kinds: Sorted) -> Array:
        """(projection,) in degree. A range is spread over the projections; a list may have them alone, or all frames."""
        given = layout.angles if self.angles is None else self.angles
        if given is None:
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
        scanned = int(kinds.scanned.sum())
        if how_many(given, file) in (None, scanned):
            angles = np.zeros(len(kinds.rows))
            needed = kinds.valid[kinds.scanned]
            angles[kinds.scanned] = chosen(given, file, scanned, unit=self.angle_unit, trust=True, needed=needed)
            return angles
        needed = np.zeros(frames, bool)
        needed[kinds.rows] = kinds.valid
        return chosen(given, file, frames, unit=self.angle_unit, trust=True, needed=needed)[kinds.rows]

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
