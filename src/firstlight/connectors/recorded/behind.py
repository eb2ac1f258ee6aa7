"""Large results go to the disk while more of them comes, and leave the memory again.

Else the system holds on to all that was written, in place of the scan that the next run reads again, and takes fresh
memory for every byte of it, which is slow (on virtual machines, seconds per GiB); and it writes it all out in one go
later, for which every writer on the machine then waits.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque

LARGE = 2**20
"""Byte of a write that is worth the two calls."""
KEPT = 64 * 2**20
"""Byte that stay in memory: by the time that so much more has come, a disk that keeps up has written them."""
SHARE, GRACE = 0.1, 0.2
"""Part of the time, and seconds beside it, that may go by in these calls; a slower disk is left to the system."""


class WriteBehind:
    """The file that one thread writes."""

    def __init__(self) -> None:
        """Nothing was written."""
        self._kept: deque[tuple[int, int]] = deque()
        self._bytes = 0
        self._since = time.monotonic()
        self._waited = 0.0

    def wrote(self, handle: int, start: int, size: int) -> None:
        """Begin to put bytes on the disk, and give up those of long before; what the disk has not yet stays in memory.

        Args:
            handle: The open file.
            start: Where the bytes begin in it.
            size: How many were handed to the system.
        """
        begun = time.monotonic()
        if self._waited > GRACE + SHARE * (begun - self._since):
            return
        _advise(handle, start, size)
        self._kept.append((start, size))
        self._bytes += size
        while self._kept and self._bytes - self._kept[0][1] >= KEPT:
            first, length = self._kept.popleft()
            self._bytes -= length
            _advise(handle, first, length)
        self._waited += time.monotonic() - begun


def _advise(handle: int, start: int, size: int) -> None:
    """Of what is not on the disk yet, writing begins; the rest is no longer held in memory."""
    if hasattr(os, "posix_fadvise"):  # macOS has none
        with contextlib.suppress(OSError):
            os.posix_fadvise(handle, start, size, os.POSIX_FADV_DONTNEED)
