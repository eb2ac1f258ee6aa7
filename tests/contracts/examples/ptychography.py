"""Example of the ptychographic solver: a small scan of the phantom."""

from collections.abc import Callable

import numpy as np

from firstlight.core import registry
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.kernels.ptycho.phantom import simulate
from firstlight.testing import ArrangeExample, FoldExample, cut


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


def excluding() -> ArrangeExample:
    step = registry.get("operators", "exclude_outside")(low=(0.2, 0.0), high=(1.0, 0.9))
    rng = np.random.default_rng(0)
    sizes = {"position": 20, "yx": 2}
    scan = Scan({MAIN: Stream(tuple(sizes), sizes, "float64")})
    chunks = cut(rng.random((20, 2)), ("yx",), size=4)
    return ArrangeExample(
        step, scan, [(step.arguments[0], chunk) for chunk in chunks], unlimited=frozenset({"low", "high"})
    )


def centring() -> ArrangeExample:
    step = registry.get("operators", "crop_bright")(size=(6, 8), frames=10)
    sizes = {"position": 20, "row": 12, "col": 16}
    frames = np.random.default_rng(0).poisson(3.0, tuple(sizes.values())).astype(np.uint16)
    scan = Scan({MAIN: Stream(tuple(sizes), sizes, "uint16", unit="counts")})
    return ArrangeExample(step, scan, [(step.arguments[0], chunk) for chunk in cut(frames)])


ARRANGEMENTS: dict[str, Callable[[], ArrangeExample]] = {"exclude_outside": excluding, "crop_bright": centring}
FOLDS: dict[str, Callable[[], FoldExample]] = {"ptychography": ptychography}
