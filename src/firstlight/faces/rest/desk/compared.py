"""Which picture of a sweep is the best, as `firstlight sweep` says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.kernels.picture_metrics import entropy, histogram


def best_of(marks: Mapping[str, Sequence[Any]], data: Array, axes: Sequence[str]) -> dict[str, Any] | None:
    """The value of the one swept parameter whose picture has the least entropy.

    Args:
        marks: values of each swept parameter.
        data: pictures, with the swept parameter in front.
        axes: labels of the dimensions.

    Returns:
        ``metric``, ``place`` and the ``numbers`` of all; None where no single parameter is swept, or there are no pictures.
    """
    if len(marks) != 1 or data.ndim != 3 or axes[0] not in marks or np.iscomplexobj(data):
        return None
    numbers = [entropy(histogram(picture)) for picture in data]
    if not np.isfinite(numbers).any():
        return None
    return {"metric": "entropy", "place": int(np.nanargmin(numbers)), "numbers": numbers}
