"""Examples of steps of one's own: expressions, and functions of installed packages."""

from collections.abc import Callable
from typing import Any

import numpy as np

from firstlight.compat.savu.plugin import from_savu
from firstlight.compat.savu.stand_in import BaseFilter
from firstlight.core.chunk import Chunk
from firstlight.operators.own.call import Call
from firstlight.testing import OperatorExample

from ..scenes import per_frame, projections, scan


def calling() -> OperatorExample:
    step = Call(function="scipy.ndimage.gaussian_filter", given={"sigma": 1.5})
    return OperatorExample(step, scan(), Chunk(projections("float32", 7), ("row", "col"), np.arange(3, 10)))


class Plugin(BaseFilter):
    """Halve each frame."""

    def process_frames(self, data: list[Any]) -> Any:
        return data[0] / 2


def from_plugin() -> OperatorExample:
    chunk = Chunk(projections("float32", 7), ("row", "col"), np.arange(3, 10))
    return OperatorExample(from_savu(Plugin), scan(), chunk, unlimited=frozenset({"center"}))


OPERATORS: dict[str, Callable[[], OperatorExample]] = {
    "calculate": lambda: per_frame(
        "calculate", "uint16", parameters={"expression": "where(v > 60, -log(v / 100), v ** 2)"}
    ),
    "call": calling,
    "savu_plugin": from_plugin,
}
