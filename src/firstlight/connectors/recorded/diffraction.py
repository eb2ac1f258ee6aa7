"""Diffraction patterns at known positions, from any file that has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Literal

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import SourceError
from firstlight.core.units import Quantity, factor

from .frames import ArrayReader, Frames, Reader, Recording
from .through import Through

PositionUnit = Literal["m", "mm", "um", "nm", "px"]
"""Units in which positions may be given."""
POSITIONS = "positions"
"""Name of the stream of positions, which a solver joins to the frames by their ids."""
LARGEST_FRAME = 2**30
"""Bytes of one frame, far beyond any detector: more is a damaged file."""
WIDEST_SCAN = 0.1
"""Metres. Wider ones are positions in another unit."""


@dataclass(frozen=True, slots=True)
class Masked(Through):
    """Frames whose dead pixels are marked: −1, NaN, or the type's largest value, as detectors do it."""

    bad: Array
    """Shape (row, col), bool: pixels that do not measure."""

    def read_into(self, where: tuple[slice, ...], out: Array) -> None:
        """Read a block, and mark its dead pixels."""
        self.reader.read_into(where, out)
        kind = self.dtype.kind
        mark = np.nan if kind == "f" else -1 if kind == "i" else np.iinfo(out.dtype).max
        out[..., self.bad[where[-2:]]] = mark


@dataclass(frozen=True, slots=True)
class Diffraction:
    """Patterns, where they were taken, and what is known of the beam."""

    reader: Reader
    """Shape (position, row, col)."""
    places: Array
    """Where the beam was on the sample, y and x: shape (position, 2), rows and columns of the object rise with them."""
    unit: str
    """Of the places: a length, or px for pixels of the object."""
    name: str
    calibration: Mapping[str, Quantity] = field(default_factory=dict[str, Quantity])
    """``energy``, ``distance`` (sample to detector) and ``pixel`` (of the detector), where they are known."""
    bad: Array | None = None
    """Shape (row, col), True where a pixel does not measure."""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


def diffraction_recording(found: Diffraction) -> Recording:
    """The scan of a file: frames (position row col), and the stream `positions` (position yx).

    Raises:
        SourceError: There are not as many positions as frames, they are far apart for their unit, or frames are absurdly large.
    """
    count, rows, cols = found.reader.shape
    _demand_size(found.reader)
    places = np.ascontiguousarray(found.places, np.float64)
    if places.shape != (count, 2):
        raise SourceError(
            "Frames and positions do not fit.",
            field="positions",
            value=places.shape,
            expected=f"({count}, 2): one for each frame",
            next_move="Name the positions that belong to these frames.",
        )
    known = np.asarray(np.isfinite(places).all(axis=1))
    _demand_width(places[known], found.unit)
    reader = found.reader if found.bad is None or not found.bad.any() else Masked(found.reader, found.bad)
    ids = np.arange(count, dtype=np.int64)
    main = Stream(
        ("position", "row", "col"),
        {"position": count, "row": rows, "col": cols},
        reader.dtype.newbyteorder("=").name,
        unit="counts",
    )
    positions = Stream(("position", "yx"), {"position": count, "yx": 2}, "float64", unit=found.unit)
    missing = None if known.all() else known
    reason = "its position is not a number"
    return Recording(
        Scan({MAIN: main, POSITIONS: positions}, found.name, found.calibration, {}, (POSITIONS, MAIN), found.metadata),
        (
            Frames(
                ArrayReader(places, f"positions of {found.name}"), ids, ids, missing, stream=POSITIONS, reason=reason
            ),
            Frames(reader, ids, ids, missing, reason=reason),
        ),
    )


def _demand_size(reader: Reader) -> None:
    size = prod(reader.shape[1:]) * reader.dtype.itemsize
    if size > LARGEST_FRAME:
        raise SourceError(
            f"A frame of {reader.name} has {size} byte.",
            field="data",
            value=reader.shape[1:],
            expected=f"at most {LARGEST_FRAME} byte",
            next_move="Check the file: it may be damaged.",
        )


def _demand_width(places: Array, unit: str) -> None:
    """Positions in the wrong unit make an object that fits into no memory."""
    dimension, size = factor(unit)
    if dimension == "pixels" or not len(places):
        return
    with np.errstate(over="ignore"):
        extent = float(np.ptp(places, axis=0).max()) * size
    if not extent <= WIDEST_SCAN:
        raise SourceError(
            f"The positions are {extent:.3g} m apart.",
            field="position_unit",
            value=unit,
            expected=f"at most {WIDEST_SCAN} m",
            next_move="Say in which unit they are: --set source.position_unit=um, or px for pixels of the object.",
        )
