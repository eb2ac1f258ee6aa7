"""Simulated frames that are made scan point by scan point: in order, or any block of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import MAIN, Chunk, End, Item, Scan, Stream
from firstlight.core.errors import UnknownName

from .noise import generator

MakeFrames = Callable[[Ids], Array]
"""From ids, shape (frame,), to frames, shape (frame, row, col)."""


def counted(mean: Array, seed: int, frame: int, *, noise: bool) -> Array:
    """Counts of one frame whose expected values are `mean`: with Poisson noise that depends on the frame's id alone, or rounded.

    Returns:
        What a counter of 16 bits shows, of the same shape.
    """
    drawn = generator(seed, 0, frame).poisson(mean) if noise else np.rint(mean)
    return np.clip(drawn, 0, 65535)


def line_by_line(stream: Stream, nbytes: float, make: MakeFrames, stopped: Callable[[], bool]) -> Iterator[Item]:
    """All frames of a scan in the order of their ids, in chunks of about `nbytes` byte, until `stopped` says so."""
    step, total = max(1, int(nbytes // stream.frame_bytes)), stream.frames or 0
    for start in range(0, total, step):
        if stopped():
            return
        ids = np.arange(start, min(start + step, total), dtype=np.int64)
        yield Chunk(make(ids), stream.frame_axes, ids)
    yield End(MAIN)


def block(scan: Scan, where: Mapping[str, slice], stream: str, make: MakeFrames) -> Array:
    """One block of a stream with the axes ``scan_y scan_x row col``.

    Raises:
        UnknownName: There is no such stream or axis.
    """
    described = scan.stream(stream)
    if unknown := set(where) - set(described.axes):
        expected = "axes out of " + " ".join(described.axes)
        raise UnknownName(
            f"The scan has no axis '{min(unknown)}'.", field="where", value=sorted(where), expected=expected
        )
    points = tuple(described.size(label) for label in described.arrival_axes)
    ids = np.arange(np.prod(points), dtype=np.int64).reshape(points)
    ids = ids[tuple(where.get(label, slice(None)) for label in described.arrival_axes)]
    frames = make(ids.ravel())[:, *(where.get(label, slice(None)) for label in described.frame_axes)]
    return frames.reshape(*ids.shape, *frames.shape[1:])
