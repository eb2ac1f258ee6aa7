"""Where frames are kept: in memory as long as they may, then in a file that is mapped into it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import StepFailed

_FIRST = 64
"""Frames for which there is room from the beginning."""


class Shelf:
    """An array of frames that grows.

    Args:
        frame: Rows and columns of a frame.
        dtype: Type of a pixel.
        memory: Most bytes that it takes in memory; more frames go to a file without a name, which ends with the process.
        folder: Where that file is made; None: the system's folder for temporary files.
    """

    def __init__(self, frame: tuple[int, int], dtype: str, memory: float, folder: Path | None = None) -> None:
        """Nothing yet."""
        self._frame, self._dtype, self._memory, self._folder = frame, np.dtype(dtype), memory, folder
        self._file: int | None = None
        self.frames: Array = np.empty((0, *frame), self._dtype)
        """Room for frames; those beyond the last that was written mean nothing."""

    @property
    def in_file(self) -> bool:
        """True once frames lie in a file."""
        return self._file is not None

    def reach(self, count: int, used: int) -> None:
        """Make room for so many frames.

        Args:
            count: Frames to be kept.
            used: Frames that are kept now.

        Raises:
            StepFailed: The disk has not enough room.
        """
        if count <= len(self.frames):
            return
        room = max(count, _FIRST, len(self.frames) + len(self.frames) // 2)
        if self._file is None and room * self._frame_bytes <= self._memory:
            grown = np.empty((room, *self._frame), self._dtype)
            grown[:used] = self.frames[:used]
            self.frames = grown
            return
        before, first = self.frames, self._file is None
        self.frames = self._mapped(room)
        if first:
            self.frames[:used] = before[:used]

    @property
    def _frame_bytes(self) -> int:
        return self._frame[0] * self._frame[1] * self._dtype.itemsize

    def _mapped(self, room: int) -> Array:
        if self._file is None:
            with tempfile.TemporaryFile(dir=self._folder, prefix="firstlight-frames-") as made:
                self._file = os.dup(made.fileno())
        try:
            # taken from the disk now: a write to a mapped file that has no room would end the process
            os.posix_fallocate(self._file, 0, room * self._frame_bytes)
        except OSError as error:
            raise StepFailed(
                f"There is no room for {room} frames on disk: {error.strerror}",
                field="scratch",
                value=str(self._folder or tempfile.gettempdir()),
                expected=f"{room * self._frame_bytes / 2**30:.1f} GiB",
                next_move="Name another folder as scratch, or give the step more memory.",
            ) from error
        with os.fdopen(os.dup(self._file), "r+b") as file:
            return np.memmap(file, self._dtype, "r+", shape=(room, *self._frame))

    def __del__(self) -> None:
        """Give the file back; the mapping keeps it as long as it is needed."""
        if self._file is not None:
            os.close(self._file)
