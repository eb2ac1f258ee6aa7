"""Files that must stay as long as they were when they were opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core.errors import SourceError


@dataclass(frozen=True, slots=True)
class Whole:
    """A file that is read, and its length.

    What lay behind a new end would come as zeros (HDF5), or kill the process (a file that is mapped).
    """

    path: Path
    bytes: int

    @classmethod
    def of(cls, path: Path) -> Whole:
        """A file as it is now; one that can not be looked at has no length that could fall."""
        return cls(path, _length(path) or 0)

    @classmethod
    def under(cls, array: Any) -> Whole | None:
        """The file that an array is mapped from; None if it is not."""
        name = array.filename if isinstance(array, np.memmap) else None
        return None if name is None else cls.of(Path(name))

    def check(self) -> None:
        """Look whether it is still as long. A file that was removed can still be read by who has it open.

        Raises:
            SourceError: It became shorter.
        """
        now = _length(self.path)
        if now is None or now >= self.bytes:
            return
        raise SourceError(
            f"The file became shorter while it was read: it had {self.bytes} byte, and has {now}.",
            field="path",
            value=str(self.path),
            next_move="Put the whole file back, then go on with --resume.",
        )


def _length(path: Path) -> int | None:
    """Byte; None where the file is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return None
