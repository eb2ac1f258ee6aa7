"""Source over MRC stacks: tilt series of electron microscopes."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import ClassVar

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError
from firstlight.core.units import Quantity

from ..recorded.angles import given_angles
from ..recorded.frames import ArrayReader, Recording
from ..recorded.source import RecordedSource
from ..recorded.stack import Order, Stack, beside, stack_recording
from .header import LENGTH, Header, is_marked
from .tilts import mdoc_tilts, noted_tilts

ENDINGS = (".mrc", ".mrcs", ".st", ".ali", ".rec", ".map", ".preali")
_MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
"""MRC2014; the complex modes 3 and 4 hold transforms, no images."""
_TILTS = (".rawtlt", ".tlt")


class MrcSource(RecordedSource):
    """Plays an MRC stack (MRC2014): sections are projections of a tilt series, or sinograms.

    Angles come from the extended header of FEI (Thermo Fisher) microscopes or of SerialEM, or from a ``.mdoc``, ``.rawtlt``
    or ``.tlt`` file of the same name, unless they are given. Rows are counted as the file has them. The stack is mapped from the disk.
    """

    use: ClassVar[str] = "mrc"
    cites: ClassVar[tuple[str, ...]] = ("10.1016/j.jsb.2015.04.002",)
    sentence: ClassVar[str] = "Data were read from an MRC stack."

    order: Order = "projection"
    """What a section is: a projection (row col), or the sinogram of one row (angle col)."""
    darks: Path | None = None
    """MRC file with the dark frames."""
    flats: Path | None = None
    """MRC file with the flat frames (gain references)."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for a file with the mark of MRC2014, or with an ending of MRC and a header that makes sense."""
        try:
            _mapped(path, "path")
        except SourceError:
            return is_marked(path)
        return True

    def load(self) -> Recording:
        """Read the header and map the stack.

        Raises:
            SourceError: It is no MRC file, or shorter than its header says.
        """
        path = self.path.expanduser()
        reader, header = _mapped(path, "path")
        images = {
            name: _mapped(beside(path, given), field)[0]
            for name, field, given in (("dark", "darks", self.darks), ("flat", "flats", self.flats))
            if given is not None
        }
        pixel = _pixel(header)
        stack = Stack(
            reader,
            self.order,
            lambda count: self._angles(path, header, count),
            images,
            path.stem,
            self.known({"pixel": pixel}),
        )
        return stack_recording(stack)

    def _angles(self, path: Path, header: Header, count: int) -> Array | None:
        if self.angles is not None:
            return given_angles(self.angles, count, beside=path, unit=self.angle_unit)
        for tilts in (noted_tilts(path, header), mdoc_tilts(path)):
            if tilts is not None and len(tilts) >= count:
                return tilts[:count]
        for ending in _TILTS:
            if path.with_suffix(ending).is_file():
                return given_angles(str(path.with_suffix(ending).absolute()), count, beside=path, unit=self.angle_unit)
        return None


def _mapped(path: Path, field: str) -> tuple[ArrayReader, Header]:
    """Map a stack.

    Raises:
        SourceError: It is no MRC file, or shorter than its header says.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            raw = file.read(LENGTH)
    except OSError as error:
        raise SourceError("The file can not be read.", field=field, value=str(path), next_move=str(error)) from error
    if len(raw) < LENGTH:
        raise _no_mrc(path, field, f"it has {size} byte")
    header = Header(raw)
    shape = (header.sections, header.rows, header.columns)
    if not header.marked and path.suffix.lower() not in ENDINGS:
        raise _no_mrc(path, field, "the word 'MAP ' is missing from its header")
    if min(shape) < 1 or header.mode not in _MODES or header.extra < 0:
        raise _no_mrc(path, field, f"its header says {shape} pixels of mode {header.mode}")
    kind = _MODES[header.mode] if header.signed else "u1"
    dtype = np.dtype(header.order + kind)
    needed = LENGTH + header.extra + prod(shape) * dtype.itemsize
    if needed > size:
        raise SourceError(
            f"The file is cut short: its header asks for {needed} byte, and it has {size}.",
            field=field,
            value=str(path),
            next_move="Copy it again from where it was written, or wait until the copy is complete.",
        )
    return ArrayReader(np.memmap(path, dtype, "r", LENGTH + header.extra, shape), str(path)), header


def _pixel(header: Header) -> Quantity | None:
    """The pixel size, from the cell in Å and the intervals along x."""
    width, count = header.cell[0], header.intervals[0]
    if not (np.isfinite(width) and width > 0 and count > 0):
        return None
    return Quantity(width / count, "Å")


def _no_mrc(path: Path, field: str, why: str) -> SourceError:
    return SourceError(
        f"The file can not be read as MRC ({why}).",
        field=field,
        value=str(path),
        expected="an MRC2014 stack of real numbers",
        next_move="Copy it again from where it was written, or convert it.",
    )
