"""Scans, chunks and examples that the contract tests of several steps share."""

from typing import Any

import numpy as np

from firstlight.core import registry
from firstlight.core.chunk import MAIN, Chunk, Gap, Scan, Stream
from firstlight.core.held import Held, Version
from firstlight.core.units import Quantity
from firstlight.testing import ArrangeExample, FoldExample, OperatorExample, cut

RNG = np.random.default_rng(5)
ANGLES = np.linspace(0.0, 180.0, 24, endpoint=False)


def scan(dtype: str = "float32", *, angles: int | None = 24, rows: int = 6, cols: int = 16) -> Scan:
    sizes = {"angle": angles, "row": rows, "col": cols}
    return Scan(
        {MAIN: Stream(tuple(sizes), sizes, dtype)},
        calibration={"pixel": Quantity(0.65, "um")},
        coords={"angle": ANGLES},
    )


def projections(dtype: str = "float32", count: int = 24, rows: int = 6, cols: int = 16) -> Any:
    """A disk off the axis at every angle, with noise: a centre can be found in it."""
    x = np.arange(cols) - (cols - 1) / 2
    shift = 2.0 * np.cos(np.deg2rad(ANGLES))[:, None]
    light = np.sqrt(np.clip(16.0 - (x - shift) ** 2, 0, None))[:count, None, :] * np.linspace(50, 100, rows)[:, None]
    return (light + RNG.random((count, rows, cols)) + 1).astype(dtype)


def per_frame(
    use: str, dtype: str = "float32", *, held: dict[str, Held] | None = None, **given: Any
) -> OperatorExample:
    step = registry.get("operators", use).step(**given.pop("parameters", {}))
    chunk = Chunk(projections(dtype, 7), ("row", "col"), np.arange(3, 10), coords={"angle": ANGLES[3:10]})
    return OperatorExample(step, scan(dtype), chunk, held or {}, **given)


def flats() -> dict[str, Held]:
    def image(level: float) -> Any:
        return (level + RNG.random((6, 16))).astype(np.float32)

    dark = Held((Version(image(1), (0, -5), -5.0),))
    flat = Held((Version(image(900), (0, -2), -2.0), Version(image(800), (0, 20), 20.0)))
    return {"dark": dark, "flat": flat}


def sinograms() -> OperatorExample:
    angles, cols = 24, 16
    sizes = {"row": 5, "angle": angles, "col": cols}
    seen = Scan({MAIN: Stream(tuple(sizes), sizes, "float32")}, calibration={"pixel": Quantity(0.65, "um")})
    data = np.moveaxis(projections(rows=5), 1, 0) / 100
    theta = np.broadcast_to(ANGLES, (5, angles))
    chunk = Chunk(data, ("angle", "col"), np.arange(5), coords={"angle": theta, "row": np.arange(5)})
    step = registry.get("operators", "fbp").step(center=(7.0, 7.5, 8.0, 7.25, 7.5), filter="hann")
    # a slice may share a transform with its neighbour, or not: the accuracy of the NUFFT shows
    return OperatorExample(step, seen, chunk, unlimited=frozenset({"center"}), tolerance=2e-4)


def folding(use: str, dtype: str = "uint16", **parameters: Any) -> FoldExample:
    fold = registry.get("operators", use)(**parameters)
    frames = projections(dtype)
    return FoldExample(fold, scan(dtype), cut(frames, coords={"angle": ANGLES}), unlimited=frozenset({"center"}))


def frames_and_gaps(port: str, lost: tuple[int, ...] = (5, 6, 11)) -> list[tuple[str, Chunk | Gap]]:
    frames = projections()
    kept = np.array([i for i in range(24) if i not in lost])
    chunks = cut(frames[kept], ids=kept, size=3, coords={"angle": ANGLES[kept]})
    gaps = [Gap(0, i, i, "never came") for i in lost]
    return [(port, item) for item in (*chunks[:3], *gaps, *chunks[3:])]


def arranging(use: str, **parameters: Any) -> ArrangeExample:
    step = registry.get("operators", use)(**parameters)
    return ArrangeExample(step, scan(), frames_and_gaps(step.arguments[0]))
