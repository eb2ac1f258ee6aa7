"""Demands: what `assert` does in a test, for code that ships (where `python -O` would take assertions away)."""

from __future__ import annotations

from typing import Any

import numpy as np

from firstlight.core.chunk import Chunk


def demand(condition: object, message: str) -> None:
    """Fail the test with a message unless the condition holds.

    Raises:
        AssertionError: It does not.
    """
    if not condition:
        raise AssertionError(message)


def demand_equal(found: Any, wanted: Any, what: str, *, tolerance: float = 0.0) -> None:
    """Two arrays of the same shape and values (NaN equals NaN), up to a part `tolerance` of the largest value wanted.

    Raises:
        AssertionError: They differ.
    """
    left, right = np.asarray(found), np.asarray(wanted)
    demand(left.shape == right.shape, f"{what}: the shape is {left.shape}. Expected {right.shape}.")
    if not tolerance:
        np.testing.assert_array_equal(left, right, err_msg=what)
        return
    scale = float(np.max(np.abs(right[np.isfinite(right)]), initial=0.0))
    np.testing.assert_allclose(left, right, rtol=0, atol=tolerance * scale, equal_nan=True, err_msg=what)


def by_place(chunks: list[Chunk]) -> dict[tuple[int, int], Any]:
    """Frames by (epoch, id)."""
    return {(chunk.epoch, int(i)): frame for chunk in chunks for i, frame in zip(chunk.ids, chunk.data, strict=True)}
