"""Source over DXfile (Data Exchange): ``exchange/data`` with darks, whites and theta beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import SourceError
from firstlight.core.units import Degree, KeV, Micrometre, Quantity

from ..hdf5.angles import AngleUnit, degrees
from ..hdf5.files import attribute, dataset, is_dataset, lookup, open_file, quantity, words
from ..hdf5.frames import FileSource, Frames, Recording, check_numbers
from ..hdf5.handles import File
from ..hdf5.place import runs
from ..hdf5.source import covered, image_frames, image_stream

_INSTRUMENT = "measurement/instrument"
_PIXEL_AT_SAMPLE = (f"{_INSTRUMENT}/detection_system/objective/resolution",)
_PIXEL_OF_DETECTOR = (f"{_INSTRUMENT}/detector/pixel_size", f"{_INSTRUMENT}/detector/pixel_size_x")
_MAGNIFICATION = f"{_INSTRUMENT}/detection_system/objective/magnification"
_WORDS = {
    "title": "exchange/title",
    "sample": "measurement/sample/name",
    "instrument": f"{_INSTRUMENT}/name",
    "start": "process/acquisition/start_date",
    "experimenter": "measurement/sample/experimenter/name",
    "proposal": "measurement/sample/experiment/proposal",
}


class DXfileSource(FileSource):
    """Plays a tomography scan from a DXfile (Data Exchange, as written at the Advanced Photon Source)."""

    use: ClassVar[str] = "dxfile"
    cites: ClassVar[tuple[str, ...]] = ("10.1107/S160057751401604X",)

    data: str = "exchange/data"
    """Path of the projections (angle row col)."""
    darks: str | None = "exchange/data_dark"
    """Path of the dark frames; null: there are none."""
    flats: str | None = "exchange/data_white"
    """Path of the flat frames; null: there are none."""
    theta: str = "exchange/theta"
    """Path of the angles."""
    angle_unit: AngleUnit | None = None
    """Unit of the angles; default: degree, and numbers that look like radians are refused."""
    angle_range: Degree | None = None
    """Spread the angles evenly over this range, its end left out, where the file has none."""
    pixel: Annotated[Micrometre, Field(gt=0)] | None = None
    """Pixel size at the sample; default: what the file says."""
    energy: Annotated[KeV, Field(gt=0)] | None = None
    """Photon energy; default: what the file says."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True if the file has three-dimensional ``exchange/data``."""
        try:
            with open_file(path) as file:
                found = lookup(file, "exchange/data")
                return is_dataset(found) and found.ndim == 3
        except (SourceError, OSError):
            return False

    def record(self, file: File) -> Recording:
        """Find projections, darks, whites and angles."""
        found = dataset(file, self.data, "data")
        check_numbers(found, "data", 3)
        frames, rows, columns = found.shape
        main = Stream(
            ("angle", "row", "col"),
            {"angle": frames, "row": rows, "col": columns},
            found.dtype.newbyteorder("=").name,
            unit=attribute(found, "units"),
        )
        keep = covered(found, 1)
        coords = {"angle": self._angles(file, frames, keep)}
        images = [image_frames(file, path, name, main) for name, path in self._images(file)]
        streams = {MAIN: main} | {part.stream: image_stream(part, main) for part in images}
        parts = [each for part in images for each in _by_set(part)]
        ids = np.arange(frames, dtype=np.int64)
        parts.append(Frames(found, ids, ids, keep, coords, reason="missing in the file", kind="lost"))
        order = (*(part.stream for part in images), MAIN)
        return Recording(
            Scan(streams, self.path.stem, self._calibration(file), coords, order, words(file, _WORDS)), tuple(parts)
        )

    def _images(self, file: File) -> list[tuple[str, str]]:
        """Streams of darks and flats that the file has; one that the user named by another path must be there."""
        found: list[tuple[str, str]] = []
        for name, field in (("dark", "darks"), ("flat", "flats")):
            path: str | None = getattr(self, field)
            if path is None:
                continue
            here = lookup(file, path)
            if (is_dataset(here) and here.size) or field in self.model_fields_set:
                found.append((name, path))
        return found

    def _angles(self, file: File, frames: int, keep: Array | None) -> Array:
        if self.angle_range is not None:
            return np.arange(frames) * (self.angle_range / frames)
        if not is_dataset(lookup(file, self.theta)) and "theta" not in self.model_fields_set:
            raise SourceError(
                f"The file {self.path.name} holds no angles: they are written after the scan, so it may not have been closed cleanly.",
                field="theta",
                value=self.theta,
                expected="the angle of every projection, in degree",
                next_move="Name the dataset in theta, or set angle_range to 180 or 360.",
            )
        return degrees(dataset(file, self.theta, "theta"), frames, unit=self.angle_unit, field="theta", needed=keep)

    def _calibration(self, file: File) -> dict[str, Quantity]:
        found = {
            "pixel": Quantity(self.pixel, "um") if self.pixel else self._pixel(file),
            "energy": Quantity(self.energy, "keV")
            if self.energy
            else quantity(file, (f"{_INSTRUMENT}/monochromator/energy",), "keV"),
            "distance": quantity(file, (f"{_INSTRUMENT}/sample_motor_stack/detector_distance",), "mm"),
        }
        return {name: value for name, value in found.items() if value is not None}

    def _pixel(self, file: File) -> Quantity | None:
        """The pixel size at the sample: stated, or that of the detector over the magnification."""
        at_sample = quantity(file, _PIXEL_AT_SAMPLE, "um")
        at_detector = quantity(file, _PIXEL_OF_DETECTOR, "um")
        times = lookup(file, _MAGNIFICATION)
        if at_sample or not at_detector or not is_dataset(times) or times.dtype.kind not in "iuf" or times.size != 1:
            return at_sample
        factor = float(np.asarray(times[()]).flat[0])
        return Quantity(at_detector.value / factor, at_detector.unit) if factor > 0 else None


def _by_set(part: Frames) -> list[Frames]:
    """The sets that frames were taken in, where our own sink noted their place in the acquisition."""
    noted = lookup(part.dataset.parent, part.dataset.name.rpartition("/")[2] + "_id")
    if not is_dataset(noted) or len(noted) != len(part.rows):
        return [part]
    there = covered(part.dataset, 1, f"covered_{part.stream}")
    came = len(part.rows) if there is None else int(there.sum())
    ids = np.asarray(noted[:came], dtype=np.int64)
    cut = [replace(part, rows=part.rows[start:stop], ids=ids[start:stop]) for start, stop in runs(ids)]
    return [replace(each, set=number) for number, each in enumerate(cut)]
