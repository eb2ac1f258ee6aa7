"""Images of another number of pixels over the same area."""

from __future__ import annotations

from typing import Any, Literal

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

__all__ = ["Interpolation", "resampled"]

Interpolation = Literal["nearest", "linear", "cubic"]
_ORDERS: dict[str, Literal[0, 3]] = {"nearest": 0, "cubic": 3}


def resampled(images: ArrayLike, shape: tuple[int, int], interpolation: Interpolation) -> NDArray[np.float32]:
    """Images of another shape, whose edges lie where they lay.

    Args:
        images: (image, y, x).
        shape: Height and width afterwards.
        interpolation: Between the nearest pixel, four, or sixteen of them (splines); beyond the rim the outermost goes on.

    Returns:
        float32 (image, height, width).
    """
    values: NDArray[Any] = np.asarray(images)
    out = np.empty((len(values), *shape), np.float32)
    if interpolation == "linear":
        rows, columns = (_neighbours(*sizes) for sizes in zip(values.shape[1:], shape, strict=True))
        _linear(np.ascontiguousarray(values, np.float32), *rows, *columns, out)
        return out
    scale = np.array(values.shape[1:]) / shape
    for image, place in zip(values, out, strict=True):  # one call each: the middle of each new pixel is looked up
        ndimage.affine_transform(
            image.astype(np.float32, copy=False),
            scale,
            offset=0.5 * scale - 0.5,
            output_shape=shape,
            output=place,
            order=_ORDERS[interpolation],
            mode="nearest",
        )
    return out


def _neighbours(old: int, new: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Where the middle of each new pixel lies among the old ones: the pixels before and behind it, the share of the latter."""
    place = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    before = place.astype(np.int64)
    return before, np.minimum(before + 1, old - 1), (place - before).astype(np.float32)


@numba.njit(nogil=True, cache=True)
def _linear(images: Any, top: Any, bottom: Any, down: Any, left: Any, right: Any, across: Any, out: Any) -> None:
    line = np.empty(images.shape[2], np.float32)
    for n in range(out.shape[0]):
        for i in range(out.shape[1]):
            upper, lower, share = images[n, top[i]], images[n, bottom[i]], down[i]
            for j in range(line.size):  # first the rows, along which neighbours are many
                line[j] = upper[j] + share * (lower[j] - upper[j])
            for j in range(out.shape[2]):
                begin = line[left[j]]
                out[n, i, j] = begin + across[j] * (line[right[j]] - begin)
