"""What every tomographic step asks of the projection angles."""

from __future__ import annotations

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError

_TURN = 2 * np.pi


def projection_angles(angle: Array | None, step: str, count: int | None = None, *, part: bool = False) -> Array:
    """The angles as float64 in degree, checked.

    Args:
        angle: shape (angle,) or None.
        step: the step that asks, for the message.
        count: how many projections there are.
        part: these are some of many: a few degrees may be all that they span.

    Raises:
        FirstlightError: there are none, their number is wrong, or they are in radian.
    """
    if angle is None:
        raise FirstlightError(
            f"'{step}' needs the angle of each projection.",
            field="angle",
            expected="the coordinate 'angle' in degree",
            next_move="Tell the source where the angles are, or pass angle=... when you call the function.",
        )
    angles = np.asarray(angle, np.float64).reshape(-1)
    if count is not None and angles.size != count:
        raise FirstlightError(
            f"'{step}' got {count} projections.", field="angle", value=f"{angles.size} angles", expected=str(count)
        )
    if not np.all(np.isfinite(angles)):
        bad = int(np.flatnonzero(~np.isfinite(angles))[0])
        raise FirstlightError(
            "An angle is not a number.", field=f"angle[{bad}]", value=float(angles[bad]), expected="degree"
        )
    if not part:
        refuse_radian(angles)
    return angles


def refuse_radian(angles: Array) -> None:
    """Refuse many angles that together span half a turn or a turn in radian.

    Raises:
        FirstlightError: they do.
    """
    if angles.size < 20:
        return
    usual = float(np.median(np.abs(np.diff(angles))))
    span = float(np.ptp(angles))
    near = min(abs(span - turn) for turn in (_TURN / 2, _TURN))
    if near <= 1.5 * usual + 1e-3:
        raise FirstlightError(
            "The angles look like radian.",
            field="angle",
            value=f"{span:.4f} from first to last",
            expected="degree",
            next_move="Convert them, or give the angle dataset its unit.",
        )
