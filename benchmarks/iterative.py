"""SIRT, SART, CGLS, MLEM and OSEM on the CPU beside ASTRA's: seconds of the processor for one iteration of one slice.

An iteration visits every projection once. ASTRA has MLEM on GPUs alone: there it is its CPU projector in a loop of numpy, as its
own documentation does it; OSEM takes ten subsets. Claims: the same result (relative difference stated), and at least twice as fast on
one thread with the sixteen slices that the steps take side by side; one slice alone is shown too. Bound: the processor
(projection and back-projection, see backproject.py). Each contender runs in a process of its own, in turn; medians are
compared. ASTRA lives in an environment under PEERS.

    PEERS=folder python benchmarks/iterative.py [--size 512] [--angles 180] [--iterations 4] [--rounds 3]
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

from firstlight.kernels.ellipsoids import SHEPP_LOGAN_CYLINDERS, ellipsoid_table, line_integrals
from firstlight.kernels.iterate import order_of_subsets

HERE = Path(__file__).resolve().parent
CONTENDERS = {"firstlight_one_slice": "", "firstlight": "", "astra": "astra"}
"""Name to its environment under PEERS; "" is this one."""
METHODS = ("sirt", "sart", "cgls", "mlem", "osem")
SUBSETS = 10
"""Of OSEM."""
LIMIT = 2.0


def write_data(path: Path, size: int, angles: int) -> None:
    """Exact projections of the phantom, and the order in which SART visits them."""
    theta = np.arange(angles) * 180.0 / angles
    table = ellipsoid_table(SHEPP_LOGAN_CYLINDERS, size / 2)
    sinogram = line_integrals(table, np.deg2rad(theta), [0.0], size)[:, 0]
    np.savez(
        path,
        sinogram=sinogram,
        theta=theta,
        order=np.concatenate(order_of_subsets(angles, angles)),
        subsets=order_of_subsets(angles, SUBSETS),
    )


def run_once(name: str, method: str, peers: Path, data: Path, iterations: int) -> dict[str, Any]:
    """One run in a process of its own."""
    home = CONTENDERS[name]
    python = str(peers / home / "bin" / "python") if home else sys.executable
    if not Path(python).exists():
        return {"absent": f"no environment {home!r} under PEERS"}
    worker, result = HERE / "peers" / "iterative_worker.py", data.with_name(f"{name}-{method}.npy")
    command = [python, str(worker), name, method, str(data), str(result), str(iterations)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in answer.stdout.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else {"absent": answer.stderr.strip().splitlines()[-1:]}


def compare(method: str, peers: Path, data: Path, iterations: int, rounds: int) -> dict[str, Any]:
    """Median seconds of each contender, how often ours fits into the peer's, and how far the results differ."""
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    absent: dict[str, Any] = {}
    for _ in range(rounds):
        for name in CONTENDERS:
            answer = run_once(name, method, peers, data, iterations)
            if "absent" in answer:
                absent[name] = answer["absent"]
            else:
                seconds[name].append(answer["seconds"])
    medians = {name: statistics.median(found) for name, found in seconds.items() if found}
    result: dict[str, Any] = {"milliseconds": {name: round(1e3 * value, 2) for name, value in medians.items()}}
    if "astra" in medians:
        ours, theirs = (np.load(data.with_name(f"{name}-{method}.npy")) for name in ("firstlight", "astra"))
        result["ratios"] = {n: round(medians["astra"] / v, 2) for n, v in medians.items() if n != "astra"}
        result["difference"] = float(f"{np.linalg.norm(ours - theirs) / np.linalg.norm(theirs):.2g}")
    return {**result, **({"absent": absent} if absent else {})}


def main() -> int:
    """Run all contenders in turn, write the figures, and fail if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--angles", type=int, default=180)
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=Path(os.environ.get("PEERS", ".peers")))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "iterative.json")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.npz"
        write_data(data, chosen.size, chosen.angles)
        methods: dict[str, dict[str, Any]] = {}
        for method in METHODS:
            methods[method] = compare(method, chosen.peers.resolve(), data, chosen.iterations, chosen.rounds)
            print(method, json.dumps(methods[method]), flush=True)
    given = {"size": chosen.size, "angles": chosen.angles, "iterations": chosen.iterations, "rounds": chosen.rounds}
    load = round(os.getloadavg()[0], 1)  # what else the machine did
    result = {**given, "threads": 1, "load_average": load, "methods": methods, "limit": LIMIT}
    chosen.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    slower = [name for name, found in methods.items() if found.get("ratios", {}).get("firstlight", 0) < LIMIT]
    print(f"each at least {LIMIT} times as fast as ASTRA: {'MISSED by ' + ', '.join(slower) if slower else 'holds'}")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
