"""Pictures as files: PNG in colours, TIFF and NPY in numbers."""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import UnknownName
from firstlight.core.view import Shown
from firstlight.jobs.picture import Wanted, picture

from .pieces import PIECE, cut

_TABLES = Path(__file__).with_name("colormaps.txt")
"""Name and 256 colours in hex a line; the same tables as the web pages have."""


@cache
def color_tables() -> dict[str, Array]:
    """Colour maps by name: uint8, shape (256, 3)."""
    lines = (line.split() for line in _TABLES.read_text().splitlines())
    tables = {name: np.frombuffer(bytes.fromhex(colours), np.uint8).reshape(256, 3) for name, colours in lines}
    return {"gray": np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1), **tables}


def png(
    shown: Shown, colormap: str, low: float | None, high: float | None, *, inverted: bool = False
) -> Iterator[bytes]:
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
        known = ", ".join(color_tables())
        raise UnknownName("There is no such colour map.", field="colormap", value=colormap, expected=f"one of {known}")
    header, pixels = picture("png", shown, Wanted(1 << 30, 1 << 30))
    bottom, top = (
        given if given is not None else found for given, found in zip((low, high), header["levels"], strict=True)
    )
    values = np.atleast_2d(pixels).astype(np.float32)
    values -= np.float32(bottom)
    values *= np.float32(256 / (top - bottom) if top > bottom else 0)
    holes = not np.isfinite(values).all()
    np.nan_to_num(values, copy=False, nan=-1.0, posinf=255.0, neginf=0.0)
    unknown = values == -1.0 if holes else None
    place = np.clip(values, 1 if holes else 0, 255).astype(np.uint8)
    if unknown is not None:
        place[unknown] = 0  # the first colour gives its place to the transparent one
    return encode_png(place, table[::-1] if inverted else table, transparent=holes)


def encode_png(places: Array, table: Array, *, transparent: bool) -> Iterator[bytes]:
    """An image as PNG with a palette (ISO/IEC 15948), in pieces.

    Written out here because zlib lets other threads run while it packs; the service's loop must not wait.

    Args:
        places: Place of each pixel in the palette: uint8, shape (row, col).
        table: The palette: uint8, shape (256, 3).
        transparent: Whether the first colour is none.
    """
    height, width = places.shape
    yield b"\x89PNG\r\n\x1a\n" + _png_part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0))
    yield _png_part(b"PLTE", table.tobytes()) + (_png_part(b"tRNS", b"\x00") if transparent else b"")
    packer = zlib.compressobj(1)
    step = max(1, PIECE // (width + 1))
    for first in range(0, height, step):
        part = places[first : first + step]
        rows = np.zeros((len(part), 1 + width), np.uint8)  # each row begins with its filter type: 0, none
        rows[:, 1:] = part
        packed = packer.compress(rows.data)
        if packed:
            yield _png_part(b"IDAT", packed)
    yield _png_part(b"IDAT", packer.flush()) + _png_part(b"IEND", b"")


def _png_part(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))


def tiff(shown: Shown) -> Iterator[bytes]:
    """A result as TIFF, float32, at full resolution, with unit and frame as description; in pieces."""
    import tifffile

    unit = shown.stream.unit or "no unit"
    about = f"{' '.join(shown.stream.axes)}; {unit}; epoch {shown.epoch}, frame {shown.id}".encode(
        "ascii", "replace"
    ).decode()
    data = np.abs(shown.data) if np.iscomplexobj(shown.data) else shown.data
    with tempfile.TemporaryDirectory(prefix="firstlight-") as folder:
        # a file, not memory: written and read in pieces, no step of which holds up other threads
        path = Path(folder) / "view.tiff"
        tifffile.imwrite(path, np.atleast_2d(data).astype(np.float32), description=about, metadata=None)
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece


def npy(shown: Shown) -> Iterator[bytes]:
    """A result as NPY, in its own type, at full resolution; in pieces."""
    data = np.ascontiguousarray(shown.data)
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(data))
    yield head.getvalue()
    raw = data.reshape(-1).view(np.uint8).data if data.size else memoryview(b"")
    yield from map(bytes, cut(raw))
