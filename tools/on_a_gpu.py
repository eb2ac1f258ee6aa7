"""Everything that waits for a CUDA device, in one go: compare all bodies, run the tests marked gpu, measure, mark what agrees.

    python tools/on_a_gpu.py [--mark] [--size 1024] [--parts bodies tests volume]

- `bodies`: each step that has a body for CUDA, on data of a usual size: the largest difference from the CPU's result as a part of
  the largest value, whether that is within rounding, and how many times as fast a block is (copies left out);
- `tests`: ``pytest -m gpu`` (small data of every kind: integers, NaN, odd sizes, several sets of flats; whole runs);
- `volume`: ``benchmarks/gpu.py`` (2048³ from memory in seconds and GUPS, and the whole chain).

The first part is written to benchmarks/results/gpu_bodies.json, the last to benchmarks/results/gpu.json. `--mark` then marks
in the sources each body that agreed as proven, so that ``device: auto`` uses it, and says in tools/verified.toml on which
device it ran; it marks nothing if a test failed. It refuses to run without a device. In numba's simulator it runs for a
look at itself alone (take --size 32): nothing is written there.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core import registry
from firstlight.kernels.cuda import arrays
from firstlight.kernels.ellipsoids import SHEPP_LOGAN_CYLINDERS, ellipsoid_table, line_integrals

ROOT = Path(__file__).resolve().parents[1]
OPERATORS, RESULTS = ROOT / "src" / "firstlight" / "operators", ROOT / "benchmarks" / "results"
ROUNDING, GRID, SORTED = 2e-5, 2e-3, 1e-3
"""Differences that are let pass: single precision; positions on the grid of `fbp`; methods that sort values or divide by
small ones, where the last bit decides which of two neighbours is taken."""


@dataclass(frozen=True)
class Case:
    """A step on some data."""

    use: str
    data: tuple[str, ...]
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    tolerance: float = ROUNDING
    at: tuple[str, ...] = ()
    """Coordinates that it gets."""


def cases() -> Iterator[Case]:
    """Every step that has a body for CUDA."""
    optics: dict[str, Any] = {"energy": 25.0, "distance": 100.0, "pixel": 0.65}
    yield Case("flat_field", ("counts", "dark", "flat"))
    yield Case("subtract_dark", ("counts", "dark"))
    yield Case("minus_log", ("light",))
    yield Case("calculate", ("light",), {"expression": "where(v > 0.5, -log(v), sqrt(v) * 2)"})
    yield Case("remove_outliers", ("counts",), {"threshold": 3000, "kind": "both"}, 0.0)
    yield Case("remove_outliers", ("light",), {"threshold": 0.2, "size": 5}, 0.0)
    yield Case("remove_outliers_3d", ("stack",), {"threshold": 0.2, "kind": "both"}, 0.0)
    yield Case("replace_bad_pixels", ("counts", "dark", "flat"), {}, 0.0)
    yield Case("normalize_by_region", ("light",), {"rows": (2, -2), "columns": (0, 9)})
    yield Case("normalize_by_sides", ("lines",))
    yield Case("normalize_by_monitor", ("light",), {"reference": 100.0}, at=("monitor",))
    yield Case("correct_beam_hardening", ("light",), {"coefficients": (1.0, 0.2, -0.1)})
    yield Case("crop", ("counts",), {"rows": (3, -3), "columns": (5, -1)}, 0.0)
    yield Case("pad", ("counts",), {"rows": (4, 5), "columns": (6, 7), "method": "mirror"}, 0.0)
    yield Case("bin", ("counts",), {"rows": 2, "columns": 2})
    yield Case("circular_mask", ("light",), {}, 0.0)
    yield Case("rescale", ("light",), {"low": 0.2, "high": 1.0, "bits": 16}, 0.0)
    for use in ("paganin", "paganin_generalised", "tie", "ctf", "quasi_particle"):
        yield Case(use, ("light",), {**optics, "delta_beta": 100.0})
    yield Case("bronnikov", ("light",), {"distance": 100.0, "pixel": 0.65})
    yield Case("ctf_multidistance", ("pairs",), {"distances": (50.0, 100.0), "energy": 25.0, "pixel": 0.65})
    for name in ("small", "large", "dead", "all"):
        yield Case(f"remove_{name}_stripes", ("sinograms",), tolerance=SORTED)
    for name in ("filtering", "interpolation"):
        yield Case(f"remove_stripes_{name}", ("sinograms",), tolerance=SORTED)
    for name in ("fitting", "fourier", "smoothing", "titarenko", "wavelet"):
        yield Case(f"remove_stripes_{name}", ("sinograms",), tolerance=10 * ROUNDING)
    slices: dict[str, Any] = {"data": ("sinograms",), "at": ("angle", "row")}
    yield Case("fbp", tolerance=GRID, **slices)
    yield Case("backproject", tolerance=10 * ROUNDING, **slices)
    for use in ("sirt", "cgls"):
        yield Case(use, parameters={"iterations": 3}, tolerance=20 * ROUNDING, **slices)


def make_data(size: int) -> dict[str, Any]:
    """Frames, sinograms of the phantom with stripes, and coordinates."""
    rng = np.random.default_rng(1)
    frames, angles = 8 if size >= 64 else 2, max(12, 3 * size // 4)  # a few, for a look in the simulator
    light = np.clip(rng.normal(0.7, 0.1, (frames, size, size)), 0.05, 1.3).astype(np.float32)
    counts = rng.integers(100, 60_000, (frames, size, size), dtype=np.uint16)
    dark = rng.normal(100, 5, (size, size)).astype(np.float32)
    dark[::13, ::11] = 20_000  # hot
    theta = np.arange(angles) * 180.0 / angles
    table = ellipsoid_table(SHEPP_LOGAN_CYLINDERS, size / 2)
    lines = line_integrals(table, np.deg2rad(theta), [0.0], size)[:, 0]
    sinograms = np.stack([lines * (1 + 0.1 * row) for row in range(frames)]) / np.float32(size)
    sinograms = (sinograms + rng.normal(1, 0.01, sinograms.shape)).astype(np.float32)
    sinograms[:, :, 5 :: max(7, size // 20)] *= 1.05
    return {
        "light": light,
        "counts": counts,
        "dark": dark,
        "flat": (dark + 40_000 * (1 + 0.1 * rng.random((size, size)))).astype(np.float32),
        "stack": light[None],
        "pairs": np.stack([light, 1 / light], axis=1),
        "lines": light[0],
        "sinograms": sinograms,
        "angle": theta,
        "row": np.arange(frames),
        "monitor": rng.uniform(80, 120, frames),
    }


def parts(result: Any) -> list[Any]:
    """The arrays of a step with one output or several."""
    return list(result) if isinstance(result, tuple) else [result]


def on_host(result: Any) -> Any:
    """An output on the host; convergence curves are there anyway."""
    return result if isinstance(result, np.ndarray) else arrays.to_host(result)


def compare(case: Case, data: dict[str, Any], rounds: int) -> dict[str, Any]:
    """One step here and there."""
    step = registry.get("operators", case.use).step(**case.parameters)
    given, at = [data[name] for name in case.data], {name: data[name] for name in case.at}
    there = [arrays.on_device(each) for each in given]
    step.run(*given, **at)  # compiles
    begun = time.perf_counter()
    wanted = step.run(*given, **at)
    here = time.perf_counter() - begun
    seconds: list[float] = []
    found: Any = None
    for _ in range(rounds + 1):
        arrays.synchronize()
        begun = time.perf_counter()
        found = step.run(*there, device="cuda", **at)
        arrays.synchronize()
        seconds.append(time.perf_counter() - begun)
    middle = statistics.median(seconds[1:] or seconds)  # the first one compiles
    difference = max(apart(on_host(one), other) for one, other in zip(parts(found), parts(wanted), strict=True))
    return {
        "step": case.use,
        "agrees": bool(difference <= case.tolerance),
        "difference": float(f"{difference:.2g}"),
        "tolerance": case.tolerance,
        "device_milliseconds": round(1e3 * middle, 3),
        "cpu_milliseconds": round(1e3 * here, 3),
        "cpu_over_device": round(here / middle, 1),
    }


def apart(found: Any, wanted: Any) -> float:
    """Largest difference, as a part of the largest value; infinite where one of both is no number, or shapes or types differ."""
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return float("inf")
    one, other = found.astype(np.float64), np.asarray(wanted, np.float64)
    if not np.array_equal(np.isfinite(one), np.isfinite(other)):
        return float("inf")
    known = np.isfinite(other)
    return float(np.abs(one[known] - other[known]).max(initial=0) / max(np.abs(other[known]).max(initial=0), 1e-30))


def bodies(size: int, rounds: int, steps: list[str]) -> list[dict[str, Any]]:
    """All cases, or those of some steps, one line printed for each; a body that fails is told and counts as one that does not agree."""
    data, found = make_data(size), list[dict[str, Any]]()
    with arrays.working(arrays.Lane(0)):
        for case in (each for each in cases() if not steps or each.use in steps):
            try:
                found.append(compare(case, data, rounds))
            except Exception as error:  # whatever a kernel does on a device: the next ones are still wanted
                found.append({"step": case.use, "agrees": False, "error": f"{type(error).__name__}: {error}"[:500]})
            print(json.dumps(found[-1]), flush=True)
    return found


def agreed(found: list[dict[str, Any]]) -> set[str]:
    """Steps that agreed in all of their cases."""
    return {each["step"] for each in found} - {each["step"] for each in found if not each["agrees"]}


def mark(steps: set[str], device: str) -> list[Path]:
    """Mark bodies as proven in the sources, and the device in tools/verified.toml; gives the files that were changed.

    A file that registers the bodies of several steps is changed only if all steps of its folder agree that have none of
    their own.
    """
    registering = [path for path in OPERATORS.rglob("*.py") if '.device("cuda")' in path.read_text(encoding="utf-8")]
    own, all_steps = {path.stem for path in registering}, steps_with_bodies()
    changed: list[Path] = []
    for path in registering:
        folder = {each.stem for each in path.parent.glob("*.py")} - own
        served = {path.stem} if path.stem in all_steps else folder & all_steps
        if served <= steps:
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace('.device("cuda")', '.device("cuda", proven=True)'), encoding="utf-8")
            changed.append(path)
    table = ROOT / "tools" / "verified.toml"
    text = table.read_text(encoding="utf-8")
    for step in steps:
        line = re.compile(rf"^({step} = .*)CUDA in numba\'s simulator(.*)$", re.MULTILINE)
        text = line.sub(rf"\1CUDA on {device}\2", text)
    table.write_text(text, encoding="utf-8")
    return [*changed, table]


def steps_with_bodies() -> set[str]:
    """Names of all steps that have a body for CUDA."""
    found = ((use, getattr(registry.get("operators", use), "step", None)) for use in registry.names("operators"))
    return {use for use, step in found if step is not None and "cuda" in step.bodies}


def run(*command: str) -> bool:
    """True if a program of this interpreter ends well."""
    print(f"\n== {' '.join(command)}", flush=True)
    return subprocess.run([sys.executable, *command], cwd=ROOT, check=False).returncode == 0


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", default=["bodies", "tests", "volume"])
    parser.add_argument("--size", type=int, default=1024, help="columns of the bodies' data")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", nargs="*", default=[], help="names of steps to compare; all by default")
    parser.add_argument("--mark", action="store_true", help="mark in the sources what agreed")
    return parser.parse_args()


def main() -> int:
    """Run the parts that are asked for; 0 if everything agreed and passed."""
    options = parsed()
    why = arrays.absent()
    if why is not None:
        print(f"tools/on_a_gpu.py needs a CUDA device: {why}. Run it on a machine with one.", file=sys.stderr)
        return 2
    found = bodies(options.size, options.rounds, options.steps) if "bodies" in options.parts else []
    missing = steps_with_bodies() - {each["step"] for each in found} if found else set[str]()
    good = agreed(found)
    if arrays.simulated():
        print(
            f"simulator: {len(good)} steps agreed, {len(missing)} not compared: {sorted(missing)}; nothing is written"
        )
        return 0
    device = arrays.name(0)
    if found:
        result = {"device": device, "size": options.size, "rounds": options.rounds, "bodies": found}
        (RESULTS / "gpu_bodies.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    passed = run("-m", "pytest", "-m", "gpu", "tests", "-q", "--timeout", "900") if "tests" in options.parts else True
    measured = run("benchmarks/gpu.py") if "volume" in options.parts else True
    differ = sorted({each["step"] for each in found} - good)
    print(f"\n{len(good)} steps agree; differ or failed: {differ or 'none'}; not compared: {sorted(missing) or 'none'}")
    print(f"tests {'passed' if passed else 'FAILED'}, benchmark {'ran' if measured else 'FAILED'}")
    if options.mark and passed:
        print("marked in", ", ".join(str(path.relative_to(ROOT)) for path in mark(good, device)))
    return 0 if passed and measured and not differ and not missing else 1


if __name__ == "__main__":
    sys.exit(main())
