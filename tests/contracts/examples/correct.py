"""Examples of the steps that correct what the detector saw."""

from collections.abc import Callable
from typing import Any

import numpy as np

from firstlight.core import registry
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.core.held import Held, Version
from firstlight.testing import FoldExample, OperatorExample, cut

from ..scenes import ANGLES, RNG, flats, folding, per_frame, projections, scan


def values(use: str, **parameters: Any) -> OperatorExample:
    return per_frame(use, parameters=parameters)


def held_image(name: str, seed: int) -> dict[str, Held]:
    image = np.random.default_rng(seed).random((6, 16)).astype(np.float32)
    return {name: Held((Version(image, (0, -5), -5.0),))}


def one_set() -> dict[str, Held]:
    return {name: Held(known.versions[:1]) for name, known in flats().items()}


def eigen_flats() -> dict[str, Held]:
    images = np.random.default_rng(3).random((3, 6, 16)).astype(np.float32)
    images[0] += 900
    return {"dark": one_set()["dark"], "flats": Held((Version(images, (0, -2), -2.0),))}


def monitored() -> OperatorExample:
    step = registry.get("operators", "normalize_by_monitor").step(reference=2.0)
    chunk = Chunk(projections("float32", 7), ("row", "col"), np.arange(7), coords={"monitor": RNG.random(7) + 1})
    return OperatorExample(step, scan(), chunk)


def in_time() -> OperatorExample:
    """Projections whose neighbours along the angle are needed: rows are the blocks."""
    sizes = {"row": 5, "angle": 9, "col": 8}
    data = (np.random.default_rng(8).random((5, 9, 8)) * 10).astype(np.float32)
    whole = Scan({MAIN: Stream(("time", "angle", "row", "col"), {"time": 2, **sizes}, "float32")})
    volumes = np.stack([data.transpose(1, 0, 2)] * 2)
    step = registry.get("operators", "remove_outliers_3d").step(threshold=3.0, kind="both")
    return OperatorExample(step, whole, Chunk(volumes, ("angle", "row", "col"), np.arange(2)))


OPERATORS: dict[str, Callable[[], OperatorExample]] = {
    "align_frames": lambda: per_frame(
        "align_frames", held=held_image("reference", 1), parameters={"most": 2.0}, tolerance=1e-4
    ),
    "correct_beam_hardening": lambda: values("correct_beam_hardening", coefficients=(1.0, 0.1)),
    "dynamic_flat_field": lambda: per_frame(
        "dynamic_flat_field", "uint16", held=eigen_flats(), parameters={"step": 1}, tolerance=1e-4
    ),
    "normalize_by_monitor": monitored,
    "normalize_by_region": lambda: values("normalize_by_region", columns=(0, 3)),
    "normalize_by_sides": lambda: values("normalize_by_sides", left=3, right=3),
    "pad": lambda: values("pad", rows=(1, 2), columns=(3, 0), method="mirror"),
    "remove_outliers_3d": in_time,
    "replace_bad_pixels": lambda: per_frame("replace_bad_pixels", "uint16", held=one_set()),
    "rotate": lambda: values("rotate", angle=3.0, interpolation="cubic"),
    "subtract_dark": lambda: per_frame("subtract_dark", "uint16", held={"dark": flats()["dark"]}),
    "undistort": lambda: values("undistort", row=2.0, column=8.0, coefficients=(1.0, 1e-3)),
}
UNLIMITED = {"correct_beam_hardening": {"coefficients"}, "undistort": {"coefficients"}}


def varying_flats() -> FoldExample:
    """Flat frames of two strong components: sums and differences keep their order."""
    example = folding("eigen_flats", components=2)
    rng = np.random.default_rng(4)
    pattern = rng.random((2, 6, 16)) * [[[300.0]], [[100.0]]]
    frames = (1000 + np.einsum("nk,kij->nij", rng.normal(size=(24, 2)), pattern)).astype(np.uint16)
    return FoldExample(example.fold, example.scan, cut(frames, coords={"angle": ANGLES}))


def dot_grid() -> FoldExample:
    """Frames of six by seven dots, with noise."""
    row, column = np.mgrid[:72, :84]
    away = np.hypot((row + 6) % 12 - 6 + 0.2, (column + 6) % 12 - 6 - 0.3)
    frames = 1000 - 600 * np.clip(4.0 - away, 0, 1) + np.random.default_rng(5).normal(0, 5, (24, 72, 84))
    chunks = cut(frames.astype(np.uint16), coords={"angle": ANGLES})
    return FoldExample(registry.get("operators", "find_distortion")(terms=1), scan("uint16", rows=72, cols=84), chunks)


FOLDS: dict[str, Callable[[], FoldExample]] = {"eigen_flats": varying_flats, "find_distortion": dot_grid}
