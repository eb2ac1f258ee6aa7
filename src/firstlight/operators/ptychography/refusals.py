"""Parameters that do not go together, told before the first frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.core.errors import ChangeRefused, StepFailed

from .orientation import exchanges
from .reconstruction import Reconstruction

if TYPE_CHECKING:
    from .ptychography import Ptychography


_FIXED = (
    "device",
    "regime",
    "crop",
    "crop_middle",
    "saturation",
    "orientation",
    "modes",
    "variations",
    "object_modes",
    "slices",
    "upsampling",
    "precision",
    "memory",
    "scratch",
    "zero_frequency",
    "energy",
    "distance",
    "source_distance",
    "detector_pixel",
    "pixel",
)
"""Parameters that decide what frames and positions mean, or where they lie."""
_MANY = 16
"""Positions that are a scan."""
LARGEST = 2**29
"""Pixels of the object: 4 GiB in single precision. A position that asks for more is a fault of an encoder, or a wrong unit."""


def refuse_contradictions(step: Ptychography, state: Reconstruction) -> None:
    """Find the first thing that can not be.

    Raises:
        StepFailed: Parameters contradict each other, or the scan does not tell what they need.
    """
    _turned(step, state)
    _near(step, state)
    _layered(step, state)
    if step.outer_zone is not None:
        state.optics.require("pixel")
        if step.zone_plate_diameter is None and step.central_stop > 0:
            raise StepFailed(
                "The central stop is a part of the zone plate, whose diameter nobody knows.",
                field="zone_plate_diameter",
                value=None,
                next_move="Give zone_plate_diameter.",
            )


def refuse_other_meaning(step: Ptychography, old: Any, state: Reconstruction) -> None:
    """Find the first parameter that may not change while frames are in hand; what was found may be locked.

    Raises:
        ChangeRefused: There is one.
    """
    changed = [name for name in _FIXED if getattr(step, name) != getattr(old, name)]
    if old.orientation == "auto" and step.orientation == state.way:
        changed.remove("orientation")
    if changed:
        raise ChangeRefused(
            f"{', '.join(changed)} can not change while frames are in hand.",
            field=changed[0],
            value=getattr(step, changed[0], None),
            next_move="Stop the run and start it with the new values.",
        )


def refuse_wild_places(state: Reconstruction, ids: Ids, places: Array) -> None:
    """Find a position that can not be, before the image grows to reach it.

    Args:
        state: What there is.
        ids: Numbers of frames.
        places: Their positions, shape (position, 2), in the unit of the scan.

    Raises:
        StepFailed: A position is not a number, or the image would have more than `LARGEST` pixels.
    """
    known = np.isfinite(places).all(axis=1)
    wild, expected = np.flatnonzero(~known), "finite numbers"
    if not len(wild):
        pixels = places / state.pixel
        low, high, canvas = pixels.min(axis=0), pixels.max(axis=0) + state.patterns.window, state.canvas
        if canvas.stack.size:
            low, high = np.minimum(low, canvas.origin), np.maximum(high, np.add(canvas.origin, canvas.shape))
        if np.prod(high - low) <= LARGEST:
            return
        # whichever is farthest from the others; those that came before are taken for right
        middle = np.median(np.concatenate([state.patterns.places, pixels]), axis=0)
        wild = [int(np.abs(pixels - middle).max(axis=1).argmax())]
        expected = (
            f"positions within an image of {LARGEST} pixels of {state.pixel[0]:.3g} × {state.pixel[1]:.3g} {state.unit}"
        )
    raise StepFailed(
        f"The position of frame {int(ids[wild[0]])} can not be.",
        field="positions",
        value=tuple(places[wild[0]].tolist()),
        expected=expected,
        next_move="Put the step `exclude_outside` before this one: it leaves such frames out, and counts them.",
    )


def refuse_one_place(state: Reconstruction) -> None:
    """Find that the probe has not moved: nothing can be told from frames that see the same.

    Raises:
        StepFailed: All positions, of many, lie within a pixel.
    """
    places = state.patterns.places
    extent = np.ptp(places, axis=0) if len(places) else np.zeros(2)
    if len(places) < _MANY or extent.max() >= 1:
        return
    raise StepFailed(
        f"All {len(places)} positions lie within one pixel of the object.",
        field="positions",
        value=f"{extent[0]:.2g} × {extent[1]:.2g} pixels",
        expected=f"a scan over many pixels of {state.pixel[0]:.3g} × {state.pixel[1]:.3g} {state.unit}",
        next_move="Give the unit that the positions are in: `unit` of the source panda, `position_unit` of a file's.",
    )


def _turned(step: Ptychography, state: Reconstruction) -> None:
    rows, cols = state.patterns.window
    if step.orientation != "auto" and exchanges(step.orientation) and rows != cols:
        raise StepFailed(
            "Only square frames can be turned here.",
            field="orientation",
            value=step.orientation,
            expected=f"square frames, not {rows} × {cols}",
            next_move="Put the steps `orient` and `crop` before this one.",
        )


def _near(step: Ptychography, state: Reconstruction) -> None:
    if step.regime != "near":
        return
    state.optics.require("wavelength", "distance", "pixel")
    off: dict[str, object] = {
        "subpixel": False,
        "refine_positions": "no",
        "upsampling": 1,
        "first_object": "empty",
        "outer_zone": None,
    }
    for name, value in off.items():
        if getattr(step, name) != value:
            raise StepFailed(
                f"{name} works in the far field only: in the near field the detector sees an image.",
                field=name,
                value=getattr(step, name),
                next_move=f"Leave {name} out, or set regime to far.",
            )


def _layered(step: Ptychography, state: Reconstruction) -> None:
    if step.slices == 1:
        return
    if step.object_modes > 1:
        raise StepFailed(
            "Slices and states of the object are not possible together.",
            field="object_modes",
            value=step.object_modes,
            expected="1",
            next_move="Leave one of slices and object_modes out.",
        )
    for name in ("algorithm", "algorithm2"):
        if getattr(step, name) in ("dm", "raar"):
            raise StepFailed(
                "The difference map and RAAR project exit waves on what one thin object can give; for slices that projection has no "
                "closed form.",
                field=name,
                value=getattr(step, name),
                expected="epie, rpie, lsq or ml",
                next_move=f"Set {name} to lsq, or slices to 1.",
            )
    state.optics.require("wavelength", "pixel")
    if step.slice_gap is None:
        raise StepFailed(
            "How far the slices are apart is not known.",
            field="slice_gap",
            value=None,
            expected="a length, such as 5 um",
            next_move="Give slice_gap.",
        )
