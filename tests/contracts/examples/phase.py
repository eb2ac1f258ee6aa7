"""Examples of phase retrieval."""

from collections.abc import Callable
from typing import Any

import numpy as np

from firstlight.core import registry
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.testing import OperatorExample

from ..scenes import RNG, per_frame

OPTICS = {"energy": 25.0, "distance": 30.0, "pixel": 0.65}


def retrieving(use: str, **parameters: Any) -> OperatorExample:
    return per_frame(use, parameters={**OPTICS, **parameters})


def several_distances() -> OperatorExample:
    step = registry.get("operators", "ctf_multidistance").step(distances=(10.0, 20.0, 50.0), energy=25.0, pixel=0.65)
    sizes = {"angle": 7, "distance": 3, "row": 6, "col": 16}
    seen = Scan({MAIN: Stream(tuple(sizes), sizes, "float32")})
    frames = RNG.random((7, 3, 6, 16)).astype(np.float32)
    return OperatorExample(step, seen, Chunk(frames, ("distance", "row", "col"), np.arange(7)))


OPERATORS: dict[str, Callable[[], OperatorExample]] = {
    "bronnikov": lambda: per_frame("bronnikov", parameters={"distance": 30.0, "pixel": 0.65}),
    "ctf": lambda: retrieving("ctf"),
    "ctf_multidistance": several_distances,
    "paganin": lambda: retrieving("paganin", delta_beta=100.0),
    "paganin_generalised": lambda: retrieving("paganin_generalised", delta=1e-7, beta=1e-9, output="thickness"),
    "quasi_particle": lambda: retrieving("quasi_particle"),
    "tie": lambda: retrieving("tie"),
}
