"""What is found by trying before the first round: how the detector is mounted, and how far the probe is from its focus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from firstlight.core.arrays import Array

from .engines import Round
from .focus import find_curvature, first_of, misfit
from .orientation import Orientation, oriented, ways


@dataclass(frozen=True, slots=True)
class Beginning:
    """What fits the data best."""

    way: Orientation
    curvature: float
    """Of the probe's far field, in radian at the middle of the detector's edge."""
    error: float
    """Σ(|Ψ| − A)² that a few passes came down to."""


def find_beginning(
    given: Round,
    size: tuple[int, int],
    mean: Array,
    first_probe: Callable[[Array], Array],
    *,
    turns: bool,
    curves: bool,
    far: bool,
) -> Beginning:
    """Try orientations and curvatures on some frames; the smallest error wins, of equal ones the first.

    Args:
        given: All frames, as they came.
        size: Rows and columns of the object.
        mean: Mean counts of all frames, shape (v, u): they say more about the probe than those of a few.
        first_probe: The probe to start from, for mean counts.
        turns: Orientations are tried.
        curves: Curvatures of the probe are tried.
        far: True for the far field.
    """
    few = first_of(given.frames)
    square = few.valid.shape[0] == few.valid.shape[1]
    found: list[Beginning] = []
    for way in ways(far=far, square=square) if turns else ("identity",):
        frames = replace(
            few,
            amplitudes=oriented(few.amplitudes, way, corner=far),
            valid=oriented(few.valid, way, corner=far),
        )
        probe = first_probe(oriented(mean, way, corner=far))
        if curves:
            found.append(Beginning(way, *find_curvature(probe, frames, size, given)))
        else:
            found.append(Beginning(way, 0.0, misfit(probe, frames, size, given)))
    return min(found, key=lambda one: one.error)
