"""The tilt series of an electron microscope: where its axis lies, which a part of half a turn can not tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from firstlight.core.chunk import Scan
from firstlight.core.errors import FirstlightError

_STRAIGHT = 0.5
"""An axis within so many degree of the vertical is vertical."""
_FIRST = ("flat_field", "subtract_dark")
"""Steps that need frames as the detector saw them."""


def along_the_axis(scan: Scan, before: list[dict[str, Any]], told: list[str]) -> list[dict[str, Any]]:
    """The steps up to slices of a tilt series with an axis in the middle of its images; they are turned where it is not vertical.

    Args:
        scan: With the calibration `tilt_axis`: degrees from the vertical, counter-clockwise with the first row at the bottom.
        before: What is done before.
        told: Gets what was assumed.

    Returns:
        Everything up to `fbp`.
    """
    angle = scan.calibration["tilt_axis"].value
    turned = (angle + 180) % 360 - 180
    if abs(turned) <= _STRAIGHT:
        told.append(
            "the tilt axis is vertical and in the middle of the images, as in an aligned stack (--set fbp.center=COLUMN)"
        )
    else:
        place = 1 if before and before[0]["use"] in _FIRST else 0
        before = [*before[:place], {"use": "rotate", "angle": turned}, *before[place:]]
        told.append(
            f"the tilt axis leans by {turned:g}° from the vertical, as noted with the stack: the images are turned by that"
            " (--set rotate.angle=0 if they are aligned), and it is taken to be in their middle (--set fbp.center=COLUMN)"
        )
    last = before[-1]["use"] if before else "source.data"
    return [*before, {"use": "fbp", "inputs": [last]}]


def demand_whole_images(steps: Sequence[Mapping[str, Any]], overrides: Mapping[str, Any]) -> None:
    """Refuse a part of the rows where images are turned before slices are made of them.

    Raises:
        FirstlightError: The user asks for one.
    """
    asked = [name for name in ("only.row", "only.col") if name in overrides]
    angle = next((step["angle"] for step in steps if step["use"] == "rotate"), 0)
    if not asked or not angle or "rotate.angle" in overrides:
        return
    raise FirstlightError(
        f"The tilt axis leans by {angle:g}° and the images are turned by that: slices are made of whole images, not of a part of their rows.",
        field="--only",
        value=f"{asked[0].removeprefix('only.')}={overrides[asked[0]]}",
        expected="whole images, or a part of the angles",
        next_move="Leave it out; or, if the images are turned already, add --set rotate.angle=0.",
    )
