"""Diffraction disks found by correlation with a template."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy import fft, ndimage

from firstlight.core.arrays import Array
from firstlight.core.operator import Operator, operator
from firstlight.core.units import Pixels


@operator(
    "row col -> places: disk place, heights: disk",
    sentence="Diffraction disks of {radius:radius} were found by correlation with a template.",
)
def find_disks(
    frames: Array,
    *,
    radius: Annotated[Pixels, Field(ge=1, le=1000)],
    count: Annotated[int, Field(ge=1, le=1000)] = 9,
    least: Annotated[float, Field(ge=0, le=1)] = 0.05,
) -> tuple[Array, Array]:
    """Find the disks of each diffraction pattern, to a fraction of a pixel, by correlation with a disk on a background.

    Args:
        frames: shape (frame, row, col), integers or floats.
        radius: Radius of a disk in pixel; two disks are further apart.
        count: Disks per pattern at most, the strongest first.
        least: Weakest correlation that counts, as a part of the strongest in the pattern.

    Returns:
        Row and column of each disk, (frame, disk, 2), and its correlation (mean counts above the background), (frame, disk);
        float64, NaN where there is no further disk.
    """
    places = np.full((len(frames), count, 2), np.nan)
    heights = np.full((len(frames), count), np.nan)
    template = _template((frames.shape[1], frames.shape[2]), radius)
    reach = 2 * int(radius) + 1
    for number, frame in enumerate(frames):
        map_ = fft.irfft2(fft.rfft2(frame.astype(np.float64)) * template, s=frame.shape)
        top = map_.max()
        is_peak = (map_ == ndimage.maximum_filter(map_, size=reach, mode="constant")) & (map_ > max(least * top, 0))
        found = np.argwhere(is_peak)
        order = np.argsort(-map_[is_peak], kind="stable")[:count]
        for place, (row, col) in enumerate(found[order]):
            places[number, place] = row + _vertex(map_[:, col], row), col + _vertex(map_[row], col)
            heights[number, place] = map_[row, col]
    return places, heights


def _vertex(line: Array, place: int) -> float:
    """Where, from `place`, the parabola through it and its neighbours has its top."""
    if not 0 < place < len(line) - 1:
        return 0.0
    before, here, after = line[place - 1 : place + 2]
    bend = before - 2 * here + after
    return float(0.5 * (before - after) / bend) if bend < 0 else 0.0


@lru_cache(maxsize=8)
def _template(size: tuple[int, int], radius: float) -> Array:
    """Transform of a disk of mean 1, less a ring around it, so that an even background gives 0; conjugated."""
    rows, cols = (np.minimum(np.arange(n), n - np.arange(n)) for n in size)
    distance = np.hypot(rows[:, None], cols[None, :])
    disk = np.clip(radius + 0.5 - distance, 0, 1)
    ring = np.clip(1.5 * radius + 1.5 - distance, 0, 1) - np.clip(radius + 1.5 - distance, 0, 1)
    return np.conj(fft.rfft2(disk / disk.sum() - ring / ring.sum()))


@find_disks.hook("sizes")
def _sizes(step: Operator, known: dict[str, int | None]) -> dict[str, int | None]:
    return {"disk": step.parameters()["count"], "place": 2}


@find_disks.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return "float64"
