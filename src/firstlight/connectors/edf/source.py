"""Source over EDF files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError

from ..recorded.angles import checked, given_angles
from ..recorded.frames import Recording
from ..recorded.listing import listed
from ..recorded.source import RecordedSource
from ..recorded.stack import Order, Stack, beside, stack_recording
from .blocks import Block, motor, no_edf, read_blocks

ENDINGS = (".edf",)


class EdfSource(RecordedSource):
    """Plays EDF files: a folder of frames, or one file with many; projections or sinograms. Pixels are mapped from the disk."""

    use: ClassVar[str] = "edf"

    pattern: str | None = None
    """Names of the files in a folder that count, such as ``scan*.edf``; default: all EDF files."""
    order: Order = "projection"
    """What a frame is: a projection (row col), or the sinogram of one row (angle col)."""
    darks: Path | None = None
    """Dark frames: a file, a folder, or a pattern such as ``dark*.edf`` beside the data."""
    flats: Path | None = None
    """Flat frames, likewise, such as ``ref*.edf``."""
    motor: str | None = None
    """Motor in the headers whose position, in degree, is the angle, such as ``srot``."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for an EDF file, and for a folder that holds some."""
        try:
            return bool(read_blocks(listed(path, ENDINGS, None, "path")[0], 1))
        except SourceError:
            return False

    def load(self) -> Recording:
        """Read the headers.

        Raises:
            SourceError: A file is no EDF, cut short, or not like the others.
        """
        reader = _Blocks.of(listed(self.path, ENDINGS, self.pattern, "path"))
        images = {
            name: _Blocks.of(listed(beside(self.path, path), ENDINGS, None, field))
            for name, field, path in (("dark", "darks", self.darks), ("flat", "flats", self.flats))
            if path is not None
        }
        stack = Stack(
            reader,
            self.order,
            lambda count: self._angles(reader.blocks, count),
            images,
            self.path.stem,
            self.known({"pixel": None}),
        )
        return stack_recording(stack)

    def _angles(self, blocks: tuple[Block, ...], count: int) -> Array | None:
        if self.motor is not None:
            found = [motor(block.header, self.motor) for block in blocks]
            if None in found:
                missing = blocks[found.index(None)]
                raise SourceError(
                    f"The header of {missing.path.name} does not say where the motor is.",
                    field="motor",
                    value=self.motor,
                    expected="a key of the header, or one of motor_mne: "
                    + (missing.header.get("motor_mne", "") or "(none)")[:200],
                )
            return checked(np.array(found, np.float64), count, "the headers", unit=self.angle_unit, field="motor")
        if self.angles is None:
            return None
        return given_angles(self.angles, count, beside=self.path, unit=self.angle_unit)


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Frames of several files."""

    blocks: tuple[Block, ...]
    stored: int = 1

    @classmethod
    def of(cls, files: list[Path]) -> _Blocks:
        """The frames of all files; they must look alike.

        Raises:
            SourceError: They do not.
        """
        blocks = tuple(block for file in files for block in read_blocks(file))
        for block in blocks:
            if (block.shape, block.dtype) != (blocks[0].shape, blocks[0].dtype):
                raise no_edf(
                    block.path,
                    f"{block.shape} {block.dtype} is not like the first, {blocks[0].shape} {blocks[0].dtype}",
                )
        return cls(blocks)

    @property
    def shape(self) -> tuple[int, ...]:
        """(frame, row, col)."""
        return (len(self.blocks), *self.blocks[0].shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.blocks[0].dtype

    @property
    def name(self) -> str:
        """The first file."""
        return str(self.blocks[0].path)

    def read_into(self, where: tuple[slice, ...], out: Array) -> None:
        """Read some frames."""
        for place, block in enumerate(self.blocks[where[0]]):
            if block.path.stat().st_size < block.end:
                raise no_edf(block.path, "it became shorter")
            out[place] = np.memmap(block.path, block.dtype, "r", block.offset, block.shape)[where[1:]]
