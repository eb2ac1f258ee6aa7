"""What engines work on, as files: for a comparison with other programs, by the names and axes of holoptycho."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from .reconstruction import Reconstruction

_log = logging.getLogger(__name__)
_BLOCK = 64
"""Frames at once."""


def write_engine_inputs(folder: Path, state: Reconstruction) -> None:
    """Write three files, in the order of the frames' ids; each has its name when it is whole.

    ``diff_d.npy``: amplitudes √I, float32, shape (frame, x, y), zero frequency at the first pixel, pixels that do not measure zero.
    ``engine_feed_dps.npy``: their squares, the counts, likewise, zero frequency in the middle.
    ``point_info_d.npy``: the window of each frame in the object, int32, shape (frame, 4): first x, x behind the last, y and y.

    A file that can not be written is told in the log; the reconstruction goes on.
    """
    patterns, canvas = state.patterns, state.canvas
    if not len(patterns):
        return
    corners = canvas.corners(patterns.corners[patterns.by_id()])
    rows, cols = canvas.window
    windows = np.column_stack([corners[:, 1], corners[:, 1] + cols, corners[:, 0], corners[:, 0] + rows])
    names = ("diff_d.npy", "engine_feed_dps.npy", "point_info_d.npy")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = [folder / f".{name}" for name in names]
        _write_frames(fresh[0], fresh[1], state)
        with fresh[2].open("wb") as file:
            np.save(file, windows.astype(np.int32))
        for path, name in zip(fresh, names, strict=True):
            path.replace(folder / name)
    except OSError as error:
        _log.warning("What the engine worked on was not written into %s: %s", folder, error)


def _write_frames(amplitudes: Path, counts: Path, state: Reconstruction) -> None:
    patterns = state.patterns
    stored, (rows, cols) = patterns.stored("float32"), patterns.window
    shape = len(patterns), cols, rows
    cornered, centred = (open_memmap(path, "w+", np.float32, shape) for path in (amplitudes, counts))
    for start in range(0, len(patterns), _BLOCK):
        some = slice(start, min(start + _BLOCK, len(patterns)))
        found = np.asarray(stored[some]).swapaxes(1, 2) * patterns.valid.T
        cornered[some] = found
        centred[some] = np.fft.fftshift(found**2, axes=(1, 2))
    for each in (cornered, centred):
        each.flush()
