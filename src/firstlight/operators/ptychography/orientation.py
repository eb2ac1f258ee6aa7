"""How the detector is mounted: the eight ways, and the one in which frames and positions agree.

In the far field, the pattern of the conjugate object is the pattern turned by 180°. So of the eight two always fit the
same, and the one that is not turned by 180° is taken; which of the two is right, only the sign of the phase can tell.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from firstlight.core.arrays import Array

Orientation = Literal["identity", "fliplr", "flipud", "rot180", "transpose", "rot90_ccw", "rot90_cw", "antitranspose"]

NAMES: tuple[Orientation, ...] = get_args(Orientation)
_DISTINCT: tuple[Orientation, ...] = ("identity", "fliplr", "transpose", "rot90_ccw")
"""Of each pair that differs by half a turn, one."""
_MOVES: dict[Orientation, tuple[bool, bool, bool]] = {
    "identity": (False, False, False),
    "fliplr": (False, False, True),
    "flipud": (False, True, False),
    "rot180": (False, True, True),
    "transpose": (True, False, False),
    "rot90_ccw": (True, True, False),
    "rot90_cw": (True, False, True),
    "antitranspose": (True, True, True),
}
"""Whether rows and columns are exchanged, and then rows and columns run backwards."""


def exchanges(way: Orientation) -> bool:
    """True if rows become columns."""
    return _MOVES[way][0]


def opposite(way: Orientation) -> Orientation:
    """The way back."""
    quarter: dict[Orientation, Orientation] = {"rot90_ccw": "rot90_cw", "rot90_cw": "rot90_ccw"}
    return quarter.get(way, way)


def ways(*, far: bool, square: bool) -> list[Orientation]:
    """The orientations that can be told apart by how well frames and positions agree."""
    return [name for name in NAMES if (not far or name in _DISTINCT) and (square or not exchanges(name))]


def oriented(frames: Array, way: Orientation, *, corner: bool) -> Array:
    """Frames as a detector mounted in another way would have given them.

    Args:
        frames: Shape (…, v, u).
        way: The orientation.
        corner: True if the first pixel is the zero frequency, which stays where it is.
    """
    exchange, down, right = _MOVES[way]
    found = frames.swapaxes(-1, -2) if exchange else frames
    for axis, backwards in ((-2, down), (-1, right)):
        if backwards:
            found = np.flip(found, axis)
            found = np.roll(found, 1, axis) if corner else found
    return np.ascontiguousarray(found)
