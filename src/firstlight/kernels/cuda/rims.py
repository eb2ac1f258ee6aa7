"""Where a value beyond the rim of an array is found, for kernels of CUDA devices."""

from __future__ import annotations

from typing import Any

from firstlight.kernels.cuda.arrays import cuda

__all__ = ["mirrored", "nearest"]

# no min and max: one version of numba's CUDA target does not know them


@cuda.jit(device=True)
def nearest(place: Any, size: Any) -> Any:
    """The outermost value repeated: a a a | a b c d | d d d."""
    if place < 0:
        return 0
    return size - 1 if place >= size else place


@cuda.jit(device=True)
def mirrored(place: Any, size: Any) -> Any:
    """The array mirrored at its rim, its outermost value repeated: c b a | a b c d | d c b."""
    folded = place % (2 * size)
    return folded if folded < size else 2 * size - 1 - folded
