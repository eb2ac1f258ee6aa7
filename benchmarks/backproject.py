"""Direct back-projection and projection on the CPU beside scikit-image and ASTRA: giga-updates a second and core (GUPS).

An update is one pixel and one projection: GUPS = size² × angles × slices / processor seconds / 10⁹, which
neighbours on a busy machine change little; `firstlight` keeps two cores busy. Claims: three times ASTRA's and
scikit-image's CPU code on one thread, with the sixteen slices that `backproject` takes side by side; one slice alone is shown too.
Bound: the processor. One update of sixteen slices is two loads, two multiply-adds and a store of one AVX-512 register each
in the first-level cache. In each round every contender runs once in a process of its own; medians are compared. Peers live
in environments of their own under PEERS; what is absent is said.

    PEERS=folder python benchmarks/backproject.py [--size 1024] [--angles 360] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.kernels.ellipsoids import (
    SHEPP_LOGAN_CYLINDERS,
    ellipsoid_table,
    line_integrals,
    plane_coordinates,
    voxels,
)

HERE = Path(__file__).resolve().parent
OURS = ("firstlight_one_slice", "firstlight_one_thread", "firstlight")
CONTENDERS = {  # name: environment under PEERS; "" is this one
    **dict.fromkeys(OURS, ""),
    "astra": "astra",
    "skimage": "astra",
    **{name.replace("firstlight", "firstlight_forward"): "" for name in OURS},
    "astra_forward": "astra",
}
LIMIT = 3.0
"""What blocks of slices must reach over each peer; one slice alone is shown beside it."""


def write_data(path: Path, size: int, angles: int) -> None:
    """Sinogram and image of the phantom."""
    theta = np.arange(angles) * 180.0 / angles
    table = ellipsoid_table(SHEPP_LOGAN_CYLINDERS, size / 2)
    x = plane_coordinates(size)
    image = voxels(table, [0.0], x[::-1], x, points=(1, 2, 2))[0]
    np.savez(path, sinogram=line_integrals(table, np.deg2rad(theta), [0.0], size)[:, 0], theta=theta, image=image)


def run_once(name: str, peers: Path, data: Path) -> dict[str, Any]:
    """One run in a process of its own."""
    home = CONTENDERS[name]
    python = str(peers / home / "bin" / "python") if home else sys.executable
    if not Path(python).exists():
        return {"absent": f"no environment {home!r} under PEERS"}
    command = [
        python,
        str(HERE / "peers" / "backproject_worker.py"),
        name,
        str(data),
        str(data.with_name(f"{name}.npy")),
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in answer.stdout.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else {"absent": answer.stderr.strip().splitlines()[-1:]}


def agreement(folder: Path, name: str, ours: str) -> float | None:
    """Relative difference between a peer's result and ours within half the width, scaled by least squares."""
    one, other = folder / f"{name}.npy", folder / f"{ours}.npy"
    if not (one.exists() and other.exists()):
        return None
    a, b = np.load(one).astype(np.float64), np.load(other).astype(np.float64)
    part = tuple(slice(n // 4, 3 * n // 4) for n in a.shape)
    a, b = a[part], b[part]
    return float(np.linalg.norm(a * (a * b).sum() / (a**2).sum() - b) / np.linalg.norm(b))


def main() -> None:
    """Run all contenders in turn and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--angles", type=int, default=360)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=Path(os.environ.get("PEERS", ".peers")))
    parser.add_argument("--output", type=Path, default=HERE / "results" / "backproject.json")
    options = parser.parse_args()
    updates = options.size**2 * options.angles / 1e9
    rates: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    absent: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.npz"
        write_data(data, options.size, options.angles)
        for _ in range(options.rounds):
            for name in CONTENDERS:
                answer = run_once(name, options.peers.resolve(), data)
                if "absent" in answer:
                    absent[name] = answer["absent"]
                else:
                    rates[name].append(updates * answer["slices"] / answer["seconds"])
        pairs = {"astra": OURS[0], "skimage": OURS[0], "astra_forward": "firstlight_forward_one_slice"}
        differences = {peer: agreement(Path(folder), peer, ours) for peer, ours in pairs.items()}
    gups = {name: round(statistics.median(found), 4) for name, found in rates.items() if found}
    ratios = {
        f"{ours}_over_{peer}": round(gups[ours] / gups[peer], 2)
        for peer in ("astra", "skimage", "astra_forward")
        for ours in (OURS if "forward" not in peer else [n.replace("firstlight", "firstlight_forward") for n in OURS])
        if peer in gups and ours in gups
    }
    settings = {"size": options.size, "angles": options.angles, "rounds": options.rounds, "cores": os.cpu_count()}
    result = {**settings, "gups": gups, "ratios": ratios, "differences": differences, "absent": absent, "limit": LIMIT}
    text = json.dumps(result, indent=2)
    print(text)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
