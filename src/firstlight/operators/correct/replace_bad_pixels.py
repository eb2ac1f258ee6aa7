"""Pixels that are broken in every frame."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import AxesError
from firstlight.core.operator import Operator, operator
from firstlight.kernels.median import hot_pixels, replace_pixels

from .remove_outliers import odd

Mask = NDArray[np.bool_]


@operator(
    "row col, row col, row col -> row col",
    sentence="Hot, dead and stuck pixels were found in the dark and flat images ({sigmas} standard deviations) and replaced.",
)
def replace_bad_pixels(
    frames: Array,
    dark: Array,
    flat: Array,
    *,
    sigmas: Annotated[float, Field(gt=0, le=1000)] = 8.0,
    size: Annotated[int, Field(ge=3, le=31)] = 3,
) -> Array:
    """Find hot pixels in the dark image and dead or stuck ones in the flat image, and replace them in every frame.

    A pixel is bad if its difference from the median of its neighbourhood lies far beyond the usual ones. It gets the
    median of the good pixels around it. Put it before `flat_field`, which needs no map then.

    Args:
        frames: shape (frame, row, col), integers or floats: counts.
        dark: image (row, col) without beam.
        flat: image (row, col) without sample.
        sigmas: How many standard deviations (of the usual differences) make a pixel bad.
        size: Side of the neighbourhood in pixel, odd.

    Returns:
        Array of the type and shape of `frames`.

    Raises:
        AxesError: an image is not as large as a frame.
    """
    for name, image in (("dark", dark), ("flat", flat)):
        if image.shape != frames.shape[1:]:
            raise AxesError(
                f"The {name} image is not as large as a frame.",
                field=name,
                value=image.shape,
                expected=f"(row, col) = {frames.shape[1:]}",
                next_move="Take dark and flat frames with the region and binning of the projections.",
            )
    return replace_pixels(frames, _maps.get(dark, flat, sigmas, odd(size)), size=size)


def bad_pixels(dark: Array, flat: Array, sigmas: float, size: int) -> Mask:
    """Mask (row, col) of the pixels that are hot in the dark image, or dead or stuck between dark and flat image."""
    light = np.subtract(flat, dark, dtype=np.float32)
    return hot_pixels(dark, sigmas=sigmas, size=size) | hot_pixels(light, sigmas=sigmas, size=size) | ~(light > 0)


class _Maps:
    """The maps used last, since every chunk asks for the same one; known by the images themselves."""

    def __init__(self, room: int = 4) -> None:
        self._room = room
        self._lock = threading.Lock()
        self._maps: OrderedDict[tuple[int, int, float, int], tuple[Array, Array, Mask]] = OrderedDict()

    def get(self, dark: Array, flat: Array, sigmas: float, size: int) -> Mask:
        # the images are kept with their map, so that no other image can get their identity
        key = (id(dark), id(flat), sigmas, size)
        with self._lock:
            if key not in self._maps:
                self._maps[key] = (dark, flat, bad_pixels(dark, flat, sigmas, size))
                if len(self._maps) > self._room:
                    self._maps.popitem(last=False)
            return self._maps[key][2]

    def clear(self) -> None:
        with self._lock:
            self._maps.clear()


_maps = _Maps()


@replace_bad_pixels.hook("close")
def _close(step: Operator) -> None:
    _maps.clear()


@replace_bad_pixels.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return given


@replace_bad_pixels.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit
