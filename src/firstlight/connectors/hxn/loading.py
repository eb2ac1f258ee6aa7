"""What a replay plays: frames of any source as an Eiger counts them, brought to a file a few at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError
from firstlight.core.npy import open_npy

POSITIONS = "positions"


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a scan is played."""

    skip: int
    most: int | None
    rows: int | None
    """To keep, about the middle; None: all."""
    cols: int | None
    together: int
    """Frames that are read at once."""
    memory: float
    """Bytes that they may take."""


def bring(source: Any, part: Part, folder: Path) -> tuple[Array, Array, dict[str, Any]]:
    """Frames (frame, row, col) of unsigned integers, in a file; positions (frame, 2); and what belongs to them.

    Args:
        source: Not open; it is closed again.
        part: What of it.
        folder: For ``frames.npy``.

    Raises:
        SourceError: This is no ptychographic scan, no frame is left, or it can not be read.
    """
    scan = source.open()
    try:
        if POSITIONS not in scan.streams or not hasattr(source, "read") or scan.main.frames is None:
            raise SourceError(
                "This is no ptychographic scan.",
                field="file",
                value=scan.name,
                expected="frames with positions on the sample",
            )
        stop = scan.main.frames if part.most is None else min(scan.main.frames, part.skip + part.most)
        if stop <= part.skip:
            raise SourceError(
                "No frame is left to play.", field="skip_frames", value=part.skip, expected="fewer than there are"
            )
        cuts = {
            axis: _middle(name, scan.main.size(axis), wanted)
            for name, axis, wanted in (("ny", "row", part.rows), ("nx", "col", part.cols))
        }
        step = max(1, min(part.together, int(part.memory // max(1, scan.main.frame_bytes))))
        frames = _frames(source, np.dtype(scan.main.dtype), range(part.skip, stop, step), cuts, folder)
        places = source.read({"position": slice(part.skip, stop)}, POSITIONS)
    finally:
        source.close()
    told = {name: {"value": value.value, "unit": value.unit} for name, value in scan.calibration.items()}
    return frames, places, {"unit": scan.streams[POSITIONS].unit, "calibration": told}


def _middle(name: str, length: int, wanted: int | None) -> slice:
    """The positions in the middle of an axis.

    Raises:
        SourceError: More are wanted than there are.
    """
    if wanted is not None and wanted > length:
        raise SourceError("The frames are not so large.", field=name, value=wanted, expected=f"at most {length}")
    start = 0 if wanted is None else (length - wanted) // 2
    return slice(start, length if wanted is None else start + wanted)


def _frames(source: Any, dtype: np.dtype[Any], blocks: range, cuts: dict[str, slice], folder: Path) -> Array:
    """All frames in a file, as 16 bits where that is enough."""
    shape = (blocks.stop - blocks.start, *(cut.stop - cut.start for cut in cuts.values()))
    small = dtype.kind == "u" and dtype.itemsize <= 2
    kind = np.dtype(np.uint16 if small else np.uint32)
    out = np.lib.format.open_memmap(folder / "frames.npy", mode="w+", dtype=kind, shape=shape)
    top = 0
    for start in blocks:
        stop = min(start + blocks.step, blocks.stop)
        read = source.read({"position": slice(start, stop), **cuts})
        good, bad = counted(read)
        top = max(top, int(good.max(initial=0)))
        out[start - blocks.start : stop - blocks.start] = np.where(bad, np.iinfo(kind).max, good)
    if small or top >= np.iinfo(np.uint16).max:
        return out
    return _narrowed(out, blocks.step, folder)


def _narrowed(frames: Array, step: int, folder: Path) -> Array:
    """The same frames in 16 bits; what does not measure stays at the largest value."""
    place = folder / "frames16.npy"
    out = np.lib.format.open_memmap(place, mode="w+", dtype=np.uint16, shape=frames.shape)
    for start in range(0, len(frames), step):
        np.minimum(
            frames[start : start + step], np.iinfo(np.uint16).max, out=out[start : start + step], casting="unsafe"
        )
    out.flush()
    place.replace(folder / "frames.npy")
    return open_npy(folder / "frames.npy")


def counted(frames: Array) -> tuple[Array, Array]:
    """Frames as whole counts from 0 up, and where a pixel does not measure: negative, NaN, or at the type's largest value."""
    bad = ~np.isfinite(frames) | (frames < 0) if frames.dtype.kind in "fi" else np.zeros(frames.shape, bool)
    if frames.dtype.kind == "u":
        bad = frames == np.iinfo(frames.dtype).max if frames.dtype.itemsize > 1 else bad
    good = np.where(bad, 0, frames)
    return (np.rint(good) if frames.dtype.kind == "f" else good), bad
