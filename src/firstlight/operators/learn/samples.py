"""Samples to train a network with: patterns, where they were taken, and what a reconstruction found there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Scan
from firstlight.core.errors import SinkError, StepFailed
from firstlight.core.source import RandomAccess
from firstlight.core.units import factor
from firstlight.operators.ptychography.optics import Optics
from firstlight.operators.ptychography.patterns import amplitudes_of

_BLOCK = 64
"""Patterns at once, and in a chunk of the file."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What was written."""

    count: int
    window: tuple[int, int]


def write_samples(
    path: Path,
    source: RandomAccess,
    scan: Scan,
    image: Array,
    *,
    stride: int = 1,
    pixel: float | None = None,
) -> Samples:
    """Write an HDF5 file with the names and types of holoptycho's tree, and targets beside.

    ``diffraction/dp`` are amplitudes √I, rounded down, at most 255, uint8, shape (sample, row, col), as the detector gave them;
    ``diffraction/probe_position_x_m`` and ``…_y_m`` positions in metre, where x is the slow axis, as there; ``positions_um`` both,
    slow and fast; ``targets`` amplitude and phase in radian of the object in each window, float32, shape (sample, 2, row, col).
    The file has its name when it is whole.

    Args:
        path: To be written; must not be there.
        source: An open source of recorded frames and positions, y and x.
        scan: What `open` gave.
        image: The object of this scan, shape (y, x), complex: its first pixel is that of the first window, as `ptychography` gives it.
        stride: Every so many frames.
        pixel: Of the object, in metre; None: what the scan's calibration makes it.

    Raises:
        StepFailed: The object is not of this scan, or its pixel is not known.
        SinkError: The file is there, or can not be written.
    """
    window = scan.main.size("row"), scan.main.size("col")
    places = np.asarray(source.read({}, "positions"), np.float64)
    step, unit = _pixel(scan, window, pixel), scan.streams["positions"].unit or "px"
    dimension, size = factor(unit)
    corners = np.rint(places if dimension == "pixels" else places * size / step).astype(np.int64)
    corners -= corners.min(axis=0)
    wanted = tuple(int(n) for n in corners.max(axis=0) + window)
    if image.shape != wanted or image.dtype.kind != "c":
        raise StepFailed(
            "The object is not that of this scan.",
            field="object",
            value=f"{image.dtype} {image.shape}",
            expected=f"complex, shape {wanted}, as the step ptychography gives it for the whole frames of this scan",
        )
    if path.exists():
        raise SinkError("The file exists.", field="path", value=str(path), next_move="Choose another name.")
    chosen = np.arange(0, len(corners), stride)
    metres = places * (step if dimension == "pixels" else size)
    _write(path, source, scan.main.axes[0], image, chosen, corners, metres, step)
    return Samples(len(chosen), window)


def _pixel(scan: Scan, window: tuple[int, int], given: float | None) -> Array:
    """Height and width in metre."""
    known: dict[str, None] = dict.fromkeys(("energy", "distance", "source_distance", "detector_pixel"))
    optics = Optics.of(scan, window, near=False, pixel=given, **known)
    optics.require("pixel")
    return np.asarray(optics.pixel)


def _frames(source: RandomAccess, axis: str, numbers: Array) -> Array:
    """Some frames in order; those between them are not read."""
    if numbers[-1] - numbers[0] == len(numbers) - 1:
        return source.read({axis: slice(int(numbers[0]), int(numbers[-1]) + 1)}, MAIN)
    return np.concatenate([source.read({axis: slice(number, number + 1)}, MAIN) for number in numbers.tolist()])


def _write(
    path: Path, source: RandomAccess, axis: str, image: Array, chosen: Array, corners: Array, metres: Array, step: Array
) -> None:
    import h5py

    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with h5py.File(fresh, "w") as file:
            dp = targets = None
            for start in range(0, len(chosen), _BLOCK):
                some = chosen[start : start + _BLOCK]
                frames = _frames(source, axis, some)
                rows, cols = frames.shape[1:]
                if dp is None or targets is None:
                    block = min(_BLOCK, len(chosen))
                    dp = file.create_dataset(
                        "diffraction/dp",
                        (len(chosen), rows, cols),
                        "u1",
                        chunks=(block, rows, cols),
                        compression="gzip",
                    )
                    targets = file.create_dataset(
                        "targets", (len(chosen), 2, rows, cols), "f4", chunks=(1, 2, rows, cols), compression="gzip"
                    )
                amplitudes = np.nan_to_num(amplitudes_of(frames, "float64"))
                cut = np.stack([image[r : r + rows, c : c + cols] for r, c in corners[some]])
                dp[start : start + len(some)] = np.minimum(np.floor(amplitudes), 255).astype(np.uint8)
                targets[start : start + len(some)] = np.stack([np.abs(cut), np.angle(cut)], axis=1)
            file["positions_um"] = metres[chosen] * 1e6
            file["diffraction/probe_position_x_m"], file["diffraction/probe_position_y_m"] = metres[chosen].T
            file.attrs.update(
                fine_tunable=True,
                complete=True,
                dp_stride=int(chosen[1] - chosen[0]) if len(chosen) > 1 else 1,
                dp_frames_written=len(chosen),
                y_pixel_m=float(step[0]),
                x_pixel_m=float(step[1]),
            )
        fresh.replace(path)
    except OSError as error:
        raise SinkError(f"The samples can not be written: {error}", field="path", value=str(path)) from error
    finally:
        fresh.unlink(missing_ok=True)
