"""One run at a time on one output: the folder of its checkpoint is held as long as the process lives."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import IO

LOCK = "lock"
"""Name of the file in the folder."""


def hold(folder: Path) -> IO[bytes] | None:
    """Hold a folder till the file that comes back is closed, or the process ends in any way.

    Returns:
        None where another run holds it.

    Raises:
        OSError: The file can not be made.
    """
    file = (folder / LOCK).open("ab")
    if _locked(file):
        return file
    file.close()
    return None


def is_held(folder: Path) -> bool:
    """True while a run that has not ended holds the folder."""
    if not (folder / LOCK).is_file():
        return False
    with suppress(OSError):
        file = hold(folder)
        if file is None:
            return True
        file.close()
    return False


def _locked(file: IO[bytes]) -> bool:
    """False where somebody else has it; systems and disks without locks let everybody through."""
    try:
        import fcntl
    except ImportError:  # Windows: there an open file can not be written by another program anyway
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
