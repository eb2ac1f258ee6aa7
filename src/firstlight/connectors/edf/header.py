"""What headers of EDF files tell about a scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from firstlight.core.units import Quantity

from .blocks import motor

_ROTATIONS = ("rot", "omega", "theta", "phi", "angle")
"""Parts of the names of motors that turn the sample, such as ``srot`` and ``hrsrot``."""
_FULL = 90.0
"""A motor that turned the sample went at least so far, in degree."""
_FURTHEST = 1e9


def turning(headers: Sequence[Mapping[str, str]]) -> str | None:
    """The motor that turned the sample: the one that moved evenly from frame to frame; None where none did, or several.

    Args:
        headers: One for each frame, keys in lower case.
    """
    if len(headers) < 3:
        return None
    names = headers[0].get("motor_mne", "").split()
    names += [name for name in headers[0] if any(part in name for part in _ROTATIONS) and name not in names]
    moved = [name for name in names if _turned([motor({**header}, name) for header in headers])]
    if len(moved) > 1:
        moved = [name for name in moved if any(part in name.lower() for part in _ROTATIONS)]
    return moved[0] if len(moved) == 1 else None


def _turned(positions: Sequence[float | None]) -> bool:
    places = np.array(positions, np.float64)  # NaN for None
    if not (np.abs(places) < _FURTHEST).all():
        return False
    steps = np.diff(places)
    even = np.median(np.abs(steps))
    return bool(abs(steps.sum()) >= _FULL and (np.abs(np.abs(steps) - even) < 0.5 * even).mean() > 0.9)


def pixel_of(header: Mapping[str, str]) -> Quantity | None:
    """The pixel size: ``PSize_1`` in metre, or ``optic_used`` in micrometre, as beamlines of the ESRF write it."""
    for key, unit in (("psize_1", "m"), ("optic_used", "um")):
        try:
            size = float(header.get(key, "").split()[0])
        except (ValueError, IndexError):
            continue
        if 0 < size < float("inf"):
            return Quantity(size, unit)
    return None
