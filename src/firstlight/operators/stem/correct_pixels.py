"""What an electron detector adds to what it sees: dark image, gain, dead pixels."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import FirstlightError
from firstlight.core.npy import open_npy
from firstlight.core.operator import Operator, operator
from firstlight.kernels.median import replace_pixels

Pixel = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]


@operator("row col -> row col", sentence="Dark image, gain and dead pixels of the detector were corrected.")
def correct_pixels(
    frames: Array,
    *,
    dark_file: Path | None = None,
    gain_file: Path | None = None,
    dead_file: Path | None = None,
    dead: tuple[Pixel, ...] = (),
) -> Array:
    """Correct frames by images of the detector, live as well: (frame - dark) times gain; dead pixels get the median around them.

    For detectors whose dark and gain images are files; `flat_field` is for scans that bring their own.

    Args:
        frames: shape (frame, row, col), integers or floats.
        dark_file: .npy file (row, col): what the detector shows without a beam. Default: nothing.
        gain_file: .npy file (row, col): what each pixel is multiplied by. Default: 1.
        dead_file: .npy file (row, col): not 0 where a pixel is dead.
        dead: Row and column of further dead pixels.

    Returns:
        float32 of the same shape and unit.

    Raises:
        FirstlightError: A file can not be read, or is not as large as a frame.
    """
    size = (frames.shape[1], frames.shape[2])
    found = frames.astype(np.float32)
    if dark_file is not None:
        found -= _image(dark_file, size, "dark_file")
    if gain_file is not None:
        found *= _image(gain_file, size, "gain_file")
    mask = _dead(dead_file, dead, size)
    return replace_pixels(found, mask, out=found) if mask.any() else found


@lru_cache(maxsize=16)
def _image(path: Path, size: tuple[int, int], name: str) -> Array:
    try:
        found = np.array(open_npy(path))
    except (OSError, ValueError) as error:
        raise FirstlightError(
            f"The image can not be read: {error}.", field=name, value=str(path), expected="a .npy file"
        ) from error
    if found.shape != size or found.dtype.kind not in "buif":
        raise FirstlightError(
            "The image is not as large as a frame.",
            field=name,
            value=(found.shape, found.dtype.name),
            expected=f"numbers (row, col) = {size}",
        )
    return found.astype(np.float32)


@lru_cache(maxsize=16)
def _dead(path: Path | None, pixels: tuple[Pixel, ...], size: tuple[int, int]) -> Array:
    mask = np.zeros(size, bool) if path is None else _image(path, size, "dead_file") != 0
    for row, col in pixels:
        if row >= size[0] or col >= size[1]:
            raise FirstlightError(
                "A dead pixel lies outside the frame.", field="dead", value=(row, col), expected=f"within {size}"
            )
        mask[row, col] = True
    return mask


@correct_pixels.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit


@correct_pixels.hook("prepare")
def _prepare(step: Operator, scan: Scan) -> None:
    # files that were written anew since the last run are read anew
    _image.cache_clear()
    _dead.cache_clear()
