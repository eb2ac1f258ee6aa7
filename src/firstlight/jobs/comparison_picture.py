"""A picture of a comparison: both images, their difference, and the curve of correlation."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.kernels.correlation import ShellCorrelation

from .compare import CRITERIA, Comparison
from .picture import HIGHEST, LOWEST, area_mean

SIDE = 480
"""Pixels of the longer side of each panel."""
_MARGIN, _HEAD = 12, 22
_CURVE = 260
_INK, _GREY, _BLUE, _ORANGE = (20, 20, 20), (150, 150, 150), (0, 90, 181), (220, 100, 0)


def draw(found: Comparison, path: Path) -> None:
    """Write the picture as PNG: the first, the second, first minus second (blue: less, red: more), and the curve below.

    Raises:
        OSError: It can not be written.
    """
    from PIL import Image, ImageDraw

    known = found.first[np.isfinite(found.first)]
    low, high = (float(v) for v in np.percentile(known, (LOWEST, HIGHEST))) if known.size else (0.0, 1.0)
    difference = found.first - found.second
    finite = np.abs(difference[np.isfinite(difference)])
    most = (float(np.percentile(finite, HIGHEST)) or float(finite.max())) if finite.size else 0.0
    most = most or 1.0
    panels = [
        (f"A   {low:.4g} … {high:.4g}", _grey(_small(found.first), low, high)),
        ("B   same range", _grey(_small(found.second), low, high)),
        (f"A - B   -{most:.3g} … {most:.3g}", _signed(_small(difference), most)),
    ]
    height, width = panels[0][1].shape[:2]
    curve = 0 if found.correlation is None else _CURVE + _MARGIN
    total = (3 * width + 4 * _MARGIN, height + 2 * _MARGIN + _HEAD + curve)
    sheet = Image.new("RGB", total, "white")
    pen = ImageDraw.Draw(sheet)
    for number, (title, pixels) in enumerate(panels):
        left = _MARGIN + number * (width + _MARGIN)
        pen.text((left, _MARGIN), title, fill=_INK)
        sheet.paste(Image.fromarray(pixels), (left, _MARGIN + _HEAD))
    if found.correlation is not None:
        box = (_MARGIN + 30, height + 2 * _MARGIN + _HEAD, total[0] - _MARGIN, total[1] - _MARGIN - 16)
        _draw_curve(pen, found.correlation, box, str(found.numbers["method"]))
    sheet.save(path, format="PNG")


def _small(image: Array) -> Array:
    factor = max(1, math.ceil(max(image.shape) / SIDE))
    return area_mean(image, factor, factor)


def _grey(image: Array, low: float, high: float) -> Array:
    scaled = np.clip((np.nan_to_num(image, nan=low) - low) / ((high - low) or 1.0), 0, 1)
    return np.repeat((255 * scaled).astype(np.uint8)[..., np.newaxis], 3, axis=2)


def _signed(image: Array, most: float) -> Array:
    """White where nothing differs, blue where A is less, red where it is more."""
    share = np.clip(np.nan_to_num(image) / most, -1, 1)
    fade = 1 - np.abs(share)
    colours = np.stack([np.where(share > 0, 1, fade), fade, np.where(share < 0, 1, fade)], axis=-1)
    return (255 * colours).astype(np.uint8)


def _draw_curve(pen: Any, found: ShellCorrelation, box: tuple[int, int, int, int], name: str) -> None:
    left, top, right, bottom = box

    def place(frequency: float, value: float) -> tuple[float, float]:
        return left + (right - left) * frequency / 0.5, bottom - (bottom - top) * min(max(value, 0.0), 1.0)

    pen.rectangle(box, outline=_GREY)
    for value in (0.0, 0.5, 1.0):
        pen.text((left - 24, place(0, value)[1] - 6), f"{value:g}", fill=_INK)
    for frequency in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5):
        x = place(frequency, 0)[0]
        pen.line([(x, bottom), (x, bottom - 4)], fill=_GREY)
        pen.text((x - 10, bottom + 3), f"{frequency:g}", fill=_INK)
    pen.text((left + 8, top + 4), f"{name} over 1/px", fill=_BLUE)
    for row, criterion in enumerate(CRITERIA):
        shade = (_ORANGE, _GREY)[row]
        points = [place(f, v) for f, v in zip(found.frequency, found.threshold(criterion), strict=True)]
        pen.line(points, fill=shade)
        period = found.resolution(criterion)
        told = "none" if period is None else f"{period:.3g} px"
        pen.text((left + 8, top + 20 + 16 * row), f"{criterion}: {told}", fill=shade)
    known = [(f, v) for f, v in zip(found.frequency, found.correlation, strict=True) if not math.isnan(v)]
    pen.line([place(f, v) for f, v in known], fill=_BLUE, width=2)
