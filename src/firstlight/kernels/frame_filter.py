"""Filter whole frames in the Fourier plane: pad without a step, multiply the spectrum, cut the frame out again."""

import copy
from collections.abc import Callable

import numpy as np
import scipy.fft
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

Transfer = Callable[[F64, F64], F64]
"""Spectrum of a filter at frequencies (along rows, along columns) in cycles per pixel, two arrays that broadcast."""


class FrameFilter:
    """A real filter for frames of one size.

    The Fourier transform continues a frame periodically, so that its left rim meets its right one. A gap is put between
    them, in which the value goes smoothly from one rim to the other: nothing wraps into the frame, and no step is made.
    The gap's rows are mixtures of the first and the last row, so they are filled in after the transform along columns,
    and transformed back no further than needed.

    Args:
        shape: (row, col) of the frames.
        transfer: the filter, even in both frequencies.
        gap: pixels between the rims at least, along rows and columns alike.

    Raises:
        ValueError: an empty frame, or a negative gap.
    """

    def __init__(self, shape: tuple[int, int], transfer: Transfer, gap: int) -> None:
        """Evaluate the filter at the frequencies of the padded frame."""
        if min(shape) < 1 or gap < 0:
            raise ValueError(f"a frame of {shape} pixels with a gap of {gap}; expected at least 1 x 1 and 0.")
        self.shape = shape
        self.rows, self.columns = padded_shape(shape, gap)
        values = transfer(scipy.fft.fftfreq(self.rows)[:, None], scipy.fft.rfftfreq(self.columns)[None])
        self.values: F32 = np.ascontiguousarray(np.broadcast_to(values, (self.rows, self.columns // 2 + 1)), np.float32)
        # weights of the first value of a line, and of the first line, in the gap behind the last one
        self.across = _blend(self.columns - shape[1])
        self.down = _blend(self.rows - shape[0])[:, None]

    def __call__(self, frames: NDArray[np.floating]) -> F32:
        """Filter every frame.

        Args:
            frames: shape (frame, row, col), finite.

        Returns:
            float32 of the same shape.

        Raises:
            ValueError: frames of another size.
        """
        if frames.ndim != 3 or frames.shape[1:] != self.shape:
            raise ValueError(f"frames have shape {frames.shape}; expected (frame, {self.shape[0]}, {self.shape[1]}).")
        result = np.empty(frames.shape, np.float32)
        for frame, out in zip(frames, result, strict=True):
            spectrum = self.spectrum(frame)
            spectrum *= self.values
            self.image(spectrum, out)
        return result

    def times(self, along: F32) -> "FrameFilter":
        """This filter and another one in one.

        Args:
            along: spectrum of the other, shape (half of the padded columns,): it works along columns.
        """
        made = copy.copy(self)
        made.values = self.values * along
        return made

    def spectrum(self, frame: NDArray[np.floating]) -> NDArray[np.complex64]:
        """Fourier transform of one padded frame, (padded row, half of the padded columns)."""
        height, width = self.shape
        lines = np.empty((height, self.columns), np.float32)
        lines[:, :width] = frame
        left, right = lines[:, :1], lines[:, width - 1 : width]
        lines[:, width:] = right + (left - right) * self.across
        found = np.empty(self.values.shape, np.complex64)
        found[:height] = scipy.fft.rfft(lines, axis=1, workers=1)
        first, last = found[0], found[height - 1]
        found[height:] = last + (first - last) * self.down
        return scipy.fft.fft(found, axis=0, overwrite_x=True, workers=1)

    def image(self, spectrum: NDArray[np.complex64], out: F32) -> None:
        """The frame whose (filtered) spectrum this is, into `out`; the spectrum is used up."""
        height, width = self.shape
        lines = scipy.fft.ifft(spectrum, axis=0, overwrite_x=True, workers=1)[:height]
        out[:] = scipy.fft.irfft(lines, self.columns, axis=1, workers=1)[:, :width]


def padded_shape(shape: tuple[int, int], gap: int) -> tuple[int, int]:
    """Size of a padded frame: with the gap at least, and one that transforms fast."""
    return scipy.fft.next_fast_len(shape[0] + gap), scipy.fft.next_fast_len(shape[1] + gap, real=True)


def workspace_bytes(shape: tuple[int, int], gap: int) -> int:
    """Memory that one frame needs on its way through a filter, in byte: its padded lines, and three times their spectrum."""
    rows, columns = padded_shape(shape, gap)
    return 4 * shape[0] * columns + 3 * 8 * rows * (columns // 2 + 1)


def _blend(length: int) -> F32:
    """Weights that rise smoothly from one rim to the other, both left out."""
    place = (np.arange(length) + 1) / (length + 1)
    return (np.sin(np.pi / 2 * place) ** 2).astype(np.float32)
