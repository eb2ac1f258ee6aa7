"""Source over CXI and NXcxi_ptycho files.

Specification: Maia, Nature Methods 9, 854 (2012), cxidb.org. All lengths in metre, energies in joule. `translation` is the
motion of the sample, so the beam moves on it the other way; `basis_vectors` say where the detector's axes point.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError
from firstlight.core.units import Metre, Quantity

from ..hdf5.files import dataset, is_dataset, lookup, open_file, quantity, words
from ..hdf5.frames import DatasetReader, check_numbers, recorded, table
from ..hdf5.handles import File
from ..recorded.diffraction import Diffraction, PositionUnit, diffraction_recording
from ..recorded.frames import Recording
from ..recorded.source import RecordedSource

_DATA = ("entry_1/data_1/data", "entry_1/instrument_1/detector_1/data")
_TRANSLATION = (
    "entry_1/data_1/translation",
    "entry_1/sample_1/geometry_1/translation",
    "entry_1/instrument_1/detector_1/translation",
)
_DETECTOR = "entry_1/instrument_1/detector_1"
_GOOD = 0x1000
"""A pixel with a signal above the background: the one bit of a mask that does not make it bad."""
_JOULES = 1.602176634e-19
_HC = 1.98644586e-25
"""Planck's constant times the speed of light, in joule metre."""
_WORDS = {"sample": "entry_1/sample_1/name", "title": "entry_1/title", "instrument": "entry_1/instrument_1/name"}


class CxiSource(RecordedSource):
    """Plays a ptychographic scan from a CXI file: patterns, and the stream `positions` (y and x, in metre)."""

    use: ClassVar[str] = "cxi"
    cites: ClassVar[tuple[str, ...]] = ("10.1038/nmeth.2110",)
    sentence: ClassVar[str] = "Data were read from a CXI file."

    data: str | None = None
    """Path of the patterns (position row col); default: ``entry_1/data_1/data``."""
    translation: str | None = None
    """Path of the positions of the sample (position, x y z), in metre; default: where CXI has them."""
    position_unit: PositionUnit = "m"
    """Of the positions: CXI's is metre, some files have micrometre, or pixels of the object."""
    distance: Annotated[Metre, Field(gt=0)] | None = None
    """From the sample to the detector; default: what the file says."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True if the file has CXI's data and translation."""
        try:
            with open_file(path) as file:
                return _first(file, _DATA) is not None and _first(file, _TRANSLATION) is not None
        except (SourceError, OSError):
            return False

    def load(self) -> Recording:
        """Open the file and find patterns, positions and calibration.

        Raises:
            SourceError: The file can not be read, or something that is needed is missing or makes no sense.
        """
        return recorded(self.path, self._record)

    def _record(self, file: File) -> Recording:
        frames = dataset(file, self.data or _first(file, _DATA) or _DATA[0], "data")
        check_numbers(frames, "data", 3)
        moves = dataset(file, self.translation or _first(file, _TRANSLATION) or _TRANSLATION[0], "translation")
        calibration = {
            "pixel": quantity(file, (f"{_DETECTOR}/x_pixel_size",), "m"),
            "energy": self._energy(file),
            "distance": Quantity(self.distance, "m")
            if self.distance
            else quantity(file, (f"{_DETECTOR}/distance",), "m"),
        }
        found = Diffraction(
            DatasetReader(frames),
            beam_places(np.asarray(table(moves, "translation", 2), np.float64), _basis(file)),
            self.position_unit,
            self.path.stem,
            self.known(calibration),
            _bad(file, frames.shape[1:]),
            words(file, _WORDS),
        )
        return diffraction_recording(found)

    def _energy(self, file: File) -> Quantity | None:
        """Of a photon: `beam_1` first, because NXcxi_ptycho's source energy is that of the electrons in the ring."""
        beam = quantity(
            file, ("entry_1/instrument_1/beam_1/energy", "entry_1/instrument_1/beam_1/incident_energy"), "J"
        )
        if beam is not None:
            return beam if beam.unit != "J" else Quantity(beam.value / _JOULES, "eV")
        wave = quantity(file, ("entry_1/instrument_1/source_1/wavelength",), "m")
        if wave is not None:
            return Quantity(_HC / wave.to("m") / _JOULES, "eV")
        source = quantity(file, ("entry_1/instrument_1/source_1/energy",), "J")
        return None if source is None else Quantity(source.to("J") / _JOULES, "eV")


def beam_places(translation: Array, basis: Array) -> Array:
    """Where the beam is on the sample, along the detector's rows and columns.

    Args:
        translation: Of the sample, shape (position, 2 or 3): x, y (and z).
        basis: Steps to the next row and to the next column, shape (3, 2) with x y z downwards: CXI's `basis_vectors`.

    Returns:
        Shape (position, 2): along rows (y) and columns (x), in the unit of the translation.
    """
    moves = np.zeros((len(translation), 3))
    moves[:, : translation.shape[1]] = translation[:, :3]
    steps = basis / np.linalg.norm(basis, axis=0)
    return -moves @ steps


def _basis(file: File) -> Array:
    found = lookup(file, f"{_DETECTOR}/basis_vectors")
    if is_dataset(found) and found.shape == (3, 2):
        basis = np.asarray(found[()], np.float64)
        if np.isfinite(basis).all() and (np.linalg.norm(basis, axis=0) > 0).all():
            return basis
    # CXI looks from the sample along the beam, y up: rows go down, columns against x
    return np.array([[0.0, -1.0], [-1.0, 0.0], [0.0, 0.0]])


def _bad(file: File, shape: tuple[int, ...]) -> Array | None:
    found: Any = lookup(file, f"{_DETECTOR}/mask")
    if not is_dataset(found) or found.shape != shape or found.dtype.kind not in "biu":
        return None
    mask = np.asarray(found[()], np.int64)
    return np.asarray((mask & ~_GOOD) != 0)


def _first(file: File, paths: tuple[str, ...]) -> str | None:
    return next((path for path in paths if is_dataset(lookup(file, path))), None)
