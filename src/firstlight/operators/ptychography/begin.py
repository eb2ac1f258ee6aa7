"""What is found by trying before the first round: how the detector is mounted, and how far the probe is from its focus.

Twice: a first look at few frames shows an image soon; the frames that are enough then decide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from firstlight.core.arrays import Array
from firstlight.kernels.ptycho.frames import Frames
from firstlight.kernels.ptycho.samples import Sample

from .engines import Round
from .focus import LADDER, curved, misfit
from .orientation import Orientation, oriented, ways

GLANCE, CLOSELY = (32, 4), (150, 7)
"""Frames, and passes over them, by which beginnings are told apart: at a first look, and when they decide."""
DEEPLY = (150, 12)
"""The same where the first of several slices is to be found: they take longer to part."""
_PLANES = 9
"""Places of the first slice that are tried at most."""
_SHORTLIST = 5
"""Beginnings that the first look leaves to be decided among."""
_TELLS = 0.8
"""What fits best must have no more than this part of the error that half of the others exceed: where nothing is in the beam all are alike."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """One that is tried."""

    way: Orientation
    curvature: float = 0.0
    """Of the probe's far field, in radian at the middle of the detector's edge."""
    error: float = 0.0
    """Σ(|Ψ| − A)² that a few passes came down to."""

    def is_like(self, other: Beginning) -> bool:
        """True if both say the same, however well it fitted."""
        return (self.way, self.curvature) == (other.way, other.curvature)


def all_beginnings(given: Round, *, turns: bool, curves: bool, far: bool) -> list[Beginning]:
    """What can be told apart, see `ways` and `LADDER`.

    Args:
        given: The frames.
        turns: Orientations are tried.
        curves: Curvatures of the probe are tried.
        far: True for the far field.
    """
    rows, cols = given.frames.valid.shape
    possible: list[Orientation] = ways(far=far, square=rows == cols) if turns else ["identity"]
    return [Beginning(way, curvature) for way in possible for curvature in (LADDER if curves else (0.0,))]


def shortlist(found: list[Beginning]) -> list[Beginning]:
    """Those that are worth a closer look, of ranked ones: a few, or all if they hardly differ."""
    tells = found[0].error < _TELLS * found[len(found) // 2].error
    return found[:_SHORTLIST] if tells else found


def planes(best: Beginning, gap: float, slices: int) -> list[Beginning]:
    """Where the first slice may lie, half a gap apart: the probe that fits a thin object best is that of any plane in or near the stack.

    From another plane than the first slice's, the stack would be found shifted along the beam, and one slice would have no place in it.

    Args:
        best: The probe that fits a thin object best.
        gap: Curvature that the probe loses from one slice to the next.
        slices: How many.
    """
    steps = np.linspace(1 - slices, slices - 1, min(4 * slices - 3, _PLANES))
    return [replace(best, curvature=best.curvature + gap * float(step)) for step in steps]


def ranked(
    given: Round,
    size: tuple[int, ...],
    mean: Array,
    first_probe: Callable[[Array], Array],
    tried: Sequence[Beginning],
    *,
    rounds: int,
    far: bool,
    sample: Sample,
) -> list[Beginning]:
    """Try beginnings: the one that fits best first, of equal ones the first.

    Args:
        given: Some frames, as they came.
        size: Rows and columns of the object; layers before them, if there are several.
        mean: Mean counts of all frames, shape (v, u): they say more about the probe than those of a few.
        first_probe: The probe to start from, for mean counts.
        tried: Beginnings.
        rounds: Passes.
        far: True for the far field.
        sample: How light goes through the object.
    """
    few, found = given.frames, list[Beginning]()
    each: dict[Orientation, None] = dict.fromkeys(one.way for one in tried)
    for way in each:
        frames = replace(
            few,
            amplitudes=oriented(few.amplitudes, way, corner=far),
            valid=oriented(few.valid, way, corner=far),
        )
        probe = first_probe(oriented(mean, way, corner=far))
        fit = partial(_fitted, probe=probe, frames=frames, size=size, given=given, rounds=rounds, sample=sample)
        # side by side: each alone has too little to do for several threads
        found += given.spread(fit, [one for one in tried if one.way == way])
    return sorted(found, key=lambda one: one.error)


def _fitted(
    one: Beginning, *, probe: Array, frames: Frames, size: tuple[int, ...], given: Round, rounds: int, sample: Sample
) -> Beginning:
    return replace(one, error=misfit(curved(probe, one.curvature), frames, size, given.propagator, rounds, sample))
