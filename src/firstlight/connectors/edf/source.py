"""Source over EDF files."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError

from ..recorded.angles import checked, given_angles
from ..recorded.frames import Recording
from ..recorded.kinds import in_folders, kinds_of
from ..recorded.listing import listed
from ..recorded.source import RecordedSource
from ..recorded.stack import IMAGES, Order, Stack, beside, stack_recording
from .blocks import Block, motor, no_edf, read_blocks
from .header import pixel_of, turning
from .packed import is_packed, opened

ENDINGS = (".edf", ".edf.gz", ".edf.bz2")


class EdfSource(RecordedSource):
    """Plays EDF files: a folder of frames, or one file with many; projections or sinograms. Pixels are mapped from the disk, or unpacked (``.edf.gz``, ``.edf.bz2``)."""

    use: ClassVar[str] = "edf"

    pattern: str | None = None
    """Names of the files in a folder that count, such as ``scan*.edf``; default: all EDF files."""
    order: Order = "projection"
    """What a frame is: a projection (row col), or the sinogram of one row (angle col)."""
    darks: Path | None = None
    """Dark frames: a file, a folder, or a pattern such as ``dark*.edf`` beside the data."""
    flats: Path | None = None
    """Flat frames, likewise, such as ``ref*.edf``."""
    darks_after: Path | None = None
    """Dark frames that were taken after the scan."""
    flats_after: Path | None = None
    """Flat frames that were taken after the scan: what lies between both sets is interpolated."""
    motor: str | None = None
    """Motor in the headers whose position, in degree, is the angle, such as ``srot``."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for an EDF file, and for a folder that holds some, or folders of projections, darks and flats."""
        try:
            return bool(read_blocks(listed(path, ENDINGS, None, "path")[0], 1))
        except SourceError:
            return "path" in kinds_of(path, ENDINGS).parameters

    @classmethod
    def infer(cls, path: Path, given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Which files of a folder are darks and flats, and which motor turned.

        Args:
            path: The file or folder.
            given: Parameters that the user gave.

        Returns:
            Parameters, and what was assumed, in words.
        """
        found: dict[str, Any] = {}
        told: list[str] = []
        if path.is_dir() and not given.keys() & {"pattern", *IMAGES}:
            kinds = kinds_of(path, ENDINGS)
            found, told = {**kinds.parameters}, [*kinds.told]
        if given.keys() & {"angles", "motor", "order"}:
            return found, told
        files = listed(Path(found.get("path", path)), ENDINGS, found.get("pattern", given.get("pattern")), "path")
        name = turning([block.header for file in files for block in read_blocks(file)])
        if name is not None:
            found["motor"] = name
            told.append(f"the motor {name} turned, by the headers (--set source.motor=NAME for another)")
        return found, told

    def load(self) -> Recording:
        """Read the headers.

        Raises:
            SourceError: A file is no EDF, cut short, or not like the others.
        """
        folders = in_folders(self.path, ENDINGS)
        path = folders.pop("path", self.path)
        given = {**folders, **{name: told for name in IMAGES if (told := getattr(self, name)) is not None}}
        reader = _Blocks.of(listed(path, ENDINGS, self.pattern, "path"))
        read = {
            IMAGES[name]: _Blocks.of(listed(beside(path, where), ENDINGS, None, name)) for name, where in given.items()
        }
        stack = Stack(
            reader,
            self.order,
            lambda count: self._angles(reader.blocks, count),
            images=read,
            name=self.path.stem,
            calibration=self.known({"pixel": pixel_of(reader.blocks[0].header)}),
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
        for path, blocks in groupby(enumerate(self.blocks[where[0]]), lambda numbered: numbered[1].path):
            if is_packed(path):
                with opened(path) as file:
                    for place, block in blocks:
                        out[place] = block.unpacked(file)[where[1:]]
                continue
            for place, block in blocks:
                if path.stat().st_size < block.end:
                    raise no_edf(path, "it became shorter")
                out[place] = np.memmap(path, block.dtype, "r", block.offset, block.shape)[where[1:]]
