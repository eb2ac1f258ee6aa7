"""Pixels that are broken in every frame."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Annotated, Any

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
    _demand_size(frames, dark, flat)
    return replace_pixels(frames, _maps.get(dark, flat, sigmas, odd(size)).mask, size=size)


def _demand_size(frames: Array, dark: Array, flat: Array) -> None:
    for name, image in (("dark", dark), ("flat", flat)):
        if image.shape != frames.shape[1:]:
            raise AxesError(
                f"The {name} image is not as large as a frame.",
                field=name,
                value=image.shape,
                expected=f"(row, col) = {frames.shape[1:]}",
                next_move="Take dark and flat frames with the region and binning of the projections.",
            )


def bad_pixels(dark: Array, flat: Array, sigmas: float, size: int) -> Mask:
    """Mask (row, col) of the pixels that are hot in the dark image, or dead or stuck between dark and flat image."""
    light = np.subtract(flat, dark, dtype=np.float32)
    return hot_pixels(dark, sigmas=sigmas, size=size) | hot_pixels(light, sigmas=sigmas, size=size) | ~(light > 0)


class _Map:
    """Where pixels are bad."""

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        # nothing mends a frame without a good pixel
        self.places = np.argwhere(mask & ~mask.all())


class _Maps:
    """The maps used last, since every chunk asks for the same one; known by the images themselves."""

    def __init__(self, room: int = 4) -> None:
        self._room = room
        self._lock = threading.Lock()
        self._maps: OrderedDict[tuple[int, int, float, int], tuple[Array, Array, _Map]] = OrderedDict()

    def get(self, dark: Array, flat: Array, sigmas: float, size: int) -> _Map:
        # the images are kept with their map, so that no other image can get their identity
        key = (id(dark), id(flat), sigmas, size)
        with self._lock:
            if key not in self._maps:
                mask = bad_pixels(_on_host(dark), _on_host(flat), sigmas, size)
                self._maps[key] = (dark, flat, _Map(mask))
                if len(self._maps) > self._room:
                    self._maps.popitem(last=False)
            return self._maps[key][2]

    def clear(self) -> None:
        with self._lock:
            self._maps.clear()


_maps = _Maps()


def _on_host(image: Any) -> Array:
    if isinstance(image, np.ndarray):
        return image
    from firstlight.kernels.cuda.arrays import to_host

    return to_host(image)


@replace_bad_pixels.hook("close")
def _close(step: Operator) -> None:
    _maps.clear()


@replace_bad_pixels.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return given


@replace_bad_pixels.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit


@replace_bad_pixels.device("cuda")
def _on_cuda(frames: Any, dark: Any, flat: Any, *, sigmas: float = 8.0, size: int = 3) -> Any:
    from firstlight.kernels.cuda.frames import crop_frames
    from firstlight.kernels.cuda.outliers import replace_pixels as on_device
    from firstlight.kernels.cuda.tables import tables

    _demand_size(frames, dark, flat)
    found = _maps.get(dark, flat, sigmas, odd(size))
    if not len(found.places):
        return crop_frames(frames, slice(0, frames.shape[1]), slice(0, frames.shape[2]))
    mask, places = tables(found, lambda: (found.mask, found.places))
    return on_device(frames, mask, places, size=size)
