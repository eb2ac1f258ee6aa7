"""Filtered back-projection by Fourier slice.

Each projection, filtered with the ramp and transformed, is one radial line of the slice's spectrum (Fourier slice
theorem). The lines are spread over a regular grid (`firstlight.kernels.interpolate`), which an inverse FFT turns into the
slice: a type-1 non-uniform FFT. Two real slices travel as real and imaginary part of one complex transform, and up to
eight slices go through every step side by side.

The filter needs no transforms of twice the length. With X the row of L samples, H the response of length 2L, and
w = exp(i pi n/L): the transform of the first L samples of the filtered row is
``(H[even] FFT(x) + FFT(w IFFT(H[odd] FFT(conj(w) x))))/2``, the linear convolution without wrap-around.
"""

import threading
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from firstlight.kernels import fourier_loops as loops
from firstlight.kernels.angles import angular_weights
from firstlight.kernels.interpolate import BAND, LineGrid
from firstlight.kernels.ramp import Padding, Window, ramp_response

_fft: Callable[..., Any] = scipy.fft.fft
_ifft: Callable[..., Any] = scipy.fft.ifft

_BLOCK_BYTES = 1 << 20  # projections filtered at once: they stay in the second-level cache
_STRIP = 128  # columns of the slice transformed and written at once


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
        workers: int = 1,
    ) -> None:
        """Prepare everything that does not depend on the data.

        Args:
            angles_degrees: shape (angle,), any order, any spacing, any number of turns.
            columns: detector columns.
            center: column of the rotation axis, counted from 0: one number, or one per slice; (columns - 1)/2 by default.
            size: width and height of the slices in pixels, `columns` by default.
            window: name of the window, see `firstlight.kernels.ramp.WINDOWS`.
            cutoff: end of the window as a fraction of the highest frequency.
            padding: "zero" outside the detector, or "edge": the outermost values repeated (sample wider than the detector).
            weights: share of the half turn of each projection in radian, `angular_weights(angles_degrees)` by default.
            circle: set pixels outside the inscribed circle to 0; False reconstructs the corners too, which takes longer.
            eps: relative accuracy of the non-uniform transform, 0.1 to 1e-4.
            workers: threads of the FFT inside one call; several threads calling with 1 each is faster.

        Raises:
            ValueError: a bad size, angle, weight, window, padding or center.
        """
        self.angles = np.atleast_1d(np.asarray(angles_degrees, np.float64))
        self.weights = angular_weights(self.angles) if weights is None else np.asarray(weights, np.float64)
        if self.weights.shape != self.angles.shape:
            raise ValueError(
                f"weights has shape {self.weights.shape}, expected {self.angles.shape} like angles_degrees."
            )
        self.columns, self.size = columns, columns if size is None else size
        if self.size < 1 or columns < 1:
            raise ValueError(f"size is {self.size} and columns {columns}, expected at least 1 pixel.")
        self.center = np.asarray((columns - 1) / 2 if center is None else center, np.float64)
        if self.center.ndim > 1 or self.center.size == 0 or not np.all(np.isfinite(self.center)):
            raise ValueError(f"center is {center!r}, expected one finite column number, or one per slice.")
        if padding not in get_args(Padding):
            raise ValueError(f"padding {padding!r} is unknown. Choose 'zero' or 'edge'.")
        self.circle, self.workers = circle, workers
        self.first, self.length = self._span()
        theta = np.deg2rad(self.angles)
        self.grid = LineGrid(np.cos(theta), -np.sin(theta), self.length, self.size, eps)
        self.correction = self.grid.correction().astype(np.float32)
        self.wave = self._wave_table(theta)
        self._prepare_filter(window, cutoff, padding)
        self._idle: dict[int, list[_Workspace]] = {}
        self._lock = threading.Lock()

    def _span(self) -> tuple[int, int]:
        """Empty columns before the first, and the shortest period at which no wanted pixel sees the next period."""
        radius = self.size / 2 if self.circle else self.size / np.sqrt(2.0)
        before = max(0, int(np.ceil(radius - 0.5 - float(self.center.min()))))
        after = max(0, int(np.ceil(float(self.center.max()) + radius + 0.5 - self.columns)))
        return before, scipy.fft.next_fast_len(max(before + self.columns + after, 8))

    def _wave_table(self, theta: NDArray[np.float64]) -> NDArray[np.complex64]:
        """Weight of each sample (angle, frequency from low to high), and half a pixel of shift for an even size."""
        half = self.size // 2 - (self.size - 1) / 2
        frequency = (np.arange(self.length) - self.length // 2) / self.length
        wave = np.exp(2j * np.pi * frequency * (half * (np.cos(theta) - np.sin(theta)) + self.first)[:, None])
        wave *= self.weights[:, None] / (2 * self.length)
        if self.length % 2 == 0:
            wave[:, 0] = 0  # has no partner at the opposite frequency: would mix the two slices of a pair
        return wave.astype(np.complex64)

    def _prepare_filter(self, window: Window, cutoff: float, padding: Padding) -> None:
        """Response at even and odd frequencies of twice the length, and what repeated edges add."""
        length = self.length
        response = ramp_response(2 * length, window, cutoff).astype(np.float32)
        self.even, self.odd = response[0::2].copy(), response[1::2].copy()
        self.twist = np.exp(1j * np.pi * np.arange(length) / length).astype(np.complex64)
        self.edges = np.zeros((2, length), np.complex64)
        if padding == "edge":
            step = np.zeros((2, 4 * length))
            last = self.first + self.columns
            step[0, np.arange(self.first - self.columns, self.first)] = 1  # negative places are those at the end
            step[1, last : last + self.columns] = 1
            filtered = np.fft.ifft(np.fft.fft(step) * ramp_response(4 * length, window, cutoff)).real[:, :length]
            self.edges = (2 * np.fft.fft(filtered)).astype(np.complex64)

    def reconstruct(
        self,
        sinograms: NDArray[np.floating],
        *,
        center: float | ArrayLike | None = None,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Reconstruct slices; eight at once are fastest.

        Args:
            sinograms: shape (slice, angle, col): line integrals of the attenuation, minus the log of the transmission.
            center: rotation axis of these slices, one number or one per slice; that of the plan by default. Must not
                leave the range of the plan's centers.
            out: float32 array (slice, size, size) to write into.

        Returns:
            float32 array (slice, y, x): attenuation per pixel; row 0 is the top (largest y). A value that is not finite
            spoils its slice and the one it is paired with.

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
        centers = self.centers(center, count)
        first = 0
        while first < count:
            lanes = 8 if count - first > 4 else 4 if count - first > 2 else 2
            part = slice(first, min(first + lanes, count))
            space = self._borrow(lanes)
            try:
                self._lines(sinograms[part], centers[part], space)
                self._spread(space)
                self._columns(out[part], space)
            finally:
                with self._lock:
                    self._idle[lanes].append(space)
            first += lanes
        return out

    def centers(self, center: float | ArrayLike | None, count: int) -> NDArray[np.float64]:
        """One center per slice, checked against the range the plan was made for."""
        value = self.center if center is None else np.asarray(center, np.float64)
        if value.ndim > 1 or (value.ndim == 1 and value.size != count):
            raise ValueError(f"center has shape {value.shape}, expected one number or {count}, one per slice.")
        low, high = float(self.center.min()), float(self.center.max())
        if value.size and not (low - 1e-6 <= value.min() and value.max() <= high + 1e-6):
            raise ValueError(
                f"center {value} leaves the range {low:.2f} to {high:.2f} of this plan. Make a plan with this center."
            )
        return np.broadcast_to(value, (count,))

    def _borrow(self, lanes: int) -> "_Workspace":
        """Take idle buffers or make new ones: one set per thread at work."""
        with self._lock:
            idle = self._idle.setdefault(lanes, [])
            if idle:
                return idle.pop()
        return _Workspace(self, lanes)

    def workspace_bytes(self, slices: int = 8) -> int:
        """Bytes of buffers that one thread needs to reconstruct `slices` at once."""
        lanes = 8 if slices > 4 else 4 if slices > 2 else 2
        points = self.grid.points
        values = self.angles.size * self.length + points * (self.size + 8) + 2 * BAND * (points + 2 * BAND)
        return 4 * lanes * values + _BLOCK_BYTES

    def _lines(self, sinograms: NDArray[np.floating], centers: NDArray[np.float64], space: "_Workspace") -> None:
        """Filter and transform the projections of up to `lanes` slices, a block of angles at a time."""
        turn, swap = self.turns(centers, space.lanes)
        step = space.block.shape[1]
        for a in range(0, self.angles.size, step):
            rows = sinograms[:, a : a + step]
            plain, twisted = space.block[0, : rows.shape[1]], space.block[1, : rows.shape[1]]
            loops.pack(rows, self.first, self.twist, plain, twisted, space.ends)
            plain = _fft(plain, axis=1, overwrite_x=True, workers=self.workers)
            twisted = _fft(twisted, axis=1, overwrite_x=True, workers=self.workers)
            loops.scale(twisted, self.odd)
            twisted = _ifft(twisted, axis=1, overwrite_x=True, workers=self.workers)
            loops.scale(twisted, self.twist)
            twisted = _fft(twisted, axis=1, overwrite_x=True, workers=self.workers)
            loops.combine(plain, twisted, self.even, self.edges, space.ends)
            target = space.spectrum[a : a + rows.shape[1]]
            loops.turn(plain, self.wave[a : a + rows.shape[1]], turn, swap, target)

    def turns(self, centers: NDArray[np.float64], lanes: int) -> tuple[NDArray[np.complex64], NDArray[np.float32]]:
        """Shift of each pair's mean center to the middle (frequency, pair), and half its two centers' difference.

        With C = S1 + i S2 the two slices are (C(k) + conj C(-k))/2 and (C(k) - conj C(-k))/2i; turned by m + d and m - d
        they make exp(i m) (C(k) cos d + i conj C(-k) sin d).
        """
        filled = np.full(lanes, centers[-1])
        filled[: centers.size] = centers
        frequency = 2 * np.pi * (np.arange(self.length) - self.length // 2)[:, None] / self.length
        mean, half = (filled[0::2] + filled[1::2]) / 2, (filled[0::2] - filled[1::2]) / 2
        swap = np.stack([np.cos(frequency * half), np.sin(frequency * half)])
        return np.exp(1j * frequency * mean).astype(np.complex64), swap.astype(np.float32)

    def _spread(self, space: "_Workspace") -> None:
        """Spread the lines band by band, and transform the rows of each band while it is in the cache."""
        grid, margin = self.grid, self.grid.margin
        space.clear(margin)
        for band in range(grid.bands):
            grid.spread(space.samples, band, space.band)
            loops.fold_columns(space.band, margin, grid.points, BAND)
            rows = space.band_rows[:BAND, margin : margin + grid.points]
            rows = _ifft(rows, axis=1, overwrite_x=True, norm="forward", workers=self.workers)
            loops.store_rows(rows, band * BAND - 1 - margin, margin, self.correction, space.grid)
            space.band[: -BAND or None] = space.band[BAND:]
            space.band[-BAND:] = 0

    def _columns(self, out: NDArray[np.float32], space: "_Workspace") -> None:
        """Transform the columns, a strip at a time, and write the slices."""
        radius = self.size / 2 if self.circle else np.inf
        for left in range(0, self.size, _STRIP):
            strip = space.grid[:, left : min(left + _STRIP, self.size)]
            strip = _ifft(strip, axis=0, overwrite_x=True, norm="forward", workers=self.workers)
            loops.write(strip, left, self.correction, radius, out)


class _Workspace:
    """Buffers of one thread for `lanes` slices side by side."""

    def __init__(self, plan: FourierFBP, lanes: int) -> None:
        pairs, length, grid = lanes // 2, plan.length, plan.grid
        self.lanes = lanes
        step = max(1, _BLOCK_BYTES // (2 * 8 * pairs * length))
        self.block = np.zeros((2, min(step, plan.angles.size), length, pairs), np.complex64)
        self.ends = np.zeros((2, self.block.shape[1], pairs), np.complex64)
        self.spectrum = np.zeros((plan.angles.size, length, pairs), np.complex64)
        self.samples = self.spectrum.view(np.float32)
        self.band = grid.band(lanes)
        self.band_rows = self.band.view(np.complex64)
        pitch = grid.size + (5 - grid.size) % 8  # odd: columns do not share cache sets
        self.grid = np.zeros((grid.points, pitch, pairs), np.complex64)[:, : grid.size]

    def clear(self, margin: int) -> None:
        """Empty what is added to: the band, and the rows of the grid that fold over its rim."""
        self.band[:] = 0
        self.grid[: 2 * margin] = 0
        self.grid[-2 * margin :] = 0
