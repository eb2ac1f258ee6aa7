"""Ptychography beside pty-chi: patterns a second in each iteration, and the error that is left.

Claim: three times the patterns a second of pty-chi on the same two threads, for ePIE, rPIE, DM and LSQ-ML, at 128² and
256², with one and three modes of the probe. Every contender is a process that stays alive; in each round all run in
turn on the same simulated scan, and medians are compared. `bare_ffts` are the two transforms of each pattern and mode,
which bound any of them; `of_bare_ffts` is the processor time of a pattern over that of its two transforms, and shows the distance
also on a busy machine (the difference map makes a third transform of up to 64 patterns, for its error). pty-chi lives in an environment of its own under PEERS (`make bench` makes it).

    PEERS=folder python benchmarks/ptycho.py [--window 128] [--modes 1] [--epochs 8] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft

from firstlight.kernels.ptycho.phantom import Truth, simulate

HERE = Path(__file__).resolve().parent
ALGORITHMS = ("epie", "rpie", "dm", "lsq")
CLAIM = 3.0
SCANS = {128: (20, 20), 256: (12, 12)}
"""Positions by window; other windows: as 128."""


def started(name: str, peers: Path, data: Path, modes: int, epochs: int) -> subprocess.Popen[str] | str:
    """The contender's process, warm; or why it is absent."""
    python = sys.executable if name.startswith("firstlight") else str(peers / "ptychi" / "bin" / "python")
    if not Path(python).exists():
        return "no environment 'ptychi' under PEERS"
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "2")
    result = data.with_name(f"{name}.npy")
    process = subprocess.Popen(
        [python, str(HERE / "peers" / "ptycho_worker.py"), name, str(data), str(modes), str(epochs), str(result)],
        env={**os.environ, **threads},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    return answer(process).get("absent") or process


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Next line of JSON; anything else that a peer prints is passed over."""
    for line in process.stdout or ():
        if line.startswith("{"):
            return json.loads(line)
    return {"absent": "the process ended"}


def bare_ffts(window: int, modes: int, patterns: int) -> tuple[float, float]:
    """Seconds of two transforms for each pattern and mode, on two threads, and seconds of processor time."""
    waves = np.ones((2, 8, modes, window, window), np.complex64)

    def some(part: Any) -> None:
        for _ in range(patterns // 16):
            scipy.fft.ifft2(scipy.fft.fft2(part, overwrite_x=True), overwrite_x=True)

    with ThreadPoolExecutor(2) as pool:
        begun, spent = time.perf_counter(), time.process_time()
        list(pool.map(some, waves))
    whole = patterns / (patterns // 16 * 16)
    return (time.perf_counter() - begun) * whole, (time.process_time() - spent) * whole


def difference(image: Any, truth: Truth) -> float:
    """Relative error of the object in the middle half, after the best complex factor and a ramp of the phase."""
    rows, cols = truth.image.shape
    middle = (slice(rows // 4, -rows // 4), slice(cols // 4, -cols // 4))
    found, true = np.asarray(image).reshape(-1, rows, cols)[0][middle], truth.image[middle]
    ratio = true * found.conj()
    down, right = np.angle((ratio[1:] * ratio[:-1].conj()).sum()), np.angle((ratio[:, 1:] * ratio[:, :-1].conj()).sum())
    y, x = np.mgrid[: true.shape[0], : true.shape[1]]
    found = found * np.exp(1j * (down * y + right * x))
    scale = (true * found.conj()).sum() / (np.abs(found) ** 2).sum()
    return float(np.linalg.norm(scale * found - true) / np.linalg.norm(true - true.mean()))


def compare(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    truth = simulate(
        window=args.window,
        scan=SCANS.get(args.window, SCANS[128]),
        step=args.window / 16,
        photons=1e6,
        modes=args.modes,
    )
    data = folder / "scan.npz"
    probe = truth.probe * np.exp(0.3j) + 0.02 * np.roll(truth.probe, 2, axis=-1)
    np.savez(data, counts=truth.counts, corners=truth.corners, probe=probe.astype("c8"), size=truth.image.shape)
    names = [f"{library}_{algorithm}" for algorithm in args.only for library in ("firstlight", "ptychi")]
    running = {name: started(name, args.peers, data, args.modes, args.epochs) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in (*names, "bare_ffts")}
    spent: dict[str, list[float]] = {name: [] for name in seconds}
    for _ in range(args.rounds):
        for name, process in running.items():
            if isinstance(process, str):
                continue
            print("", file=process.stdin, flush=True)
            found = answer(process)
            seconds[name].append(found["seconds"] / args.epochs)
            spent[name].append(found["spent"] / args.epochs)
        for kept, value in zip((seconds, spent), bare_ffts(args.window, args.modes, len(truth.corners)), strict=True):
            kept["bare_ffts"].append(value)
    rows: dict[str, Any] = {}
    for name, process in [*running.items(), ("bare_ffts", None)]:
        if isinstance(process, str):
            rows[name] = {"absent": process}
            continue
        rows[name] = {
            "patterns_per_s": round(len(truth.corners) / statistics.median(seconds[name])),
            "of_bare_ffts": round(statistics.median(spent[name]) / statistics.median(spent["bare_ffts"]), 2),
        }
        if process is not None and process.stdin is not None:
            rows[name]["error"] = round(difference(np.load(folder / f"{name}.npy"), truth), 4)
            process.stdin.close()
            process.wait(60)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument("--modes", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=ALGORITHMS, default=ALGORITHMS)
    parser.add_argument("--peers", type=Path, default=Path(os.environ.get("PEERS", ".peers")))
    parser.add_argument("--keep", action="store_true", help="write the figures to benchmarks/results/ptycho.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(args, Path(folder))
    ratios: dict[str, float] = {}
    for algorithm in args.only:
        ours, theirs = rows[f"firstlight_{algorithm}"], rows[f"ptychi_{algorithm}"]
        if "patterns_per_s" in ours and "patterns_per_s" in theirs:
            ratios[algorithm] = round(ours["patterns_per_s"] / theirs["patterns_per_s"], 2)
    found = {"window": args.window, "modes": args.modes, "epochs": args.epochs, "rows": rows, "ratios": ratios}
    print(json.dumps(found, indent=2))
    if args.keep:
        path = HERE / "results" / "ptycho.json"
        kept = json.loads(path.read_text()) if path.exists() else {}
        kept[f"{args.window}, {args.modes} modes"] = {"date": date.today().isoformat(), **found}
        path.write_text(json.dumps(kept, indent=2) + "\n")
    return 0 if all(ratio >= CLAIM for ratio in ratios.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
