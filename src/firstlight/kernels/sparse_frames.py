"""Frames that are nearly empty, as lists of events: what event-driven detectors send.

A frame of 512 × 512 pixels with a hundred electrons is 1 MiB of zeros, or 800 byte of events. Sums over events give what sums over
pixels give: integers exactly.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .mask_products import FrameSums, Masks, sum_dtype

__all__ = ["SparseFrames", "sparse_labelled_sums", "sparse_sums", "sparse_weighted_sums"]

_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}


class SparseFrames:
    """Frames in compressed rows (CSR): events of frame n are those from ``indptr[n]`` to ``indptr[n + 1]``.

    Several events may hit one pixel: they add up. Looks like an array (frame, row, col) to whoever counts frames,
    takes some of them, or asks for its shape; `numpy.asarray` makes a dense one.

    Args:
        indptr: (frame + 1,), rising from 0.
        indices: Pixel of each event, row · columns + column.
        values: What each event counts.
        size: Rows and columns.
        dtype: Type of the dense frames. Default: that of the values.

    Raises:
        ValueError: if the parts do not fit each other, or an event lies outside.
    """

    ndim = 3

    def __init__(
        self, indptr: ArrayLike, indices: ArrayLike, values: ArrayLike, size: tuple[int, int], dtype: Any = None
    ) -> None:
        """Keep the parts, once they are known to fit."""
        self.indptr = np.ascontiguousarray(indptr, np.int64)
        self.indices = np.ascontiguousarray(indices)
        self.values = np.ascontiguousarray(values)
        self.size_of_frame = size
        self.dtype = self.values.dtype if dtype is None else np.dtype(dtype)
        starts, events = self.indptr, len(self.indices)
        if starts.ndim != 1 or not len(starts) or starts[0] != 0 or starts[-1] != events or (np.diff(starts) < 0).any():
            raise ValueError(
                f"indptr has shape {starts.shape}: expected (frame + 1,), rising from 0 to {events} events"
            )
        if self.values.shape != self.indices.shape or self.indices.dtype.kind not in "ui":
            raise ValueError(f"{self.values.shape} values for {self.indices.shape} indices: expected one for each")
        if events and not 0 <= int(self.indices.min()) <= int(self.indices.max()) < size[0] * size[1]:
            raise ValueError(f"an event lies at {int(self.indices.max())}: expected less than {size[0] * size[1]}")
        self._dense: NDArray[Any] | None = None
        self._lock = threading.Lock()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, rows, columns."""
        return (len(self), *self.size_of_frame)

    @property
    def nbytes(self) -> int:
        """Bytes of the events."""
        return self.indptr.nbytes + self.indices.nbytes + self.values.nbytes

    @property
    def size(self) -> int:
        """Pixels of all frames."""
        return len(self) * self.size_of_frame[0] * self.size_of_frame[1]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.indptr) - 1

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Each frame, dense."""
        return (self[number] for number in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        """One frame, dense; or several frames (slice, numbers or mask), sparse."""
        if isinstance(index, int | np.integer):
            number = range(len(self))[index]
            return np.asarray(self[number : number + 1])[0]
        if isinstance(index, slice) and index.step in (None, 1):
            first, last, _ = index.indices(len(self))
            last = max(first, last)
            starts = self.indptr[first : last + 1]
            part = slice(int(starts[0]), int(starts[-1]))
            return SparseFrames(
                starts - starts[0], self.indices[part], self.values[part], self.size_of_frame, self.dtype
            )
        chosen = np.arange(len(self))[index]
        counts = np.diff(self.indptr)[chosen]
        starts = np.concatenate([[0], np.cumsum(counts)])
        events = np.repeat(self.indptr[:-1][chosen] - starts[:-1], counts) + np.arange(starts[-1])
        return SparseFrames(starts, self.indices[events], self.values[events], self.size_of_frame, self.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Dense frames; made once, for all who ask.

        Raises:
            ValueError: if what hit one pixel is more than the type of the frames holds, or no copy may be made.
        """
        if copy is False:
            raise ValueError("Dense frames of sparse ones are a copy.")
        with self._lock:
            if self._dense is None:
                self._dense = self._filled()
        return self._dense if dtype is None else self._dense.astype(dtype, copy=False)

    def packed(self) -> NDArray[np.uint8]:
        """The events as bytes, for `like`."""
        parts = (self.indptr, self.indices, self.values)
        return np.concatenate([part.view(np.uint8) for part in parts])

    def like(self, packed: NDArray[np.uint8]) -> SparseFrames:
        """Frames that `packed` made bytes of, by these ones or by others of the same types, frames and number of events."""
        first = self.indptr.nbytes
        second = first + self.indices.nbytes
        indptr, indices = packed[:first].view(np.int64), packed[first:second].view(self.indices.dtype)
        return SparseFrames(indptr, indices, packed[second:].view(self.values.dtype), self.size_of_frame, self.dtype)

    def hollow(self) -> SparseFrames:
        """Frames of the same types, number and events, that take no memory, for `like`."""
        found = object.__new__(SparseFrames)
        found.size_of_frame, found.dtype = self.size_of_frame, self.dtype
        found._dense, found._lock = None, threading.Lock()
        found.indptr, found.indices, found.values = (
            np.broadcast_to(np.zeros((), part.dtype), part.shape) for part in (self.indptr, self.indices, self.values)
        )
        return found

    def _filled(self) -> NDArray[Any]:
        out = np.zeros((len(self), self.size_of_frame[0] * self.size_of_frame[1]), self.dtype)
        most = np.iinfo(self.dtype).max if self.dtype.kind in "ui" else np.inf
        place = _fill(self.indptr, self.indices, self.values, out, self.dtype.type(most))
        if place >= 0:
            raise ValueError(
                f"pixel {place % out.shape[1]} of frame {place // out.shape[1]}: more than {self.dtype} holds"
            )
        return out.reshape(self.shape)


def sparse_sums(
    frames: SparseFrames, masks: Masks | None = None, *, moments: Masks | None = None, image: bool = False
) -> FrameSums:
    """Sums of sparse frames under masks, first moments and sum image, whichever are asked for: as `frame_sums` of dense ones.

    Args:
        frames: (frame, row, col).
        masks: any number of masks.
        moments: one mask: where first moments are taken; None for no moments.
        image: also the sum over frames.

    Raises:
        ValueError: if the shapes do not fit.
    """
    rows, cols = frames.size_of_frame
    for each in (masks, moments):
        if each is not None and each.bits.shape[1:] != (rows, cols):
            raise ValueError(f"frames are {rows} × {cols} and masks {each.bits.shape}: expected (.., row, col) alike")
    total = sum_dtype(frames.values.dtype)
    under: NDArray[Any] | None = None
    first: NDArray[Any] | None = None
    seen = np.zeros(rows * cols, total) if image else None
    events = (frames.indptr, frames.indices, frames.values)
    if masks is not None:
        under = np.zeros((len(frames), len(masks)), total)
        _under(*events, masks.bits.reshape(len(masks), rows * cols), under)
    if moments is not None:
        first = np.zeros((len(frames), 3), total)
        _moments(*events, moments.bits[0].reshape(-1), cols, first)
    if seen is not None:
        _image(frames.indices, frames.values, seen)
    return FrameSums(under, first, None if seen is None else seen.reshape(rows, cols))


def sparse_weighted_sums(frames: SparseFrames, weights: ArrayLike) -> NDArray[Any]:
    """Sum each sparse frame under each mask of weights: as `weighted_sums` of dense ones.

    Args:
        frames: (frame, row, col).
        weights: (mask, row, col), real or complex.

    Returns:
        (frame, mask), float64 or complex128.

    Raises:
        ValueError: if the shapes do not fit.
    """
    given = np.asarray(weights)
    if given.ndim != 3 or given.shape[1:] != frames.size_of_frame:
        raise ValueError(f"frames are {frames.size_of_frame} and masks {given.shape}: expected the same (.., row, col)")
    kind = np.complex128 if given.dtype.kind == "c" else np.float64
    # the weights of one pixel lie beside each other: an event reads one short line
    table = np.ascontiguousarray(given.reshape(len(given), -1).T, dtype=kind)
    out = np.zeros((len(frames), len(given)), kind)
    _weighted(frames.indptr, frames.indices, frames.values, table, out)
    return out


def sparse_labelled_sums(frames: SparseFrames, labels: ArrayLike, count: int) -> NDArray[np.float64]:
    """Sum each sparse frame over the pixels of each label.

    Args:
        frames: (frame, row, col).
        labels: (row, col), integers from 0; pixels of a negative one count nowhere.
        count: Number of labels.

    Returns:
        (frame, label), float64.

    Raises:
        ValueError: if the shapes do not fit, or a label is too large.
    """
    given = np.ascontiguousarray(labels, np.int64)
    if given.shape != frames.size_of_frame or (given.size and int(given.max()) >= count):
        raise ValueError(f"labels have shape {given.shape}: expected {frames.size_of_frame}, and labels below {count}")
    out = np.zeros((len(frames), count))
    _labelled(frames.indptr, frames.indices, frames.values, given.reshape(-1), out)
    return out


@numba.njit(**_OPTIONS)
def _fill(indptr: NDArray[np.int64], indices: NDArray[Any], values: NDArray[Any], out: NDArray[Any], most: Any) -> int:
    """Add events to dense frames; the place of the first pixel that overflows, or -1."""
    for n in range(len(indptr) - 1):
        frame = out[n]
        for i in range(indptr[n], indptr[n + 1]):
            before, value = frame[indices[i]], values[i]
            if value > most or before > most - out.dtype.type(value):
                return n * out.shape[1] + np.int64(indices[i])
            frame[indices[i]] = before + out.dtype.type(value)
    return -1


@numba.njit(**_OPTIONS)
def _under(
    indptr: NDArray[np.int64],
    indices: NDArray[Any],
    values: NDArray[Any],
    bits: NDArray[np.uint8],
    out: NDArray[Any],
) -> None:
    for n in range(len(indptr) - 1):
        for m in range(len(bits)):
            mask, total = bits[m], out.dtype.type(0)
            for i in range(indptr[n], indptr[n + 1]):
                if mask[indices[i]]:
                    total += out.dtype.type(values[i])
            out[n, m] = total


@numba.njit(**_OPTIONS)
def _moments(
    indptr: NDArray[np.int64],
    indices: NDArray[Any],
    values: NDArray[Any],
    inside: NDArray[np.uint8],
    cols: int,
    out: NDArray[Any],
) -> None:
    width = np.uint32(cols)
    for n in range(len(indptr) - 1):
        mass, down, right = out.dtype.type(0), out.dtype.type(0), out.dtype.type(0)
        for i in range(indptr[n], indptr[n + 1]):
            place = np.uint32(indices[i])
            if inside[place]:
                value, row = out.dtype.type(values[i]), place // width
                mass += value
                down += value * out.dtype.type(row)
                right += value * out.dtype.type(place - row * width)
        out[n, 0], out[n, 1], out[n, 2] = mass, down, right


@numba.njit(**_OPTIONS)
def _image(indices: NDArray[Any], values: NDArray[Any], out: NDArray[Any]) -> None:
    for i in range(len(indices)):
        out[indices[i]] += out.dtype.type(values[i])


@numba.njit(**_OPTIONS)
def _weighted(
    indptr: NDArray[np.int64], indices: NDArray[Any], values: NDArray[Any], table: NDArray[Any], out: NDArray[Any]
) -> None:
    for n in range(len(indptr) - 1):
        for i in range(indptr[n], indptr[n + 1]):
            value, line = np.float64(values[i]), table[indices[i]]
            for m in range(len(line)):
                out[n, m] += value * line[m]


@numba.njit(**_OPTIONS)
def _labelled(
    indptr: NDArray[np.int64],
    indices: NDArray[Any],
    values: NDArray[Any],
    labels: NDArray[np.int64],
    out: NDArray[np.float64],
) -> None:
    for n in range(len(indptr) - 1):
        for i in range(indptr[n], indptr[n + 1]):
            label = labels[indices[i]]
            if label >= 0:
                out[n, label] += np.float64(values[i])
