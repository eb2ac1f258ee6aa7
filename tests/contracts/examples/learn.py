"""Example of the network of ptychography: a small scan of the phantom that it was trained for."""

from collections.abc import Callable

import numpy as np

from firstlight.core import registry
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.kernels.ptycho.phantom import simulate
from firstlight.testing import FoldExample, OperatorExample, cut


def network() -> FoldExample:
    truth = simulate(window=64, scan=(4, 4), photons=1e5)
    sizes = {"position": 16, "row": 64, "col": 64}
    scan = Scan(
        {
            MAIN: Stream(tuple(sizes), sizes, "float32", unit="counts"),
            "positions": Stream(("position", "yx"), {"position": 16, "yx": 2}, "float64", unit="px"),
        }
    )
    step = registry.get("operators", "ptychography_network")(model="phantom_v2")
    frames = np.fft.fftshift(truth.counts, axes=(1, 2))
    return FoldExample(step, scan, cut(frames, coords={"positions": truth.corners + 0.25}))


def mosaic() -> FoldExample:
    truth = simulate(window=64, scan=(4, 4), photons=1e5)
    sizes = {"position": 16, "part": 2, "v": 64, "u": 64}
    scan = Scan(
        {
            MAIN: Stream(tuple(sizes), sizes, "float32"),
            "positions": Stream(("position", "yx"), {"position": 16, "yx": 2}, "float64", unit="px"),
        }
    )
    step = registry.get("operators", "patch_mosaic")(model="phantom_v2")
    windows = [truth.image[r : r + 64, c : c + 64] for r, c in np.rint(truth.corners).astype(int)]
    patches = np.stack([[np.abs(one), np.angle(one)] for one in windows]).astype(np.float32)
    return FoldExample(step, scan, cut(patches, ("part", "v", "u"), coords={"positions": truth.corners + 0.25}))


def patches() -> OperatorExample:
    sizes = {"position": 5, "row": 64, "col": 64}
    scan = Scan({MAIN: Stream(tuple(sizes), sizes, "uint16", unit="counts")})
    frames = np.random.default_rng(3).poisson(30.0, (5, 64, 64)).astype(np.uint16)
    step = registry.get("operators", "network_patches").step(model="phantom_v2")
    return OperatorExample(step, scan, Chunk(frames, ("row", "col"), np.arange(5)))


OPERATORS: dict[str, Callable[[], OperatorExample]] = {"network_patches": patches}
FOLDS: dict[str, Callable[[], FoldExample]] = {"ptychography_network": network, "patch_mosaic": mosaic}
