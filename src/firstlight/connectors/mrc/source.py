"""Source over MRC stacks: tilt series of electron microscopes."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError
from firstlight.core.units import Quantity

from ..recorded.angles import AngleUnit, given_angles
from ..recorded.frames import ArrayReader, Recording
from ..recorded.source import RecordedSource
from ..recorded.stack import Order, Stack, beside, stack_recording
from .axis import axis_angle, is_aligned
from .header import LENGTH, Header, is_marked
from .tilts import mdoc_spacing, mdoc_tilts, noted_tilts, stem_of

ENDINGS = (".mrc", ".mrcs", ".st", ".ali", ".rec", ".map", ".preali")
_MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
"""MRC2014; the complex modes 3 and 4 hold transforms, no images."""


class MrcSource(RecordedSource):
    """Plays an MRC stack (MRC2014): sections are projections of a tilt series, or sinograms.

    Angles come from the extended header of FEI (Thermo Fisher) microscopes or of SerialEM, or from a ``.mdoc``, ``.rawtlt``
    or ``.tlt`` file of the same name, unless they are given; those of an aligned stack (``.ali``, ``_ali.mrc``) from its
    ``.tlt`` first. Where the tilt axis lies is noted as the calibration ``tilt_axis``, in degree from the vertical. Rows
    are counted as the file has them. The stack is mapped from the disk.
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

    @classmethod
    def infer(cls, path: Path, given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Where the angles were found.

        Args:
            path: The file.
            given: Parameters that the user gave.

        Returns:
            No parameters, and what was assumed, in words.
        """
        if given.keys() & {"angles", "order"}:
            return {}, []
        reader, header = _mapped(path, "path")
        found = _found_tilts(path, header, reader.shape[0], given.get("angle_unit"))
        if found is None:
            return {}, []
        tilts, where = found
        return {}, [
            f"the {len(tilts)} tilt angles are those of {where}: {tilts.min():g}° to {tilts.max():g}° (--angles for others)"
        ]

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
        known = self.known({"pixel": _pixel(path, header)})
        if self.order == "projection":
            known["tilt_axis"] = Quantity(axis_angle(path, header), "deg")
        stack = Stack(
            reader,
            self.order,
            lambda count: self._angles(path, header, count),
            images,
            path.stem,
            known,
        )
        return stack_recording(stack)

    def _angles(self, path: Path, header: Header, count: int) -> Array | None:
        if self.angles is not None:
            return given_angles(self.angles, count, beside=path, unit=self.angle_unit)
        found = _found_tilts(path, header, count, self.angle_unit)
        return None if found is None else found[0]


def _found_tilts(path: Path, header: Header, count: int, unit: AngleUnit | None) -> tuple[Array, str] | None:
    """(section,) angles in degree, and where they are; None where nobody noted them."""
    beside = [path.with_name(stem_of(path) + ending) for ending in (".rawtlt", ".tlt")]
    files = [each for each in beside if each.is_file()]
    refined = [each for each in files if each.suffix == ".tlt" and is_aligned(path, header)]
    for each in refined:
        return given_angles(str(each.absolute()), count, beside=path, unit=unit), each.name
    for tilts, where in ((noted_tilts(path, header), "its header"), (mdoc_tilts(path), "its .mdoc")):
        if tilts is not None and len(tilts) >= count:
            return tilts[:count], where
    for each in files:
        return given_angles(str(each.absolute()), count, beside=path, unit=unit), each.name
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


def _pixel(path: Path, header: Header) -> Quantity | None:
    """The pixel size, from the cell in Å and the intervals along x, or what SerialEM noted beside the stack."""
    width, count = header.cell[0], header.intervals[0]
    if np.isfinite(width) and width > 0 and count > 0:
        return Quantity(width / count, "Å")
    spacing = mdoc_spacing(path)
    return None if spacing is None else Quantity(spacing, "Å")


def _no_mrc(path: Path, field: str, why: str) -> SourceError:
    return SourceError(
        f"The file can not be read as MRC ({why}).",
        field=field,
        value=str(path),
        expected="an MRC2014 stack of real numbers",
        next_move="Copy it again from where it was written, or convert it.",
    )
