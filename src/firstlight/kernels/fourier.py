"""Filtered back-projection by Fourier slice and non-uniform fast Fourier transform.

Each projection, filtered with the ramp and transformed, is one radial line of the slice's spectrum. Back-projection is
the sum of those lines' plane waves on the pixels of the slice: a type-1 non-uniform FFT (Barnett, Magland and af
Klinteberg 2019, doi 10.1137/18M120885X). The points depend on the angles alone, so they are sorted once for all slices,
and two real slices travel as real and imaginary part of one complex transform.
"""

import threading
from typing import Any

import finufft
import numba
import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from firstlight.kernels.angles import angular_weights
from firstlight.kernels.ramp import Padding, RampFilter, Window


class FourierFBP:
    """Filtered back-projection of many slices of one scan; may be used from several threads at once."""

    def __init__(
        self,
        angles_degrees: ArrayLike,
        columns: int,
        *,
        center: float | ArrayLike | None = None,
        size: int | None = None,
        window: Window = "ram-lak",
        cutoff: float = 1.0,
        padding: Padding = "zero",
        weights: ArrayLike | None = None,
        circle: bool = True,
        eps: float = 1e-3,
        threads: int = 1,
    ) -> None:
        """Prepare everything that does not depend on the data.

        Args:
            angles_degrees: shape (angle,), any order, any spacing, any number of turns.
            columns: detector columns.
            center: column of the rotation axis, counted from 0: one number, or one per slice; (columns - 1)/2 by default.
            size: width and height of the slices in pixels, `columns` by default.
            window: name of the window, see `firstlight.kernels.ramp.WINDOWS`.
            cutoff: end of the window as a fraction of the highest frequency.
            padding: "zero" outside the detector, or "edge": the outermost values repeated.
            weights: share of the half turn of each projection in radian, `angular_weights(angles_degrees)` by default.
            circle: set pixels outside the inscribed circle to 0; False reconstructs the corners too, which takes longer.
            eps: relative accuracy of the non-uniform transform.
            threads: threads of the transforms inside one call.

        Raises:
            ValueError: a bad size, angle, weight, window or center.
        """
        self.angles = np.atleast_1d(np.asarray(angles_degrees, np.float64))
        self.weights = angular_weights(self.angles) if weights is None else np.asarray(weights, np.float64)
        if self.weights.shape != self.angles.shape:
            raise ValueError(f"weights has shape {self.weights.shape}, expected {self.angles.shape} like angles_degrees.")
        self.columns = columns
        self.size = columns if size is None else size
        if self.size < 1:
            raise ValueError(f"size is {self.size}, expected at least 1 pixel.")
        self.center = np.asarray((columns - 1) / 2 if center is None else center, np.float64)
        if self.center.ndim > 1 or not np.all(np.isfinite(self.center)):
            raise ValueError(f"center is {center!r}, expected one finite column number, or one per slice.")
        self.circle, self.eps, self.threads = circle, eps, threads
        self._ramp = RampFilter(columns, window, cutoff=cutoff, padding=padding)
        self._length = self._radial_length()
        self._table = self._wave_table()
        self._idle: list[_Workspace] = []
        self._lock = threading.Lock()

    def _radial_length(self) -> int:
        """Shortest period of the filtered projections at which no wanted pixel sees the next period."""
        radius = self.size / 2 if self.circle else self.size / np.sqrt(2.0)
        low = min(0.0, float(self.center.min()) - radius)
        high = max(float(self.columns), float(self.center.max()) + radius + 0.5)
        need = int(np.ceil(high - 0.5)) - int(np.floor(low + 0.5))
        return scipy.fft.next_fast_len(max(need, self.columns, 2))

    def _wave_table(self) -> NDArray[np.complex64]:
        """Weight of each sample, and its shift by half a pixel where the middle lies between two pixels."""
        theta = np.deg2rad(self.angles)[:, None]
        half = (self.size - 1) / 2 - self.size // 2
        frequency = scipy.fft.fftfreq(self._length)
        wave = np.exp(-2j * np.pi * frequency * half * (np.cos(theta) - np.sin(theta)))
        wave *= self.weights[:, None] / self._length
        if self._length % 2 == 0:
            wave[:, self._length // 2] = 0  # has no partner at -k: would mix the two slices of a pair
        return wave.astype(np.complex64)

    def reconstruct(
        self,
        sinograms: NDArray[np.floating],
        *,
        center: float | ArrayLike | None = None,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Reconstruct slices.

        Args:
            sinograms: shape (slice, angle, col): line integrals of the attenuation, minus the log of the transmission.
            center: rotation axis of these slices, one number or one per slice; that of the plan by default. Must not
                leave the range of the plan's centers by more than rounding.
            out: float32 array (slice, size, size) to write into.

        Returns:
            float32 array (slice, y, x): attenuation per pixel; row 0 is the top (largest y).

        Raises:
            ValueError: shapes that do not fit the plan, or a center the plan was not made for.
        """
        count = sinograms.shape[0]
        if sinograms.shape[1:] != (self.angles.size, self.columns):
            expected = f"(slice, {self.angles.size}, {self.columns})"
            raise ValueError(f"sinograms has shape {sinograms.shape}, the plan expects {expected}.")
        out = np.empty((count, self.size, self.size), np.float32) if out is None else out
        if out.shape != (count, self.size, self.size) or out.dtype != np.float32:
            expected = f"float32 {(count, self.size, self.size)}"
            raise ValueError(f"out is {out.dtype} {out.shape}, expected {expected}.")
        centers = self._centers(center, count)
        space = self._borrow()
        try:
            for first in range(0, count, 2):
                self._pair(sinograms[first : first + 2], centers[first : first + 2], out[first : first + 2], space)
        finally:
            with self._lock:
                self._idle.append(space)
        return out

    def _centers(self, center: float | ArrayLike | None, count: int) -> NDArray[np.float64]:
        """One center per slice, checked against the range the plan was made for."""
        value = self.center if center is None else np.asarray(center, np.float64)
        if value.ndim > 1 or (value.ndim == 1 and value.size != count):
            raise ValueError(f"center has shape {value.shape}, expected one number or {count}, one per slice.")
        low, high = float(self.center.min()) - 1e-6, float(self.center.max()) + 1e-6
        if value.size and not (low <= value.min() and value.max() <= high):
            raise ValueError(
                f"center {value} leaves the range {low:.2f} to {high:.2f} of this plan. Make a plan with this center."
            )
        return np.broadcast_to(value, (count,))

    def _borrow(self) -> "_Workspace":
        """Take an idle workspace or make one: plans of finufft serve one thread at a time."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return _Workspace(self.angles, self.columns, self._length, self.size, self.eps, self.threads)

    def _pair(
        self,
        sinograms: NDArray[np.floating],
        centers: NDArray[np.float64],
        out: NDArray[np.float32],
        space: "_Workspace",
    ) -> None:
        """Reconstruct one or two slices through one complex transform."""
        line = space.spectrum
        line[:, self.columns :] = 0
        for part, sinogram in zip((line.real, line.imag), sinograms, strict=False):
            part[:, : self.columns] = self._ramp(sinogram, out=space.filtered, workers=self.threads)
        if len(sinograms) == 1:
            line.imag[:] = 0
        spectrum = scipy.fft.fft(line, axis=-1, overwrite_x=True, workers=self.threads)
        shift = np.outer(centers, 2 * np.pi * scipy.fft.fftfreq(self._length))
        mean, half = shift.mean(axis=0), (shift[0] - shift[-1]) / 2
        _turn(spectrum, self._table, np.exp(1j * mean).astype(np.complex64), half.astype(np.float32))
        space.plan.execute(spectrum.reshape(-1), out=space.image)
        second = out[1] if len(sinograms) == 2 else space.spare
        _split(space.image, out[0], second, np.float32(self.size / 2 if self.circle else np.inf))


class _Workspace:
    """Buffers and the finufft plan of one thread."""

    def __init__(
        self, angles: NDArray[np.float64], columns: int, length: int, size: int, eps: float, threads: int
    ) -> None:
        theta = np.deg2rad(angles)[:, None]
        frequency = 2 * np.pi * scipy.fft.fftfreq(length)
        down = (-np.sin(theta) * frequency).astype(np.float32).ravel()  # rows of the picture count downwards
        across = (np.cos(theta) * frequency).astype(np.float32).ravel()
        self.plan: Any = finufft.Plan(
            1, (size, size), eps=eps, isign=1, dtype="complex64", nthreads=threads, upsampfac=1.25
        )
        self.plan.setpts(down, across)
        self.spectrum = np.zeros((angles.size, length), np.complex64)
        self.filtered = np.empty((angles.size, columns), np.float32)
        self.image = np.empty((size, size), np.complex64)
        self.spare = np.empty((size, size), np.float32)


@numba.njit(nogil=True, cache=True, fastmath=True)
def _turn(spectrum: Any, table: Any, mean: Any, half: Any) -> None:  # noqa: ANN401
    """Multiply by the wave table and move each slice's axis to the middle, in place.

    With C = S1 + i S2 the two slices are (C(k) + conj C(-k))/2 and (C(k) - conj C(-k))/2i; turned by m + d and m - d
    they make exp(i m) (C(k) cos d + i conj C(-k) sin d).
    """
    angles, length = spectrum.shape
    same = np.all(half == 0)
    for a in range(angles):
        row, wave = spectrum[a], table[a]
        if not same:
            for k in range(1, length // 2 + 1):
                j = length - k
                plus, minus = row[k], row[j]
                c, s = np.cos(half[k]), np.sin(half[k])
                row[k] = plus * c + 1j * np.conj(minus) * s
                row[j] = minus * c - 1j * np.conj(plus) * s
        for k in range(length):
            row[k] *= wave[k] * mean[k]


@numba.njit(nogil=True, cache=True, fastmath=True)
def _split(image: Any, first: Any, second: Any, radius: Any) -> None:  # noqa: ANN401
    """Write real and imaginary part to two slices, 0 outside the circle."""
    size = image.shape[0]
    middle = (size - 1) / 2
    for i in range(size):
        reach = radius * radius - (i - middle) ** 2
        for j in range(size):
            if (j - middle) ** 2 <= reach:
                first[i, j] = image[i, j].real
                second[i, j] = image[i, j].imag
            else:
                first[i, j] = 0
                second[i, j] = 0
