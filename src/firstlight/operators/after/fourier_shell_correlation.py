"""Fourier shell correlation of two volumes of one sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.operator import Operator, operator
from firstlight.kernels.correlation import shell_correlation


@operator(
    "z y x, z y x -> correlation: shell, frequency: shell, threshold: shell, resolution: ",
    cites=["10.1016/j.jsb.2005.05.009"],
    sentence="The resolution was measured by Fourier shell correlation of two half sets ({criterion} criterion).",
)
def fourier_shell_correlation(
    volumes: Array, other: Array, *, criterion: Literal["half-bit", "1/7"] = "half-bit"
) -> dict[str, Array]:
    """Correlate two volumes of one sample shell by shell: down to which detail they agree.

    Reconstruct each half of the projections on its own (`half_set`), and give both volumes as `inputs`.

    Args:
        volumes: shape (volume, z, y, x); NaN counts as 0.
        other: shape (z, y, x): the same sample from other projections.
        criterion: Where the curve falls below `half-bit` (van Heel and Schatz 2005) or `1/7`, the resolution ends.

    Returns:
        Correlation, frequency in 1/px and threshold by shell, and the resolution in pixel (NaN: never above the threshold).
    """
    second = np.nan_to_num(other)
    curves = [shell_correlation(np.nan_to_num(volume), second) for volume in volumes]
    return {
        "correlation": np.array([curve.correlation for curve in curves], np.float32),
        "frequency": np.array([curve.frequency for curve in curves], np.float32),
        "threshold": np.array([curve.threshold(criterion) for curve in curves], np.float32),
        "resolution": np.array([curve.resolution(criterion) or np.nan for curve in curves], np.float32),
    }


@fourier_shell_correlation.hook("sizes")
def _sizes(step: Operator, known: Mapping[str, int | None]) -> dict[str, int | None]:
    sides = [known.get(label) for label in ("z", "y", "x")]
    return {"shell": min(side for side in sides if side) // 2 + 1 if all(sides) else None}
