"""Images of another number of pixels over the same area."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

__all__ = ["Interpolation", "resampled"]

Interpolation = Literal["nearest", "linear", "cubic"]
_ORDERS: dict[str, Literal[0, 1, 3]] = {"nearest": 0, "linear": 1, "cubic": 3}


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
