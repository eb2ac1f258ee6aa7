"""Example of the step that lets people look into a scan."""

from collections.abc import Callable

from firstlight.testing import FoldExample

from .stem import scanned

FOLDS: dict[str, Callable[[], FoldExample]] = {
    "live_patterns": lambda: scanned("live_patterns", shape="annulus", inner=1.5, outer=5.0, memory=2**20, binning=2),
}
