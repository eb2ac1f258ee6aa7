"""What is known of the sample before an iterative step begins: where it may be, and about what it looks like."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError
from firstlight.core.npy import open_npy

KINDS = ".npy, .tif, or HDF5: the default data of a NeXus file, or scan.h5:/path/to/data"

Mask = Annotated[
    Path | None,
    Field(description=f"File of an image (y, x) that is 0 where no sample is: the result stays 0 there ({KINDS})."),
]
Initial = Annotated[
    Path | None,
    Field(
        description="File of the first estimate (z, y, x), such as an earlier result, in the unit of the result; where slices "
        f"are reconstructed one by one, z is the detector row ({KINDS})."
    ),
]


def mask_in(path: Path, shape: tuple[int, ...]) -> Array:
    """Ones where the sample may be, float32.

    Args:
        path: An image (y, x), or a volume, as the parameter `mask` says.
        shape: What it shall fill, (y, x) or (z, y, x); an image holds for every z.

    Raises:
        FirstlightError: It can not be read, or does not fit.
    """
    with _opened(path, "mask") as held:
        _demand(held.shape in (shape, shape[-2:]), path, "mask", held.shape, f"{shape[-2:]} or {shape}")
        found = np.asarray(held[...]) != 0
    return np.ascontiguousarray(np.broadcast_to(found, shape), np.float32)


def slices_in(path: Path, rows: Array | None, shape: tuple[int, int, int]) -> Array:
    """The first estimate of some slices, float32.

    Args:
        path: A volume (z, y, x), as the parameter `initial` says.
        rows: Detector rows of the slices; None: all of the file.
        shape: (z, y, x) of the slices.

    Raises:
        FirstlightError: It can not be read, does not fit, or holds what is no number.
    """
    chosen = np.arange(shape[0]) if rows is None else np.asarray(rows, np.int64)
    with _opened(path, "initial") as held:
        wanted = f"slices of {shape[1:]}, at least {chosen.max() + 1} of them: one for each detector row"
        fits = len(held.shape) == 3 and held.shape[1:] == shape[1:] and len(held) > chosen.max()
        _demand(fits and (rows is not None or len(held) == shape[0]), path, "initial", held.shape, wanted)
        found = np.asarray(held[int(chosen.min()) : int(chosen.max()) + 1], np.float32)[chosen - chosen.min()]
    _demand(bool(np.isfinite(found).all()), path, "initial", "values that are not finite", "numbers")
    return found


def _demand(holds: bool, path: Path, field: str, value: object, expected: str) -> None:
    if not holds:
        raise FirstlightError(f"'{path}' does not fit the slices.", field=field, value=value, expected=expected)


@contextmanager
def _opened(path: Path, field: str) -> Iterator[Any]:
    """Something with a shape that can be sliced; nothing is read before."""
    name, _, inside = str(Path(path).expanduser()).partition(":/")
    try:
        if name.endswith(".npy"):
            yield open_npy(name)
        elif name.lower().endswith((".tif", ".tiff")):
            import tifffile

            yield tifffile.imread(name)
        else:
            import h5py

            with h5py.File(name, "r") as file:
                yield file[inside] if inside else _default_data(file)
    except (OSError, ValueError, KeyError) as error:
        raise FirstlightError(
            f"'{path}' can not be read: {error}.", field=field, value=str(path), expected=KINDS
        ) from error


def _default_data(group: Any) -> Any:
    """What a NeXus file says to show."""
    for _ in range(8):
        if "signal" in group.attrs:
            return group[group.attrs["signal"]]
        group = group[group.attrs["default"]]
    raise KeyError("its defaults lead nowhere")
