"""Bodies for CUDA beside the CPU's, in numba's simulator: run as a program by test_cuda_steps, not collected by pytest."""

import sys
from typing import Any

import numpy as np

from firstlight.core import registry
from firstlight.core.held import Held, Version
from firstlight.kernels.cuda import columns, fourier_fbp, frame_filter, grids
from firstlight.kernels.cuda.arrays import on_device, to_host
from firstlight.operators.stripes import sinogram

RNG = np.random.default_rng(7)
CASES: dict[str, Any] = {}


def agree(use: str, frames: Any, *further: Any, tolerance: float = 1e-5, at: Any = None, **parameters: Any) -> None:
    """The two bodies give the same, to a part of the largest value."""
    step = registry.get("operators", use).step(**parameters)
    wanted = step.run(frames.copy(), *further, **(at or {}))
    moved = [held_on_device(each) if isinstance(each, Held) else on_device(each) for each in further]
    data = on_device(frames)
    assert data.dtype.isnative, "no kernel reads other bytes"
    found = step.bodies["cuda"](data, *moved, **step.parameters(), **(at or {}))
    np.testing.assert_array_equal(to_host(data), frames, err_msg=f"{use} wrote to its input")
    several = [(wanted, found)] if not isinstance(wanted, tuple) else zip(wanted, found, strict=True)
    for cpu, cuda in several:
        host = to_host(cuda)
        assert (host.shape, host.dtype) == (cpu.shape, cpu.dtype), (use, host.shape, host.dtype, cpu.shape, cpu.dtype)
        most = float(np.max(np.abs(cpu[np.isfinite(cpu)]), initial=0.0))
        np.testing.assert_allclose(host, cpu, rtol=0, atol=tolerance * most, err_msg=f"{use} {parameters}")


def held_on_device(known: Held) -> Held:
    versions = tuple(Version(on_device(each.value), each.since, each.at) for each in known.versions)
    return Held(versions, known.epoch, known.ids)


def family(function: Any) -> Any:
    CASES[function.__name__] = function
    return function


@family
def correct() -> None:
    counts = RNG.integers(0, 65535, (3, 5, 7), dtype=np.uint16)
    dark, flat = RNG.random((5, 7)).astype(np.float32), (500 + 100 * RNG.random((5, 7))).astype(np.float32)
    flat[1, 2], flat[3, 3] = dark[1, 2], np.nan  # no light, no number
    agree("flat_field", counts.astype(">u2"), dark, flat)  # as in many files
    later = Version(flat * 1.5, (0, 9), 9.0)
    sets = Held((Version(flat, (0, 0), 0.0), later), 0, np.array([2, 4, 12]))
    agree("flat_field", counts, Held.of(dark).bind(0, np.array([2, 4, 12])), sets)
    agree("subtract_dark", counts, dark)
    light = (counts / 60000).astype(np.float32)
    light[0, 0, :3] = np.nan, -1, np.inf
    agree("minus_log", light, floor=1e-3)
    agree("minus_log", light[0])
    agree("calculate", light, expression="where(v > 0.5, -log(v), exp(v) * 2)")
    agree("calculate", counts[:, :1], expression="sqrt(v) - hypot(v, 3)")


@family
def outliers() -> None:
    counts = RNG.integers(0, 900, (2, 5, 7), dtype=np.uint16)
    counts[0, 2, 3], counts[1, 0, 0] = 60000, 50000
    values = RNG.random((2, 6, 5)).astype(np.float32)
    values[0, 1:4, 1:4], values[1, 0, 0] = np.nan, np.nan
    for kind in ("bright", "dark", "both"):
        agree("remove_outliers", counts, threshold=200, kind=kind, tolerance=0)
    agree("remove_outliers", values, threshold=0.2, size=5, kind="both")
    agree("remove_outliers", counts[:, :1], threshold=10, kind="both", tolerance=0)
    agree("remove_outliers_3d", counts[None], threshold=200, kind="both", tolerance=0)
    agree("remove_outliers_3d", np.stack([values, values[::-1]])[:, :1], threshold=0.2, kind="both")


@family
def phase() -> None:
    light = (1 + 0.1 * RNG.standard_normal((3, 5, 8))).astype(np.float32)
    light[1, 2, 3], light[2, 4, 7] = np.nan, np.inf
    optics: dict[str, Any] = {"energy": 25.0, "distance": 30.0, "pixel": 0.65}
    agree("paganin", light, delta_beta=100.0, gap=4, **optics)
    agree("paganin", (light[:1, :1] * 100).astype(np.uint16), delta_beta=100.0, gap=0, **optics)
    agree("paganin_generalised", light, delta=1e-7, beta=1e-9, output="thickness", gap=5, **optics)
    for use in ("tie", "ctf", "quasi_particle"):
        agree(use, light, output="projected_delta", gap=4, **optics)
    agree("bronnikov", light[..., :7], distance=30.0, pixel=0.65, gap=3)
    two = np.stack([light, 1 / light], axis=1)
    agree("ctf_multidistance", two, distances=(10.0, 30.0), energy=25.0, pixel=0.65, gap=2)


@family
def fbp() -> None:
    lines = RNG.random((3, 6, 11)).astype(np.float32)
    lines[1, 2, 3], lines[0, 1, 0] = np.nan, -np.inf
    # the accuracy of the grid is 1e-3; positions on it are rounded to steps, in other places on either device
    rough: dict[str, Any] = {"tolerance": 1e-3}
    at = {"angle": np.array([0.0, 31.0, 62.0, 95.0, 120.0, 149.0]), "row": np.arange(3)}
    agree("fbp", lines, **rough, at=at, center=4.7, pixel=2.0)
    agree("fbp", lines, **rough, at=at, center=(4.7, 5.5, 6.1), padding="edge", filter="hann", circle=False, size=8)
    agree("fbp", (lines[2:, :, :8] * 100).astype(np.uint16), **rough, at={**at, "row": np.arange(1)}, circle=False)


def striped(rows: int = 2, angles: int = 7, columns: int = 11) -> Any:
    """Transmission with a stripe of another response, a dead one, and gaps."""
    values = (1 + 0.2 * RNG.random((rows, angles, columns))).astype(np.float32)
    values[:, :, 4] *= 1.4
    values[:, :, 8] = 0.5
    values[0, 0, 2], values[0, 5, 2], values[0, :, 6] = np.nan, np.inf, np.nan
    return values


@family
def sorting() -> None:
    values = striped()
    agree("remove_small_stripes", values, size=5)
    agree("remove_small_stripes", (np.nan_to_num(-values[:, :1], posinf=0) * 1000).astype(np.int16), size=3)
    agree("remove_large_stripes", values, size=7)
    agree("remove_stripes_interpolation", values, size=7)
    agree("remove_stripes_filtering", striped(1, 13, 9), size=5)


@family
def filters() -> None:
    values = striped(2, 9, 13)
    agree("remove_stripes_titarenko", values, blocks=2, order=2)
    agree("remove_stripes_titarenko", values[:, :1, :2])
    agree("remove_stripes_smoothing", values, sigma=2.0, blocks=4)
    agree("remove_stripes_fitting", values, sigma=2.0)
    agree("remove_stripes_fitting", values[:, :1])
    agree("remove_stripes_fourier", striped(2, 21, 24), cutoff=3.0, rows=2)
    agree("remove_stripes_wavelet", striped(1, 33, 35), moments=2, level=2)


@family
def dead() -> None:
    agree("remove_dead_stripes", striped(2, 12, 40), size=7, residual=False)
    agree("remove_all_stripes", striped(1, 12, 40), small=5, large=7)
    agree("remove_dead_stripes", np.full((1, 4, 5), np.nan, np.float32))


@family
def frames() -> None:
    counts = RNG.integers(0, 60000, (2, 5, 7), dtype=np.uint16)
    values = RNG.standard_normal((2, 5, 7)).astype(np.float32)
    values[0, 1, 2], values[1, 4, 6] = np.nan, -np.inf
    agree("circular_mask", values, ratio=0.9, value=np.nan)
    for bits in (8, 16):
        agree("rescale", values, low=-1.0, high=0.7, bits=bits, tolerance=0)
    agree("crop", counts, rows=(1, -1), columns=(2, 5), tolerance=0)
    agree("bin", counts, rows=2, columns=3)
    agree("bin", counts, rows=5, columns=1, method="sum", tolerance=0)
    agree("bin", values, rows=1, columns=2, method="sum")
    agree("normalize_by_region", counts, rows=(1, 4), columns=(0, 3))
    agree("normalize_by_region", values, columns=(-2, 7), of="median", method="subtract", level=2.0)
    agree("normalize_by_sides", values[0], left=2, right=2)
    agree("normalize_by_sides", counts[0], left=3, right=0, method="subtract")
    agree("normalize_by_monitor", counts, at={"monitor": np.array([0.5, 1.5])}, reference=2.0, offset=0.5)
    agree("correct_beam_hardening", values, coefficients=(1.0, 0.2, -0.1))
    for method in ("edge", "mirror", "constant"):
        agree("pad", counts, rows=(1, 3), columns=(2, 0), method=method, value=7, tolerance=0)
    dark, flat = 100 + RNG.random((5, 7)).astype(np.float32), 900 + RNG.random((5, 7)).astype(np.float32)
    dark[1, 1], flat[0, 6], flat[2:5, 2:5] = 5000, 0, np.nan
    agree("replace_bad_pixels", counts, dark, flat, tolerance=0)
    agree("replace_bad_pixels", values, dark, flat, size=5)


@family
def many_blocks() -> None:
    """Arrays of many blocks, sorted runs of many tiles, batches of one frame: all of it small, as the blocks are."""
    changed: dict[Any, dict[str, int]] = {
        grids: {"_THREADS": 4, "_WIDE": 2, "_BUSY": 200},
        columns: {"_SHARED_KEYS": 4},
        fourier_fbp: {"_BATCH_BYTES": 1},
        frame_filter: {"_BATCH_BYTES": 1},
        sinogram: {"DEVICE_BYTES": 1},
    }
    for module, values in changed.items():
        for name, value in values.items():
            setattr(module, name, value)
    dark, flat = RNG.random((5, 7)).astype(np.float32), 2 + RNG.random((5, 7)).astype(np.float32)
    agree("flat_field", RNG.random((4, 5, 7)).astype(np.float32), dark, flat)
    agree("remove_outliers", RNG.integers(0, 900, (2, 5, 7), dtype=np.uint16), threshold=300, tolerance=0)
    agree(
        "paganin", 1 + RNG.random((2, 3, 5)).astype(np.float32), delta_beta=1.0, energy=25, distance=30, pixel=1, gap=1
    )
    at = {"angle": np.array([0.0, 50.0, 110.0]), "row": np.arange(3)}
    agree("fbp", RNG.random((3, 3, 7)).astype(np.float32), at=at, center=(3.0, 3.2, 2.9), tolerance=1e-3)
    agree("remove_small_stripes", striped(2, 13, 11), size=3)


if __name__ == "__main__":
    for name in sys.argv[1:] or CASES:
        CASES[name]()
        sys.stdout.write(f"{name} agreed\n")
