"""Source over sequence files of StreamPix (Norpix), as cameras of electron microscopes write them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from firstlight.core.errors import SourceError

from ..recorded.frames import Recording
from ..recorded.scanned import ScannedSource, whole_frames

_MARK = 0xFEED
_FIXED = struct.Struct("<I24sii512s9IdiIIIiiiI")
"""Mark, name, version, length of the header, description; width, height, bits stored and used, bytes of an image, its
format, images allocated, origin, bytes from one image to the next; images per second; seven fields that nothing here needs; compression."""
_PIXELS = {8: "<u1", 16: "<u2", 32: "<u4"}
_GREY = 100
"""Format of images of grey values."""
_LARGEST = 2**30
"""Bytes of the largest image that is believed."""


class Header(NamedTuple):
    """What the header of a sequence tells."""

    first: int
    """Where the first image begins."""
    shape: tuple[int, int]
    dtype: str
    stride: int
    """Bytes from one image to the next."""
    rate: float
    """Images per second."""


class SeqSource(ScannedSource):
    """Plays a sequence of StreamPix (``.seq``, uncompressed grey values of 8, 16 or 32 bit), mapped from the disk."""

    use: ClassVar[str] = "seq"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for a file that begins like one."""
        try:
            with path.open("rb") as file:
                return file.read(4) == _MARK.to_bytes(4, "little")
        except OSError:
            return False

    def load(self) -> Recording:
        """Read the header and map the images.

        Raises:
            SourceError: It is no such file, holds no image, or the scan does not fit.
        """
        path = self.path.expanduser()
        try:
            with path.open("rb") as file:
                header = read_header(file.read(_FIXED.size))
            size = path.stat().st_size
        except (OSError, ValueError) as error:
            raise SourceError(
                f"The file can not be read ({error}).",
                field="path",
                value=str(path),
                expected="a sequence of StreamPix (.seq) that is not compressed",
            ) from error
        count = whole_frames(max(0, size - header.first), header.stride, str(path))
        if count == 0:
            raise SourceError("The file holds no whole image.", field="path", value=str(path), expected="images")
        kinds: Any = {
            "names": ["image"],
            "formats": [(header.dtype, header.shape)],
            "offsets": [0],
            "itemsize": header.stride,
        }
        stored: Any = np.dtype(kinds)
        records: Any = np.memmap(path, stored, "r", header.first, (count,))
        return self.scanned(records["image"], None, metadata={"frame_rate": f"{header.rate:g} Hz"})


def read_header(data: bytes) -> Header:
    """The header of a sequence, by its first bytes.

    Raises:
        ValueError: It is none, or tells what can not be.
    """
    if len(data) < _FIXED.size:
        raise ValueError(f"it has {len(data)} byte")
    told: tuple[Any, ...] = _FIXED.unpack(data[: _FIXED.size])
    mark, _, version = told[:3]
    width, height, bits, _, nbytes, kind, _, _, stride, rate = told[5:15]
    if mark != _MARK:
        raise ValueError(f"it begins with {mark:#x}, not with {_MARK:#x}")
    if bits not in _PIXELS:
        raise ValueError(f"its pixels have {bits} bit; 8, 16 or 32 are known")
    if kind != _GREY:
        raise ValueError(f"its images are of the format {kind}; only grey values ({_GREY}) are known")
    if told[-1]:
        raise ValueError(f"its images are compressed (format {told[-1]})")
    size = width * height * bits // 8
    if not 0 < size <= _LARGEST or nbytes != size or not size <= stride <= size + 2**20:
        raise ValueError(f"its header tells images of {width} x {height} pixels in {nbytes} of {stride} byte")
    first = 8192 if version >= 5 else 1024
    return Header(first, (height, width), _PIXELS[bits], stride, rate)
