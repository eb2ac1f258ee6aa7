"""What an HDF5 file was before its groups were changed, so that a writer killed in that moment harms nothing.

Adding the last record changes groups in several places, and HDF5 writes these in an order of its own. All but the frames is
therefore copied beforehand, into a file beside it that goes when the change is made.
"""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

from .handles import Dataset, File

ENDING = ".before"
_HEAD = struct.Struct("<QQ")
"""Place and length of a piece, in front of its bytes."""
_MOST = 64 * 2**20
"""Bytes beyond which something else than what describes the frames would be copied."""


def keep(path: Path, file: File, frames: list[Dataset]) -> None:
    """Copy what a file is now. Where there is no room for that on the disk, there is no copy.

    Args:
        path: The file.
        file: The same, as h5py has it.
        frames: What need not be copied: arrays of which only values change, or nothing.
    """
    file.flush()
    places = [(dataset.id.get_offset(), dataset.id.get_storage_size()) for dataset in frames]
    spans = sorted((place, size) for place, size in places if place is not None)
    end = int(file.id.get_filesize())
    if len(spans) < len(frames) or end - sum(size for _, size in spans) > _MOST:
        return  # in storage chunks, which lie anywhere
    beside = _beside(path)
    part = beside.with_name(beside.name + ".part")
    with contextlib.suppress(OSError):
        with path.open("rb") as source, part.open("wb") as kept:
            start = 0
            for place, size in [*spans, (end, 0)]:
                kept.write(_HEAD.pack(start, place - start))
                source.seek(start)
                kept.write(source.read(place - start))
                start = place + size
        part.replace(beside)
    part.unlink(missing_ok=True)


def undo(path: Path) -> None:
    """Put back what a file was, if its writer was killed while it changed it; harmless when cut off itself.

    Raises:
        OSError: It can not be written.
    """
    beside = _beside(path)
    if beside.is_file():
        with beside.open("rb") as kept, path.open("r+b") as file:
            while head := kept.read(_HEAD.size):
                place, size = _HEAD.unpack(head)
                file.seek(place)
                file.write(kept.read(size))
        beside.unlink()


def forget(path: Path) -> None:
    """The change is made, or the file made anew: nothing is to be put back into it."""
    _beside(path).unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ENDING)
