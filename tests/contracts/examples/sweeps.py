"""Examples of the steps that compare what a sweep gives."""

from collections.abc import Callable

import numpy as np

from firstlight.core import registry
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.testing import FoldExample, cut

from ..scenes import RNG


def _sheet() -> FoldExample:
    """Slices with two swept parameters: three centres, two filters."""
    axes = ("z", "fbp.center", "fbp.filter", "y", "x")
    marks = {"fbp.center": (7.0, 7.5, 8.0), "fbp.filter": ("hann", "ram-lak")}
    sizes = dict(zip(axes, (5, 3, 2, 24, 20), strict=True))
    seen = Scan({MAIN: Stream(axes, sizes, "float32", marks=marks)})
    pictures = RNG.normal(0.0, 1.0 + np.arange(6).reshape(3, 2, 1, 1), (5, 3, 2, 24, 20)).astype(np.float32)
    fold = registry.get("operators", "contact_sheet")(tile=16)
    return FoldExample(fold, seen, cut(pictures, axes[1:], size=2))


def _curves() -> FoldExample:
    """Convergence curves with one swept parameter; one has stopped early."""
    axes = ("block", "sirt.tilt", "iteration")
    marks = {"sirt.tilt": (28.0, 30.0, 32.0)}
    seen = Scan({MAIN: Stream(axes, dict(zip(axes, (4, 3, 5), strict=True)), "float32", marks=marks)})
    curves = RNG.uniform(0.1, 1.0, (4, 3, 5)).astype(np.float32)
    curves[2, 1, 3:] = np.nan
    return FoldExample(registry.get("operators", "least_residual")(), seen, cut(curves, axes[1:], size=2))


FOLDS: dict[str, Callable[[], FoldExample]] = {"contact_sheet": _sheet, "least_residual": _curves}
