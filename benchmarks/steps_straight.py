"""Steps that no library does on a CPU, each beside what one writes with numpy, scipy and scikit-image for it.

Cone beam and laminography: ASTRA and TIGRE have them on GPUs alone, algotom and scikit-image not at all; so the same
interpolation by `scipy.ndimage.map_coordinates`, projection by projection, and giga-updates a second (GUPS: voxels × projections).
Moving flat fields: as their authors do it, a simplex search for the weights. Alignment by reprojection: as TomoPy does it, from scikit-image's
radon, iradon and registration, as many rounds. One thread each; seconds are those of the processor. Bound: the processor.

    PEERS=folder python benchmarks/steps_straight.py [--size 64] [--angles 32] [--rounds 3]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from peers.beside import Data, Pair, compare_all, on_one_thread, report

from firstlight.kernels.eigen_flats import principal_images
from firstlight.kernels.ellipsoids import SHEPP_LOGAN, ellipsoid_table, line_integrals, plane_coordinates, voxels
from firstlight.kernels.geometry import Motion, Rays, Region, rays_of
from firstlight.kernels.reproject import align_by_reprojection
from firstlight.kernels.volume import VolumeProjector
from firstlight.kernels.voxel_driven import backproject_voxels
from firstlight.operators.correct.dynamic_flat_field import dynamic_flat_field

HERE = Path(__file__).resolve().parent


def pairs(size: int, angles: int) -> list[Pair]:
    """All of them; `same` is false where the search ends elsewhere."""
    s, updates = "skimage", size**3 * angles
    return [
        Pair("general_backproject: cone beam", lambda d: _gathered(d, "cone"), "cone", s, updates=updates),
        Pair("general_backproject: laminography", lambda d: _gathered(d, "tilted"), "tilted", s, updates=updates),
        Pair("cgls_volume: projection, cone beam", _projected, "projected", s, updates=updates),
        Pair("dynamic_flat_field", lambda d: dynamic_flat_field(d["frames"], d["dark"], d["eigen"]), "flats", s, False),
        Pair("align_projections", _aligned, "aligned", s, False),
    ]


def _rays(size: int, angles: int, *, cone: bool) -> Rays:
    place = size / 2 - 0.3, size / 2 - 0.7  # no voxel at the very rim of the detector, where rounding decides
    motion = Motion(*place, source_distance=3.0 * size) if cone else Motion(*place, tilt=30.0)
    return rays_of(np.arange(angles) * 360.0 / angles, motion)


def _gathered(d: Data, beam: str) -> Any:
    size, angles = d["volume"].shape[0], len(d["projections"])
    out = np.zeros((size,) * 3, np.float32)
    rays, share = _rays(size, angles, cone=beam == "cone"), np.ones(angles)
    backproject_voxels(d["projections"], rays, Region.whole(size, size), share, out)
    return out


def _projector(size: int, angles: int) -> VolumeProjector:
    return VolumeProjector(_rays(size, angles, cone=True), size, size, Region.whole(size, size))


def _projected(d: Data) -> Any:
    return _projector(d["volume"].shape[0], len(d["projections"])).project(d["volume"][..., None])[..., 0]


def _aligned(d: Data) -> Any:
    return align_by_reprojection(d["shaken"], d["theta"], rounds=2, largest=5.0, binning=1)


def make_data(size: int, angles: int) -> Data:
    """A volume and projections; frames behind a beam that moves; projections of a sample that was shaken."""
    rng = np.random.default_rng(1)
    table, x = ellipsoid_table(SHEPP_LOGAN, size / 2), plane_coordinates(size)
    rays = _rays(size, angles, cone=True)
    line = _projector(size, angles)._lines()
    theta = np.arange(0, 180, 4.0)
    shaken = line_integrals(table, np.deg2rad(theta), x[size // 2 : size // 2 + 8], size).astype(np.float32)
    moves = rng.integers(-2, 3, len(theta))
    wide = 4 * size
    wave = np.sin(np.arange(wide) / 9)[None] * np.cos(np.arange(wide) / 14)[:, None]
    flats = 20_000 * (1 + 0.1 * rng.normal(size=(20, 1, 1)) * wave) + rng.normal(0, 100, (20, wide, wide))
    sample = np.exp(-line_integrals(table, [0.0], plane_coordinates(wide) * size / wide, wide)[0] / wide)
    return {
        "volume": np.ascontiguousarray(voxels(table, x[::-1], x[::-1], x), np.float32),
        "projections": rng.random((angles, size, size)).astype(np.float32),
        "cone_matrices": rays.matrices() @ Region.whole(size, size).frame(),
        "tilted_matrices": _rays(size, angles, cone=False).matrices() @ Region.whole(size, size).frame(),
        **dict(zip(("source", "corner", "across", "down"), line[:4], strict=True)),
        "eigen": principal_images(flats.astype(np.float32), 2),
        "dark": np.full((wide, wide), 100, np.float32),
        "frames": (100 + (flats[:3] - 100) * sample).astype(np.uint16),
        "shaken": np.stack([np.roll(frame, move, axis=1) for frame, move in zip(shaken, moves, strict=True)]),
        "theta": theta,
    }


def main() -> int:
    """Run, print, keep the result, and fail if a claim does not hold."""
    on_one_thread()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--angles", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "steps_straight.json")
    chosen = parser.parse_args()
    wanted = pairs(chosen.size, chosen.angles)
    data = make_data(chosen.size, chosen.angles)
    results = compare_all(wanted, data, HERE / "peers" / "straight_worker.py", chosen.rounds)
    settings = {"size": chosen.size, "angles": chosen.angles, "rounds": chosen.rounds}
    return report(results, settings, chosen.out)


if __name__ == "__main__":
    sys.exit(main())
