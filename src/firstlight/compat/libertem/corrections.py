"""Dark image, gain and defect pixels, as LiberTEM names them; applied live as well."""

from __future__ import annotations

from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError


class CorrectionSet:
    """(frame - dark) * gain, then each excluded pixel becomes the mean of its good neighbours.

    Args:
        dark: Shape (row, col), in counts.
        gain: Shape (row, col), multiplied.
        excluded_pixels: bool of shape (row, col), or coordinates of shape (2, pixel).
    """

    def __init__(self, dark: Any = None, gain: Any = None, excluded_pixels: Any = None) -> None:
        """Keep what is given."""
        self.dark = None if dark is None else np.asarray(dark)
        self.gain = None if gain is None else np.asarray(gain)
        self.excluded = None if excluded_pixels is None else _excluded(excluded_pixels)

    def apply(self, frames: Array) -> Array:
        """Corrected copies of frames, (frame, row, col), as floats.

        Raises:
            FirstlightError: An image is not as large as a frame, or an excluded pixel lies outside.
        """
        size = frames.shape[1:]
        for name, image in (("dark", self.dark), ("gain", self.gain)):
            if image is not None and image.shape != size:
                raise FirstlightError(
                    "An image is not as large as a frame.", field=name, value=image.shape, expected=str(size)
                )
        out = frames.astype(np.result_type(frames.dtype, np.float32), copy=True)
        if self.dark is not None:
            out -= self.dark
        if self.gain is not None:
            out *= self.gain
        if self.excluded is not None:
            _patch(out, self._bad(size))
        return out

    def _bad(self, size: tuple[int, ...]) -> Array:
        bad = np.zeros(size, bool)
        excluded = np.zeros((2, 0), int) if self.excluded is None else self.excluded
        if excluded.size and ((excluded < 0).any() or (excluded.max(axis=1) >= size).any()):
            raise FirstlightError("A pixel lies outside the frame.", field="excluded_pixels", expected=f"within {size}")
        bad[tuple(excluded)] = True
        return bad


def _excluded(given: Any) -> Array:
    """Coordinates (2, pixel)."""
    found = np.asarray(given.todense() if hasattr(given, "todense") else given)
    return np.stack(np.nonzero(found)) if found.dtype == bool else found.astype(np.int64).reshape(2, -1)


def _patch(frames: Array, bad: Array) -> None:
    """Replace bad pixels by the mean of the good ones within the smallest square around them that has any."""
    for row, col in zip(*np.nonzero(bad), strict=True):
        for reach in range(1, max(bad.shape)):
            near = (slice(max(row - reach, 0), row + reach + 1), slice(max(col - reach, 0), col + reach + 1))
            good = ~bad[near]
            if good.any():
                frames[:, row, col] = frames[(slice(None), *near)][:, good].mean(axis=1)
                break
