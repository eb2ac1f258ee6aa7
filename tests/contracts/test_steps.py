"""Every registered operator, fold and arrangement keeps its contract. A step without an example fails here."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from firstlight.core import registry
from firstlight.core.arrange import Arrange
from firstlight.core.chunk import MAIN, Chunk, Gap, Scan, Stream
from firstlight.core.fold import Fold
from firstlight.core.held import Held, Version
from firstlight.core.operator import Operator, OperatorFunction
from firstlight.core.units import Quantity
from firstlight.testing import (
    ArrangeContract,
    ArrangeExample,
    FoldContract,
    FoldExample,
    OperatorContract,
    OperatorExample,
    cut,
)

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


OPERATORS: dict[str, Callable[[], OperatorExample]] = {
    "bin": lambda: per_frame("bin", "uint16", parameters={"rows": 2, "columns": 3}),
    "crop": lambda: per_frame("crop", parameters={"rows": (1, 5), "columns": (2, -2)}),
    "fbp": sinograms,
    "flat_field": lambda: per_frame("flat_field", "uint16", held=flats()),
    "minus_log": lambda: per_frame("minus_log"),
    "remove_outliers": lambda: per_frame("remove_outliers", parameters={"threshold": 5.0}),
    "virtual_detector": lambda: per_frame("virtual_detector", "uint16", parameters={"outer": 3.0}),
    "center_of_mass": lambda: per_frame("center_of_mass", "uint16"),
}


def folding(use: str, dtype: str = "uint16", **parameters: Any) -> FoldExample:
    fold = registry.get("operators", use)(**parameters)
    frames = projections(dtype)
    return FoldExample(fold, scan(dtype), cut(frames, coords={"angle": ANGLES}), unlimited=frozenset({"center"}))


FOLDS: dict[str, Callable[[], FoldExample]] = {
    "find_center": lambda: folding("find_center", "float32"),
    "latest": lambda: folding("latest"),
    "live_slices": lambda: folding("live_slices", "float32", projections=24, center=7.5),
    "mean": lambda: folding("mean"),
    "median": lambda: folding("median", frames=7),
    "sum": lambda: folding("sum"),
}


def frames_and_gaps(port: str, lost: tuple[int, ...] = (5, 6, 11)) -> list[tuple[str, Chunk | Gap]]:
    frames = projections()
    kept = np.array([i for i in range(24) if i not in lost])
    chunks = cut(frames[kept], ids=kept, size=3, coords={"angle": ANGLES[kept]})
    gaps = [Gap(0, i, i, "never came") for i in lost]
    return [(port, item) for item in (*chunks[:3], *gaps, *chunks[3:])]


def joining() -> ArrangeExample:
    step = registry.get("operators", "join")(window=6)
    first, other = step.arguments
    values = cut(RNG.random((20, 2)).astype(np.float32), ("xy",), size=4, stream="positions")
    return ArrangeExample(
        step,
        scan(),
        [
            *frames_and_gaps(first),
            *[(other, c) for c in values],
            (other, Gap(0, 20, 23, "no encoder", stream="positions")),
        ],
    )


def arranging(use: str, **parameters: Any) -> ArrangeExample:
    step = registry.get("operators", use)(**parameters)
    return ArrangeExample(step, scan(), frames_and_gaps(step.arguments[0]))


ARRANGEMENTS: dict[str, Callable[[], ArrangeExample]] = {
    "join": joining,
    "sort": lambda: arranging("sort", window=4),
    "window": lambda: arranging("window", frames=6, reorder=2),
}


def kind(name: str) -> type[Any]:
    found = registry.get("operators", name)
    return found.step if isinstance(found, OperatorFunction) else found


def steps(base: type[Any]) -> list[str]:
    return [name for name in registry.names("operators") if issubclass(kind(name), base)]


def test_every_registered_step_has_an_example() -> None:
    without = [n for n in registry.names("operators") if n not in {**OPERATORS, **FOLDS, **ARRANGEMENTS}]
    assert not without, f"Give {without} an example in {__file__}."


@pytest.mark.parametrize("name", steps(Operator))
class TestEveryOperator(OperatorContract):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.name = name

    def example(self) -> OperatorExample:
        return OPERATORS[self.name]()


@pytest.mark.parametrize("name", steps(Fold))
class TestEveryFold(FoldContract):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.name = name
        RNG.bit_generator.state = np.random.default_rng(6).bit_generator.state

    def example(self) -> FoldExample:
        RNG.bit_generator.state = np.random.default_rng(6).bit_generator.state
        return FOLDS[self.name]()


@pytest.mark.parametrize("name", steps(Arrange))
class TestEveryArrangement(ArrangeContract):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.name = name

    def example(self) -> ArrangeExample:
        return ARRANGEMENTS[self.name]()
