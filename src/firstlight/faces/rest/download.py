"""Pictures as files: PNG in colours, TIFF and NPY in numbers."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache
from pathlib import Path

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import UnknownName
from firstlight.core.view import Shown
from firstlight.jobs.picture import Wanted, picture

_TABLES = Path(__file__).with_name("colormaps.txt")
"""Name and 256 colours in hex a line; the same tables as the web pages have."""


@cache
def color_tables() -> dict[str, Array]:
    """Colour maps by name: uint8, shape (256, 3)."""
    lines = (line.split() for line in _TABLES.read_text().splitlines())
    tables = {name: np.frombuffer(bytes.fromhex(colours), np.uint8).reshape(256, 3) for name, colours in lines}
    return {"gray": np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1), **tables}


def png(shown: Shown, colormap: str, low: float | None, high: float | None, *, inverted: bool = False) -> bytes:
    """A result as coloured PNG at full resolution; NaN is transparent.

    Args:
        shown: The result; of more than two axes the middle plane is taken, a line becomes one row.
        colormap: Name of the colours.
        low: Value of the first colour; the 0.5 percentile if not given.
        high: Value of the last colour; the 99.5 percentile if not given.
        inverted: Turn the colours round.

    Raises:
        UnknownName: There is no such colour map.
    """
    table = color_tables().get(colormap)
    if table is None:
        raise UnknownName(
            "There is no such colour map.",
            field="colormap",
            value=colormap,
            expected="one of " + ", ".join(color_tables()),
        )
    header, pixels = picture("png", shown, Wanted(1 << 30, 1 << 30))
    bottom, top = (
        given if given is not None else found for given, found in zip((low, high), header["levels"], strict=True)
    )
    values = np.atleast_2d(pixels).astype(np.float32)
    known = np.isfinite(values)
    scale = 256 / (top - bottom) if top > bottom else 0.0
    place = np.clip(np.where(known, (values - bottom) * scale, 0), 0, 255).astype(np.uint8)
    rgba = np.empty((*values.shape, 4), np.uint8)
    rgba[..., :3] = (table[::-1] if inverted else table)[place]
    rgba[..., 3] = np.where(known, 255, 0)
    return encode_png(rgba)


def encode_png(rgba: Array) -> bytes:
    """An image of shape (row, col, 4), uint8, as PNG (ISO/IEC 15948).

    Written out here because zlib lets other threads run while it packs a whole image; the service's loop must not wait.
    """
    height, width = rgba.shape[:2]
    rows = np.zeros((height, 1 + 4 * width), np.uint8)  # each row begins with its filter type: 0, none
    rows[:, 1:] = rgba.reshape(height, 4 * width)
    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(rows.data, 3)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_part(name, data) for name, data in parts)


def _png_part(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))


def tiff(shown: Shown) -> bytes:
    """A result as TIFF, float32, at full resolution, with the unit and the frame it shows as description."""
    import tifffile

    unit = shown.stream.unit or "no unit"
    about = f"{' '.join(shown.stream.axes)}; {unit}; epoch {shown.epoch}, frame {shown.id}"
    file = io.BytesIO()
    data = np.abs(shown.data) if np.iscomplexobj(shown.data) else shown.data
    tifffile.imwrite(
        file,
        np.atleast_2d(data).astype(np.float32),
        description=about.encode("ascii", "replace").decode(),
        metadata=None,
    )
    return file.getvalue()


def npy(shown: Shown) -> bytes:
    """A result as NPY, in its own type, at full resolution."""
    file = io.BytesIO()
    np.save(file, shown.data, allow_pickle=False)
    return file.getvalue()
