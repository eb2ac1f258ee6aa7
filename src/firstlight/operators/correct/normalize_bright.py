"""Transmission where nobody took flat frames."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels.ranks import percentiles


@operator("col -> col")
def normalize_bright(lines: Array, *, percentile: Annotated[float, Field(gt=0, le=100)] = 99.0) -> Array:
    """Divide each detector line by its bright end: transmission from counts without flat frames.

    The bright end, a high percentile of the line, stands for the beam beside the sample: some columns on one side at least
    must see air. It follows a beam that gets weaker, line by line. Its own noise makes it slightly too bright.

    Args:
        lines: shape (line, col): counts, without the detector's offset.
        percentile: The percentile of a line that counts as full beam.

    Returns:
        float32 of the same shape: transmission, about 1 in air. A line without light becomes 1.
    """
    values = np.asarray(lines, np.float32)
    level = percentiles(values, percentile)[:, None]
    good = level > 0
    out = np.divide(values, np.where(good, level, 1))
    out[~good[:, 0]] = 1
    return out


@normalize_bright.hook("unit")
def _unit(step: Operator, scan: Scan) -> None:
    return None
