"""Source over the scans of the Hard X-ray Nanoprobe (NSLS-II), as its programs exchange them.

Two layouts: ``scan_NUM.h5`` with ``diffamp`` (position x y), square roots of counts with the zero frequency at the corner, and
``points`` (2, position): x and y in micrometre; and the one that holoptycho dumps, with ``dp`` (position row col), counts, and ``points``
(2, position): slow (y) and fast axis (x). Numbers such as ``z_m`` are datasets, or attributes of the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError
from firstlight.core.units import Metre, Quantity

from ..hdf5.files import dataset, is_dataset, lookup, open_file
from ..hdf5.frames import DatasetReader, check_numbers, recorded, table
from ..hdf5.handles import File
from ..recorded.amplitudes import Squared
from ..recorded.diffraction import Diffraction, PositionUnit, diffraction_recording
from ..recorded.frames import Reader, Recording
from ..recorded.source import RecordedSource

HC_KEV_NM = 1.239841984
"""Planck's constant times the speed of light."""
_FRAMES = ("diffamp", "dp")
_LARGEST_AMPLITUDE = 2.0**16
"""Square root of the largest 32-bit count."""


class HxnFileSource(RecordedSource):
    """Plays a ptychographic scan from a file of the Hard X-ray Nanoprobe: patterns, and the stream `positions` (y and x).

    Frames are turned as their programs use them: of ``diffamp`` the first frame axis is x, the fast one, and so are the rows of
    the object. In which direction the stage moved stands in no file; their programs default to −1 for both axes.
    """

    use: ClassVar[str] = "hxn_file"

    position_unit: PositionUnit = "um"
    """Of the positions; theirs is micrometre."""
    values: Literal["auto", "counts", "amplitudes"] = "auto"
    """What frames hold; `auto`: `diffamp` amplitudes, `dp` counts."""
    x_direction: Literal[-1, 1] | None = None
    """Which way x rises; default: −1 for `diffamp`, 1 for `dp`."""
    y_direction: Literal[-1, 1] | None = None
    """Which way y rises; default: −1 for `diffamp`, 1 for `dp`."""
    distance: Annotated[Metre, Field(gt=0)] | None = None
    """From the sample to the detector; default: what the file says."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True if the file has frames (`diffamp` or `dp`) and `points`."""
        try:
            with open_file(path) as file:
                points = lookup(file, "points")
                return (
                    is_dataset(points) and points.ndim == 2 and any(is_dataset(lookup(file, each)) for each in _FRAMES)
                )
        except (SourceError, OSError):
            return False

    def load(self) -> Recording:
        """Open the file and find patterns, positions and calibration.

        Raises:
            SourceError: The file can not be read, or something that is needed is missing or makes no sense.
        """
        return recorded(self.path, self._record)

    def _record(self, file: File) -> Recording:
        name = next((each for each in _FRAMES if is_dataset(lookup(file, each))), _FRAMES[0])
        frames = dataset(file, name, "data")
        check_numbers(frames, "data", 3)
        turned = name == "diffamp"
        amplitudes = turned if self.values == "auto" else self.values == "amplitudes"
        reader: Reader = DatasetReader(frames)
        if amplitudes:
            _demand_amplitudes(reader)
            reader = Squared(reader)
        usual = -1 if turned else 1
        found = Diffraction(
            reader,
            _places(file, turned=turned, x=self.x_direction or usual, y=self.y_direction or usual),
            self.position_unit,
            self.path.stem,
            self.known(self._calibration(file)),
        )
        return diffraction_recording(found)

    def _calibration(self, file: File) -> dict[str, Quantity | None]:
        energy, wave = number(file, "xray_energy_kev", "energy_kev"), number(file, "lambda_nm")
        metres = number(file, "wavelength_m")
        wave = wave or (metres * 1e9 if metres else None)
        energy = energy or (HC_KEV_NM / wave if wave else None)
        distance = self.distance or number(file, "z_m", "distance_m")
        pixel = number(file, "ccd_pixel_um")
        return {
            "energy": Quantity(energy, "keV") if energy else None,
            "distance": Quantity(distance, "m") if distance else None,
            "pixel": Quantity(pixel, "um") if pixel else None,
        }


def number(file: File, *names: str) -> float | None:
    """A positive number that the file has under one of some names: a dataset or an attribute."""
    for name in names:
        found: Any = lookup(file, name)
        value: Any = found[()] if is_dataset(found) and found.size == 1 else file.attrs.get(name)
        try:
            value = float(np.asarray(value, np.float64).ravel()[0])
        except (TypeError, ValueError, IndexError):
            continue
        if np.isfinite(value) and value > 0:
            return value
    return None


def _places(file: File, *, turned: bool, x: int, y: int) -> Array:
    """Of the beam along rows and columns of the frames, shape (position, 2).

    Raises:
        SourceError: There are no two coordinates.
    """
    points = np.asarray(table(dataset(file, "points", "points"), "points", 2), np.float64)
    if points.shape[0] != 2:
        raise SourceError(
            "The points have no two coordinates.",
            field="points",
            value=points.shape,
            expected="(2, positions)",
            next_move="Check what wrote the file.",
        )
    signs = (x, y) if turned else (y, x)
    return points.T * np.asarray(signs, np.float64)


def _demand_amplitudes(reader: Reader) -> None:
    """Refuse counts that are called amplitudes: their squares would mean nothing.

    Raises:
        SourceError: The values are no square roots of counts.
    """
    first = np.empty((1, *reader.shape[1:]), reader.dtype.newbyteorder("="))
    if first.nbytes > 2**30:
        return  # the size of a frame is refused where it is checked
    try:
        reader.read_into((slice(0, 1), *(slice(0, size) for size in reader.shape[1:])), first)
    except OSError:
        return  # damaged frames are told where they are played
    largest = float(np.nanmax(np.abs(first).astype(np.float64), initial=0.0))
    if largest > _LARGEST_AMPLITUDE:
        raise SourceError(
            f"The values of {reader.name} reach {largest:.3g}: these can not be square roots of counts.",
            field="values",
            value="amplitudes",
            expected=f"at most {_LARGEST_AMPLITUDE:.0f}",
            next_move="Give --set source.values=counts.",
        )
