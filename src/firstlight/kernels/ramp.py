"""Ramp filters for filtered back-projection, discretised in real space.

The ramp ``|k|`` cut off at half a cycle per pixel has the samples ``h[0] = 1/4``, ``h[odd n] = -1/(pi n)^2`` and
``h[even n] = 0`` (Kak and Slaney, Principles of Computerized Tomographic Imaging, eq. 3.61). Transforming those samples,
instead of sampling ``|k|``, keeps the mean of the result right: a sampled ramp is 0 at k = 0, which subtracts a constant and
makes the middle of a sample look hollow (cupping). Rows are padded with zeros to at least twice their length, so that
the convolution is linear, not circular.
"""

from typing import Literal, get_args

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Window = Literal["ram-lak", "shepp-logan", "cosine", "hann", "hamming", "parzen", "butterworth"]
WINDOWS: tuple[Window, ...] = get_args(Window)
Padding = Literal["zero", "edge"]

_BUTTERWORTH_ORDER = 8
_BATCH_BYTES = 1 << 20  # rows filtered at once: stays inside one core's second-level cache


def padded_length(columns: int) -> int:
    """Length of the transform that filters rows of `columns` pixels without wrap-around.

    Args:
        columns: pixels in a row.
    """
    return scipy.fft.next_fast_len(2 * columns)


def ramp_kernel(length: int) -> NDArray[np.float64]:
    """Return the real-space samples of the ramp in FFT order (index 0 first, negative offsets at the end).

    Args:
        length: number of samples; offsets run over (-length/2, length/2].

    Returns:
        float64 array of shape (length,), unit 1/pixel.
    """
    place = np.arange(length)
    offset = np.minimum(place, length - place)
    kernel = np.zeros(length)
    odd = offset % 2 == 1
    kernel[odd] = -1.0 / (np.pi * offset[odd]) ** 2
    kernel[0] = 0.25
    return kernel


def window_response(frequency: NDArray[np.float64], window: Window, cutoff: float = 1.0) -> NDArray[np.float64]:
    """Return the factor by which a window multiplies the ramp.

    Args:
        frequency: any shape, cycles per pixel, |frequency| <= 0.5.
        window: one of `WINDOWS`.
        cutoff: where the window ends, as a fraction of the highest frequency (0.5 cycles per pixel); above it all windows
            are 0, except Butterworth, whose power is one half there (amplitude ``1/sqrt(1 + r^16)``).

    Raises:
        ValueError: unknown window, or cutoff outside (0, 1].
    """
    if window not in WINDOWS:
        raise ValueError(f"window {window!r} is unknown. Choose one of: {', '.join(WINDOWS)}.")
    if not 0.0 < cutoff <= 1.0:
        raise ValueError(f"cutoff is {cutoff}, expected a fraction of the highest frequency in (0, 1].")
    r = np.abs(frequency) / (0.5 * cutoff)
    if window == "butterworth":
        return 1.0 / np.sqrt(1.0 + r ** (2 * _BUTTERWORTH_ORDER))
    inside = r <= 1.0 + 1e-12
    r = np.minimum(r, 1.0)
    match window:
        case "ram-lak":
            factor = np.ones_like(r)
        case "shepp-logan":
            factor = np.sinc(r / 2)
        case "cosine":
            factor = np.cos(np.pi / 2 * r)
        case "hann":
            factor = 0.5 + 0.5 * np.cos(np.pi * r)
        case "hamming":
            factor = 0.54 + 0.46 * np.cos(np.pi * r)
        case "parzen":
            factor = np.where(r <= 0.5, 1 - 6 * r**2 * (1 - r), 2 * (1 - r) ** 3)
    return factor * inside


def ramp_response(length: int, window: Window = "ram-lak", cutoff: float = 1.0) -> NDArray[np.float64]:
    """Return the transfer function of ramp times window in FFT order.

    Args:
        length: length of the transform (see `padded_length`).
        window: one of `WINDOWS`.
        cutoff: end of the window as a fraction of the highest frequency.

    Returns:
        float64 array of shape (length,), even in frequency.
    """
    ramp = scipy.fft.fft(ramp_kernel(length)).real
    return ramp * window_response(scipy.fft.fftfreq(length), window, cutoff)


def edge_response(
    columns: int, window: Window = "ram-lak", cutoff: float = 1.0, beside: tuple[int, int] = (0, 0)
) -> NDArray[np.float64]:
    """Return what a row gains when its first value is repeated to the left: add `first` times this to the filtered row.

    Reversed, it is the gain from repeating the last value to the right. The repetition is as long as the row, which
    softens the bright rim that a sample wider than the detector gets from zero padding.

    Args:
        columns: pixels in a row.
        window: one of `WINDOWS`.
        cutoff: end of the window as a fraction of the highest frequency.
        beside: places before the first and behind the last column where the filtered row is wanted too.

    Returns:
        float64 array of shape (columns + sum(beside),).
    """
    length = 2 * padded_length(columns + max(beside))
    outside = np.zeros(length)
    outside[-columns:] = 1.0
    spectrum = scipy.fft.rfft(outside) * ramp_response(length, window, cutoff)[: length // 2 + 1]
    return np.roll(scipy.fft.irfft(spectrum, length), beside[0])[: columns + sum(beside)]


def ramp_filter(
    sinogram: NDArray[np.floating],
    window: Window = "ram-lak",
    *,
    cutoff: float = 1.0,
    padding: Padding = "zero",
    out: NDArray[np.float32] | None = None,
    workers: int = 1,
) -> NDArray[np.float32]:
    """Filter the last axis with ramp times window.

    Args:
        sinogram: shape (..., columns): line integrals.
        window: one of `WINDOWS`.
        cutoff: end of the window as a fraction of the highest frequency.
        padding: "zero" outside the detector, or "edge": the outermost values repeated (sample wider than the detector).
        out: float32 array of the same shape to write into; may be `sinogram` itself.
        workers: threads of the Fourier transform.

    Returns:
        float32 array of the same shape, in the unit of `sinogram` per pixel.
    """
    plan = RampFilter(sinogram.shape[-1], window, cutoff=cutoff, padding=padding)
    return plan(sinogram, out=out, workers=workers)


class RampFilter:
    """Ramp filter for rows of one length; may be called from several threads at once."""

    def __init__(
        self,
        columns: int,
        window: Window = "ram-lak",
        *,
        cutoff: float = 1.0,
        padding: Padding = "zero",
        beside: tuple[int, int] = (0, 0),
    ) -> None:
        """Tabulate the transfer function.

        Args:
            columns: pixels in a row.
            window: one of `WINDOWS`.
            cutoff: end of the window as a fraction of the highest frequency.
            padding: "zero" or "edge", see `ramp_filter`.
            beside: columns before the first and behind the last one to filter into: the filter spreads there what the
                detector saw, and pixels of a slice that some projections miss are wrong without it.

        Raises:
            ValueError: no columns, or an unknown window, cutoff or padding.
        """
        if columns < 1:
            raise ValueError(f"columns is {columns}, expected at least 1.")
        if padding not in get_args(Padding):
            raise ValueError(f"padding {padding!r} is unknown. Choose 'zero' or 'edge'.")
        self.columns, self.beside = columns, beside
        self.length = padded_length(columns + max(beside))
        self.response = ramp_response(self.length, window, cutoff).astype(np.float32)
        self.edges: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        """What is gained, times the first and times the last value of a row, where these are repeated."""
        if padding == "edge":
            first = edge_response(columns, window, cutoff, beside=beside)
            last = edge_response(columns, window, cutoff, beside=(beside[1], beside[0]))[::-1]
            self.edges = first.astype(np.float32), last.astype(np.float32)

    def __call__(
        self, sinogram: NDArray[np.floating], *, out: NDArray[np.float32] | None = None, workers: int = 1
    ) -> NDArray[np.float32]:
        """Filter the last axis of `sinogram` (..., columns), see `ramp_filter`; it gets longer by `beside`."""
        if sinogram.shape[-1] != self.columns:
            raise ValueError(f"sinogram has {sinogram.shape[-1]} columns, the filter was made for {self.columns}.")
        shape = (*sinogram.shape[:-1], self.columns + sum(self.beside))
        out = np.empty(shape, np.float32) if out is None else out
        if out.shape != shape or out.dtype != np.float32:
            raise ValueError(f"out is {out.dtype} {out.shape}, expected float32 {shape}.")
        rows = sinogram.reshape(-1, self.columns)
        target = out.reshape(-1, shape[-1])
        if target.size and not np.may_share_memory(target, out):
            raise ValueError("out cannot be seen as rows without a copy. Pass a contiguous array.")
        batch = 2 * max(1, _BATCH_BYTES // (8 * self.length)) * workers
        buffer = np.empty((min(batch, rows.shape[0] + 1) // 2, self.length), np.complex64)
        for start in range(0, rows.shape[0], batch):
            self._filter_rows(rows[start : start + batch], target[start : start + batch], buffer, workers)
        return out

    def _filter_rows(
        self, rows: NDArray[np.floating], out: NDArray[np.float32], buffer: NDArray[np.complex64], workers: int
    ) -> None:
        """Filter two real rows per complex transform: an even real response keeps real and imaginary part apart."""
        pairs, odd = (rows.shape[0] + 1) // 2, rows.shape[0] // 2
        packed = buffer[:pairs]
        packed[:, self.columns :] = 0
        packed.real[:, : self.columns] = rows[0::2]
        packed.imag[:odd, : self.columns] = rows[1::2]
        packed.imag[odd:, : self.columns] = 0
        spectrum = scipy.fft.fft(packed, axis=-1, overwrite_x=True, workers=workers)
        spectrum *= self.response
        packed = scipy.fft.ifft(spectrum, axis=-1, overwrite_x=True, workers=workers)
        edges = None
        if self.edges is not None:  # read before `out` is written, which may be the same memory
            edges = rows[:, :1].astype(np.float32) * self.edges[0] + rows[:, -1:].astype(np.float32) * self.edges[1]
        before, inside = self.beside[0], self.columns + self.beside[1]
        for target, values in ((out[0::2], packed.real), (out[1::2], packed.imag[:odd])):
            target[:, before:] = values[:, :inside]
            target[:, :before] = values[:, self.length - before :]  # places below 0 are those at the end
        if edges is not None:
            out += edges
