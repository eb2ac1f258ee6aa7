"""Source over the plain frames of a scan, one after the other in one file."""

from __future__ import annotations

from math import prod
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from firstlight.core.errors import SourceError

from ..recorded.frames import Recording
from ..recorded.scanned import ScannedSource, whole_frames

Side = Annotated[int, Field(gt=0, le=2**16)]
_MOST = 2**30
"""Bytes of the largest frame that is believed."""


class RawScanSource(ScannedSource):
    """Plays frames that lie one after the other in a file of any program, mapped from the disk.

    There may be a header at the front, and bytes before and after each frame. How many frames there are follows from the
    length of the file; a last one that is cut off is missing.
    """

    use: ClassVar[str] = "raw_scan"

    frame: tuple[Side, Side]
    """Rows and columns of a frame."""
    dtype: Literal["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]
    """Type of the pixels."""
    byteorder: Literal["little", "big"] = "little"
    """Order of their bytes."""
    offset: int = Field(default=0, ge=0, le=2**40)
    """Bytes before the first frame."""
    head: int = Field(default=0, ge=0, le=2**24)
    """Bytes before the pixels of each frame."""
    tail: int = Field(default=0, ge=0, le=2**24)
    """Bytes after the pixels of each frame."""

    def load(self) -> Recording:
        """Map the file.

        Raises:
            SourceError: There is no whole frame, or the scan does not fit.
        """
        path = self.path.expanduser()
        if not path.is_file():
            raise SourceError("There is no such file.", field="path", value=str(path), next_move="Check the path.")
        pixels = np.dtype(self.dtype).newbyteorder("<" if self.byteorder == "little" else ">")
        size = prod(self.frame) * pixels.itemsize
        if size > _MOST:
            raise SourceError(
                "A frame is too large.", field="frame", value=self.frame, expected=f"{_MOST} byte at most"
            )
        stored: Any = np.dtype(
            {
                "names": ["frame"],
                "formats": [(pixels, self.frame)],
                "offsets": [self.head],
                "itemsize": self.head + size + self.tail,
            }
        )
        count = whole_frames(max(0, path.stat().st_size - self.offset), stored.itemsize, str(path))
        if count == 0:
            raise SourceError(
                f"The file of {path.stat().st_size} byte holds no whole frame.",
                field="frame",
                value=self.frame,
                expected=f"{self.offset + stored.itemsize} byte or more for such frames",
            )
        records: Any = np.memmap(path, stored, "r", self.offset, (count,))
        return self.scanned(records["frame"], None)
