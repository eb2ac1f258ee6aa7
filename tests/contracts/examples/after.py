"""Examples of what is done to slices after the reconstruction."""

from collections.abc import Callable
from typing import Any

import numpy as np

from firstlight.core import registry
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.core.held import Held
from firstlight.testing import FoldExample, OperatorExample, cut

from ..scenes import RNG, folding


def slices(use: str, *, unlimited: frozenset[str] = frozenset(), **parameters: Any) -> OperatorExample:
    sizes = {"z": 5, "y": 18, "x": 20}
    seen = Scan({MAIN: Stream(tuple(sizes), sizes, "float32")})
    data = RNG.random((5, 18, 20)).astype(np.float32)
    step = registry.get("operators", use).step(**parameters)
    return OperatorExample(step, seen, Chunk(data, ("y", "x"), np.arange(5)), unlimited=unlimited)


def volumes(use: str, argument: str, **parameters: Any) -> OperatorExample:
    sizes = {"time": 3, "z": 12, "y": 14, "x": 16}
    seen = Scan({MAIN: Stream(tuple(sizes), sizes, "float32")})
    data = RNG.random((3, 12, 14, 16)).astype(np.float32)
    step = registry.get("operators", use).step(**parameters)
    held = {argument: Held.of(RNG.random((12, 14, 16)).astype(np.float32))}
    return OperatorExample(step, seen, Chunk(data, ("z", "y", "x"), np.arange(3)), held)


def half_set(use: str = "half_set", **parameters: Any) -> OperatorExample:
    sizes = {"row": 5, "angle": 9, "col": 16}
    seen = Scan({MAIN: Stream(tuple(sizes), sizes, "float32")})
    theta = np.broadcast_to(np.arange(9) * 20.0, (5, 9))
    data = RNG.random((5, 9, 16)).astype(np.float32)
    chunk = Chunk(data, ("angle", "col"), np.arange(5), coords={"angle": theta})
    return OperatorExample(registry.get("operators", use).step(**parameters), seen, chunk)


def counted() -> FoldExample:
    made = folding("histogram", "float32", bins=16)
    return FoldExample(made.fold, made.scan, made.chunks, unlimited=frozenset({"leave_out"}))


def assembled(use: str = "assemble", **parameters: Any) -> FoldExample:
    sizes = {"z": 9, "y": 4, "x": 5}
    seen = Scan({MAIN: Stream(tuple(sizes), sizes, "float32")})
    data = RNG.random((9, 4, 5)).astype(np.float32)
    return FoldExample(registry.get("operators", use)(**parameters), seen, cut(data, ("y", "x"), size=2))


OPERATORS: dict[str, Callable[[], OperatorExample]] = {
    "circular_mask": lambda: slices("circular_mask", unlimited=frozenset({"value"}), ratio=0.8),
    "compare_with_truth": lambda: volumes("compare_with_truth", "truth"),
    "denoise_median": lambda: slices("denoise_median"),
    "denoise_nlm": lambda: slices("denoise_nlm"),
    "denoise_tv": lambda: slices("denoise_tv"),
    "fourier_shell_correlation": lambda: volumes("fourier_shell_correlation", "other"),
    "combine_projections": lambda: half_set("combine_projections", count=2),
    "half_set": half_set,
    "resample": lambda: slices("resample", width=13, height=21),
    "rescale": lambda: slices("rescale", unlimited=frozenset({"low", "high"}), low=0.1, high=0.9),
    "segment": lambda: slices("segment", unlimited=frozenset({"thresholds"}), thresholds=(0.3, 0.6)),
    "signal_to_noise": lambda: slices("signal_to_noise", region=(2, 10, 3, 12), background=(10, 15, 3, 12)),
}
FOLDS: dict[str, Callable[[], FoldExample]] = {
    "assemble": assembled,
    "histogram": counted,
    "orthogonal_views": lambda: assembled("orthogonal_views", z=3, y=1),
}
