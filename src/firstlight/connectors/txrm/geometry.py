"""What a txrm file says about its geometry that a reconstruction with a parallel beam leaves out."""

from __future__ import annotations

import numpy as np

from .compound import Compound

_CONE = 1
"""``XrayGeometry`` of a cone beam."""


def geometry_told(opened: Compound) -> list[str]:
    """A cone beam, and shifts of the images, in words."""
    told: list[str] = []
    if opened.number("ImageInfo/XrayGeometry", "<i4") == _CONE:
        told.append(
            f"the beam is a cone{_distances(opened)}: the slices are made as of a parallel beam, which holds near the middle "
            "row and for small angles; see docs/how-to/reconstruct-cone-beam-and-laminography.md"
        )
    shifts = [opened.array(f"Alignment/{axis}-Shifts", "<f4") for axis in "XY"]
    largest = max(
        (float(np.abs(each[np.isfinite(each)]).max(initial=0)) for each in shifts if each is not None), default=0.0
    )
    if 0 < largest < opened.shape[2]:
        told.append(
            f"the file names shifts of its images of up to {largest:.3g} pixels, which are not applied (the step align_projections finds them)"
        )
    return told


def _distances(opened: Compound) -> str:
    lengths = [opened.number(f"ImageInfo/{name}RADistance", "<f4") for name in ("Sto", "Dto")]
    known = [abs(length) for length in lengths if length is not None and np.isfinite(length) and length]
    return " (source {:.4g} mm before the axis, detector {:.4g} mm behind it)".format(*known) if len(known) == 2 else ""
