"""Example of the ptychographic solver: a small scan of the phantom."""

from collections.abc import Callable

import numpy as np

from firstlight.core import registry
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.kernels.ptycho.phantom import simulate
from firstlight.testing import FoldExample, cut


def ptychography() -> FoldExample:
    truth = simulate(window=24, scan=(5, 5), photons=1e5)
    sizes = {"position": 25, "row": 24, "col": 24}
    scan = Scan(
        {
            MAIN: Stream(tuple(sizes), sizes, "float32", unit="counts"),
            "positions": Stream(("position", "yx"), {"position": 25, "yx": 2}, "float64", unit="px"),
        }
    )
    step = registry.get("operators", "ptychography")(iterations=4, probe_defocus=0.0)
    frames = np.fft.fftshift(truth.counts, axes=(1, 2))
    chunks = cut(frames, coords={"positions": truth.corners.astype(np.float64)})
    return FoldExample(step, scan, chunks, unlimited=frozenset({"probe_defocus"}))


FOLDS: dict[str, Callable[[], FoldExample]] = {"ptychography": ptychography}
