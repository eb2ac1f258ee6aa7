"""Dark and flat field correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import Scan
from firstlight.core.errors import AxesError
from firstlight.core.held import START, Held, Version
from firstlight.core.operator import Operator, operator
from firstlight.kernels.elementwise import ScalarBody, fuse
from firstlight.kernels.flat_field import DRIFTING_TRANSMISSION, TRANSMISSION


@dataclass(frozen=True, slots=True)
class Part:
    """Neighbouring frames of a chunk that lie between the same sets of dark and flat fields."""

    frames: slice
    body: ScalarBody
    images: list[Array]
    numbers: list[Array]
    """One array (frame,) for each parameter of the body."""


@operator(
    "row col, row col, row col -> row col",
    sentence="Dark field was subtracted and intensities were divided by the flat field, both interpolated between their sets.",
)
def flat_field(frames: Array, dark: Array | Held, flat: Array | Held) -> Array:
    """Turn counts into transmission: (frame - dark) / (flat - dark).

    Where several sets of dark or flat fields are known, each frame gets what lies between the set before and the set
    after it, by frame id; before the first and after the last set that set holds. A pixel without light in the flat
    field (flat - dark zero, negative or NaN) gets the transmission 1, never infinity.

    Args:
        frames: shape (frame, row, col), any integer or float type: counts.
        dark: image (row, col) without beam, or the versions of it.
        flat: image (row, col) without sample, or the versions of it.

    Returns:
        float32 of shape (frame, row, col): transmission, without unit.

    Raises:
        AxesError: an image is not as large as a frame.
    """
    darks, flats = Held.of(dark), Held.of(flat)
    _demand_size(frames, darks, flats)
    out = np.empty(frames.shape, np.float32)
    for part in parts(len(frames), darks, flats):
        fuse([part.body])(frames[part.frames], part.images, part.numbers, out[part.frames])
    return out


def _demand_size(frames: Array, darks: Held, flats: Held) -> None:
    for name, held in (("dark", darks), ("flat", flats)):
        for version in held.versions:
            if version.value.shape != frames.shape[1:]:
                raise AxesError(
                    f"The {name} image is not as large as a frame.",
                    field=name,
                    value=version.value.shape,
                    expected=f"(row, col) = {frames.shape[1:]}",
                    next_move="Take dark and flat frames with the region and binning of the projections.",
                )


def parts(count: int, dark: Held, flat: Held) -> list[Part]:
    """Cut `count` frames where the sets of dark or flat fields that they lie between change.

    A runner that fuses element-wise steps uses it to put `flat_field` at the head of its chain.
    """
    dark_before, dark_after, dark_weight = _around(dark, count)
    flat_before, flat_after, flat_weight = _around(flat, count)
    keys = [tuple(map(id, each)) for each in zip(dark_before, dark_after, flat_before, flat_after, strict=True)]
    found: list[Part] = []
    first = 0
    for stop in range(1, count + 1):
        if stop < count and keys[stop] == keys[first]:
            continue
        here = slice(first, stop)
        if dark_before[first] is dark_after[first] and flat_before[first] is flat_after[first]:
            found.append(Part(here, TRANSMISSION, [dark_before[first].value, flat_before[first].value], []))
        else:
            versions = (dark_before[first], dark_after[first], flat_before[first], flat_after[first])
            numbers: list[Array] = [dark_weight[here], flat_weight[here]]
            found.append(Part(here, DRIFTING_TRANSMISSION, [version.value for version in versions], numbers))
        first = stop
    return found


def _around(held: Held, count: int) -> tuple[list[Version], list[Version], Array]:
    """For each frame the version before it, the version after it, and the weight of the second."""
    if held.ids is None or len(held.versions) == 1:
        newest = held.versions[-1]
        return [newest] * count, [newest] * count, np.zeros(count, np.float32)
    ids: Ids = np.repeat(held.ids, count // max(1, len(held.ids)))  # free axes inside a frame share its id
    around = [held.around(place) for place in ids.tolist()]
    before, after, weight = zip(*around, strict=True) if around else ((), (), ())
    return list(before), list(after), np.array(weight, np.float32)


@flat_field.hook("fuse")
def _fuse(step: Operator, count: int, *held: Held) -> list[Any]:
    return list(parts(count, *held))


@flat_field.hook("unit")
def _unit(step: Operator, scan: Scan) -> None:
    return None


flat_field.pixelwise(TRANSMISSION)


@flat_field.device("cuda")
def _on_cuda(frames: Any, dark: Any, flat: Any) -> Any:
    from firstlight.kernels.cuda.arrays import empty
    from firstlight.kernels.cuda.elementwise import fuse as fuse_on_device

    darks, flats = (each if isinstance(each, Held) else Held((Version(each, START, 0.0),)) for each in (dark, flat))
    _demand_size(frames, darks, flats)
    out = empty(frames.shape)
    for part in parts(frames.shape[0], darks, flats):
        fuse_on_device([part.body])(frames[part.frames], part.images, part.numbers, out[part.frames])
    return out
