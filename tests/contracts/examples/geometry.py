"""Examples of the steps that find the axis of rotation, and of those that join what was seen in parts."""

from collections.abc import Callable

import numpy as np

from firstlight.core import registry
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.testing import FoldExample, OperatorExample, cut

from ..scenes import RNG, folding, scan

TURN = np.arange(24) * 15.0


def full_turn() -> FoldExample:
    """A disk off the axis, which lies near the right side of the detector."""
    x = np.arange(16) - 12.5 - 3 * np.cos(np.deg2rad(TURN))[:, None]
    light = np.sqrt(np.clip(64.0 - x**2, 0, None))[:, None] * np.linspace(0.5, 1, 6)[:, None]
    frames = (light + RNG.random((24, 6, 16)) / 10).astype(np.float32)
    fold = registry.get("operators", "find_center_360")(least=4)
    return FoldExample(fold, scan(), cut(frames, coords={"angle": TURN}))


def half_acquisition() -> OperatorExample:
    sizes = {"row": 5, "angle": 24, "col": 16}
    seen = Scan({MAIN: Stream(tuple(sizes), sizes, "float32")})
    theta = np.broadcast_to(TURN, (5, 24))
    data = RNG.random((5, 24, 16)).astype(np.float32)
    chunk = Chunk(data, ("angle", "col"), np.arange(5), coords={"angle": theta})
    return OperatorExample(registry.get("operators", "stitch_half_acquisition").step(center=12.3), seen, chunk)


def tiles(count: int = 7) -> tuple[Scan, np.ndarray]:
    sizes = {"angle": count, "tile": 2, "row": 6, "col": 16}
    wide = RNG.random((count, 6, 27)).astype(np.float32)
    return Scan({MAIN: Stream(tuple(sizes), sizes, "float32")}), np.stack([wide[..., :16], wide[..., 11:]], axis=1)


def joining_tiles() -> OperatorExample:
    seen, data = tiles()
    step = registry.get("operators", "stitch").step(offset=10.6)
    chunk = Chunk(data, ("tile", "row", "col"), np.arange(7))
    return OperatorExample(step, seen, chunk, unlimited=frozenset({"offset"}))


def overlapping_tiles() -> FoldExample:
    seen, data = tiles(20)
    fold = registry.get("operators", "find_overlap")(frames=4, least=4)
    return FoldExample(fold, seen, cut(data, ("tile", "row", "col")))


def moving() -> OperatorExample:
    """Two short scans of a disk, whose frames jump by a column."""
    sizes = {"time": 2, "angle": 12, "row": 16, "col": 20}
    seen = Scan({MAIN: Stream(tuple(sizes), sizes, "float32")})
    x = np.arange(20) - 9.5 - RNG.integers(-1, 2, (2, 12, 1, 1))
    y = np.arange(16)[:, None] - 7.5
    data = (np.sqrt(np.clip(25.0 - x**2 - y**2, 0, None)) + RNG.random((2, 12, 16, 20)) / 50).astype(np.float32)
    theta = np.broadcast_to(np.arange(12) * 15.0, (2, 12))
    step = registry.get("operators", "align_projections").step(rounds=2, binning=1, largest=3.0)
    return OperatorExample(step, seen, Chunk(data, ("angle", "row", "col"), np.arange(2), coords={"angle": theta}))


OPERATORS: dict[str, Callable[[], OperatorExample]] = {
    "align_projections": moving,
    "stitch": joining_tiles,
    "stitch_half_acquisition": half_acquisition,
}
FOLDS: dict[str, Callable[[], FoldExample]] = {
    "find_center_360": full_turn,
    "find_overlap": overlapping_tiles,
    "find_center_rows": lambda: folding("find_center_rows", "float32", count=3),
}
