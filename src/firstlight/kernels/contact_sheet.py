"""Pictures side by side as one picture, each with a line of text above it."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[Any]

GAP = 4
TEXT = 13
CHARACTER = 8
"""Width of a character at most, in pixel."""
SMALL = 256
"""Pictures of less than half of it are enlarged, so that something can be seen in them."""
GROUND, TEXT_GREY, WHITE = 24, 190, 255


def shrunk_shape(shape: tuple[int, int], largest: int) -> tuple[int, int]:
    """Rows and columns of a picture that is shrunk to at most `largest`."""
    factor = max(1, ceil(max(shape) / largest))
    larger = _enlargement(shape, largest)
    return max(shape[0] // factor, 1) * larger, max(shape[1] // factor, 1) * larger


def _enlargement(shape: tuple[int, ...], largest: int) -> int:
    return max(1, min(SMALL, largest) // max(shape))


def shrunk(picture: Picture, largest: int) -> NDArray[np.float32]:
    """The picture with at most so many rows and columns: means of blocks; values that are not finite count as 0."""
    values = np.nan_to_num(np.array(picture, np.float32), posinf=0.0, neginf=0.0)
    factor = max(1, ceil(max(values.shape) / largest))
    if factor == 1:
        larger = _enlargement(values.shape, largest)
        return values.repeat(larger, axis=0).repeat(larger, axis=1)
    rows, columns = shrunk_shape((values.shape[0], values.shape[1]), largest)
    high, wide = min(factor, values.shape[0]), min(factor, values.shape[1])
    return (
        values[: rows * high, : columns * wide].reshape(rows, high, columns, wide).mean(axis=(1, 3), dtype=np.float32)
    )


def sheet_shape(texts: Sequence[str], tile: tuple[int, int], columns: int | None) -> tuple[int, int]:
    """Rows and columns of a sheet in pixel."""
    wide = columns or max(1, ceil(sqrt(len(texts))))
    return ceil(len(texts) / wide) * (tile[0] + TEXT + 2 * GAP) + GAP, wide * (_cell(texts, tile) + GAP) + GAP


def _cell(texts: Sequence[str], tile: tuple[int, int]) -> int:
    """Width of a picture and its text."""
    return max(tile[1], CHARACTER * max(map(len, texts)))


def sheet(
    tiles: Sequence[Picture | None], texts: Sequence[str], tile: tuple[int, int], columns: int | None, best: int | None
) -> NDArray[np.uint8]:
    """Pictures side by side, all in the same grey scale.

    Args:
        tiles: The pictures; None where there is none yet.
        texts: What stands above each.
        tile: Rows and columns of the largest.
        columns: Tiles in a row; None: about as many as rows.
        best: The one that gets a white frame.

    Returns:
        Grey levels (row, col).
    """
    from PIL import Image, ImageDraw, ImageFont

    wide = columns or max(1, ceil(sqrt(len(tiles))))
    rows, cols = sheet_shape(texts, tile, columns)
    cell = _cell(texts, tile)
    low, top = _levels([each for each in tiles if each is not None])
    font = ImageFont.load_default(size=TEXT)
    made = Image.new("L", (cols, rows), GROUND)
    draw = ImageDraw.Draw(made)
    for number, (each, text) in enumerate(zip(tiles, texts, strict=True)):
        x, y = GAP + number % wide * (cell + GAP), GAP + number // wide * (tile[0] + TEXT + 2 * GAP)
        draw.text((x + cell // 2, y), text, fill=WHITE if number == best else TEXT_GREY, font=font, anchor="ma")
        if each is None:
            continue
        grey = np.clip((each - low) / max(top - low, 1e-30), 0, 1) * 255
        x, y = x + (cell - each.shape[1]) // 2, y + TEXT + GAP
        made.paste(Image.fromarray(grey.astype(np.uint8)), (x, y))
        if number == best:
            draw.rectangle((x - 2, y - 2, x + each.shape[1] + 1, y + each.shape[0] + 1), outline=WHITE, width=2)
    return np.array(made)


def _levels(tiles: Sequence[Picture]) -> tuple[float, float]:
    """Black and white for all of them."""
    if not tiles:
        return 0.0, 1.0
    sample = np.concatenate([each.ravel()[:: max(1, each.size // 4096)] for each in tiles])
    low, top = np.percentile(sample, (0.5, 99.5))
    return float(low), float(top)


def value_text(value: Any) -> str:
    """A value as short as it can be read."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
