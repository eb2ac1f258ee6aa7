"""Source over DXfile (Data Exchange): ``exchange/data`` with darks, whites and theta beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import SourceError
from firstlight.core.units import Quantity

from ..hdf5.angles import chosen
from ..hdf5.files import attribute, dataset, is_dataset, lookup, neighbour, open_file, quantity, words
from ..hdf5.frames import covered, frame_reader, image_dataset, recorded
from ..hdf5.handles import Dataset, File
from ..recorded.frames import Frames, Recording, image_frames
from ..recorded.place import runs
from ..recorded.source import RecordedSource
from ..recorded.stack import Order, in_turn, sets_stream
from ..recorded.turned import turned

_INSTRUMENT = "measurement/instrument"
_PIXEL_AT_SAMPLE = (f"{_INSTRUMENT}/detection_system/objective/resolution",)
_PIXEL_OF_DETECTOR = (f"{_INSTRUMENT}/detector/pixel_size", f"{_INSTRUMENT}/detector/pixel_size_x")
_ANGLES = "exchange/theta"
_MAGNIFICATION = f"{_INSTRUMENT}/detection_system/objective/magnification"
_WORDS = {
    "title": "exchange/title",
    "sample": "measurement/sample/name",
    "instrument": f"{_INSTRUMENT}/name",
    "start": "process/acquisition/start_date",
    "experimenter": "measurement/sample/experimenter/name",
    "proposal": "measurement/sample/experiment/proposal",
}


class DXfileSource(RecordedSource):
    """Plays a tomography scan from a DXfile (Data Exchange, as written at the Advanced Photon Source)."""

    use: ClassVar[str] = "dxfile"
    cites: ClassVar[tuple[str, ...]] = ("10.1107/S160057751401604X",)
    sentence: ClassVar[str] = "Data were read from a DXfile (Data Exchange)."

    data: str = "exchange/data"
    """Path of the projections (angle row col), or of the sinograms (row angle col)."""
    order: Order | None = None
    """What an image of the data is: a projection (row col), or the sinogram of one row (angle col). Default: what the
    attribute ``axes`` says, or sinograms where there are as many angles as the second axis is long, and not as many as the first."""
    darks: str | None = "exchange/data_dark"
    """Path of the dark frames; null: there are none."""
    flats: str | None = "exchange/data_white"
    """Path of the flat frames; null: there are none."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True if the file has ``exchange/data`` of two dimensions (one detector line) or three."""
        try:
            with open_file(path) as file:
                found = lookup(file, "exchange/data")
                return is_dataset(found) and found.ndim in (2, 3)
        except (SourceError, OSError):
            return False

    @classmethod
    def infer(cls, path: Path, given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Whether the data are projections or sinograms.

        Args:
            path: The file.
            given: Parameters that the user gave.

        Returns:
            Parameters, and what was assumed, in words.
        """
        if "order" in given:
            return {}, []
        with open_file(path) as file:
            found = lookup(file, given.get("data", "exchange/data"))
            if not is_dataset(found) or not _holds_sinograms(file, found):
                return {}, []
            rows, angles = found.shape[:2]
        told = f"the data are {rows} sinograms over {angles} angles (--set source.order=projection where they are not)"
        return {"order": "sinogram"}, [told]

    def load(self) -> Recording:
        """Open the file and find projections, darks, whites and angles.

        Raises:
            SourceError: The file can not be read, or something that is needed is missing or makes no sense.
        """
        return recorded(self.path, self._record)

    def _record(self, file: File) -> Recording:
        found = dataset(file, self.data, "data")
        sinograms = self.order == "sinogram" or (self.order is None and _holds_sinograms(file, found))
        reader = turned(frame_reader(found, "data")) if sinograms else frame_reader(found, "data")
        frames, rows, columns = reader.shape
        main = Stream(
            ("angle", "row", "col"),
            {"angle": frames, "row": rows, "col": columns},
            found.dtype.newbyteorder("=").name,
            unit=attribute(found, "units"),
        )
        keep = None if sinograms else covered(found, 1)
        coords = {"angle": self._angles(file, frames, keep)}
        images: dict[str, list[Frames]] = {}
        for name, paths in self._images(file):
            early, late = (None if path is None else _image(file, path, name, main, sinograms) for path in paths)
            images[name] = in_turn(early, late, main)
        streams = {MAIN: main} | {name: sets_stream(sets, main) for name, sets in images.items()}
        parts = [each for sets in images.values() for part in sets for each in _by_set(part, alone=len(sets) == 1)]
        ids = np.arange(frames, dtype=np.int64)
        parts.append(Frames(reader, ids, ids, keep, coords, reason="missing in the file", kind="lost"))
        order = (*images, MAIN)
        return Recording(
            Scan(streams, self.path.stem, self._calibration(file), coords, order, words(file, _WORDS)), tuple(parts)
        )

    def _images(self, file: File) -> list[tuple[str, tuple[str | None, str | None]]]:
        """Streams of darks and flats that the file has, from before and after the scan; one that the user named by another path must be there."""
        found: list[tuple[str, tuple[str | None, str | None]]] = []
        for name, field in (("dark", "darks"), ("flat", "flats")):
            path: str | None = getattr(self, field)
            if path is None:
                continue
            here = lookup(file, path)
            if (is_dataset(here) and here.size) or field in self.model_fields_set:
                found.append((name, (path, None)))
                continue
            before, after = (
                each if is_dataset(lookup(file, each)) else None for each in (path + "_pre", path + "_post")
            )
            if before or after:  # as at the Swiss Light Source
                found.append((name, (before, after)))
        return found

    def _angles(self, file: File, frames: int, keep: Array | None) -> Array:
        if self.angles is None and not is_dataset(lookup(file, _ANGLES)):
            raise SourceError(
                f"The file {self.path.name} holds no angles: they are written after the scan, so it may not have been closed cleanly.",
                field="angles",
                value=_ANGLES,
                expected="the angle of every projection, in degree",
                next_move="Name the dataset in angles, or give a range such as 0:180 or 0:360.",
            )
        return chosen(self.angles or _ANGLES, file, frames, unit=self.angle_unit, needed=keep)

    def _calibration(self, file: File) -> dict[str, Quantity]:
        return self.known(
            {
                "pixel": self._pixel(file),
                "energy": quantity(file, (f"{_INSTRUMENT}/monochromator/energy",), "keV"),
                "distance": quantity(file, (f"{_INSTRUMENT}/sample_motor_stack/detector_distance",), "mm"),
            }
        )

    def _pixel(self, file: File) -> Quantity | None:
        """The pixel size at the sample: stated, or that of the detector over the magnification."""
        at_sample = quantity(file, _PIXEL_AT_SAMPLE, "um")
        at_detector = quantity(file, _PIXEL_OF_DETECTOR, "um")
        times = lookup(file, _MAGNIFICATION)
        if at_sample or not at_detector or not is_dataset(times) or times.dtype.kind not in "iuf" or times.size != 1:
            return at_sample
        factor = float(np.asarray(times[()]).flat[0])
        return Quantity(at_detector.value / factor, at_detector.unit) if factor > 0 else None


def _holds_sinograms(file: File, found: Dataset) -> bool:
    """The axes tell, where they are stated (``y:theta:x``), else the angles: as many as the second axis is long, and not the first."""
    axes = (attribute(found, "axes") or "").replace(" ", "").lower().split(":")
    if found.ndim == 3 and len(axes) == 3 and "theta" in axes:
        return axes[1] == "theta"
    theta: Any = lookup(file, _ANGLES)
    return is_dataset(theta) and found.ndim == 3 and theta.size == found.shape[1] != len(found)


def _image(file: File, path: str, name: str, main: Stream, sinograms: bool) -> Frames:
    """Dark or flat frames, which lie in sinograms like the data (row frame col), or in a stack of their own."""
    found = lookup(file, path)
    if sinograms and is_dataset(found) and found.ndim == 3 and (len(found), found.shape[2]) == main.frame_shape:
        return image_frames(turned(frame_reader(found, f"{name}s")), name, main)
    return image_dataset(file, path, name, main)


def _by_set(part: Frames, alone: bool) -> list[Frames]:
    """The sets that frames were taken in, where our own sink noted their place in the acquisition."""
    if not alone:
        return [part]
    found = getattr(part.reader, "dataset", None)
    noted: Any = None if found is None else neighbour(found, found.name.rpartition("/")[2] + "_id")
    if found is None or not is_dataset(noted) or len(noted) != len(part.rows):
        return [part]
    there = covered(found, 1, f"covered_{part.stream}")
    came = len(part.rows) if there is None else int(there.sum())
    ids = np.asarray(noted[:came], dtype=np.int64)
    cut = [replace(part, rows=part.rows[start:stop], ids=ids[start:stop]) for start, stop in runs(ids)]
    return [replace(each, set=number) for number, each in enumerate(cut)]
