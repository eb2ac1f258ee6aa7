"""Our step and its peer in turn, on one thread each: what the benchmarks of steps share.

A peer lives in an environment of its own under PEERS, in a process that runs a step for each name that it is sent. Seconds are
those of the processor, so that other work on the machine does not count; medians are compared.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Data = dict[str, Any]

_LEAST, _MOST = 0.3, 50
"""Seconds of both together, below which they take more turns, and how many: a median of five times a millisecond is chance."""


_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def on_one_thread() -> None:
    """Begin this program again where its libraries would use more than one thread: they read that when they are loaded."""
    if any(os.environ.get(name) != one for name, one in _ONE_THREAD.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **_ONE_THREAD})  # noqa: S606


@dataclass(frozen=True)
class Pair:
    """Our step and its peer on the same data."""

    name: str
    ours: Callable[[Data], Any]
    peer: str
    home: str
    same: bool = True
    """True if both are the same algorithm, so that the results can be compared."""
    updates: int = 0
    """Voxels times projections, for giga-updates a second."""
    one_pass: bool = False
    """True if both are one pass over the same memory, which bounds them alike: 1 within a tenth is all that can be had."""


class Peer:
    """A process of a peer's environment, which runs a step for each name that it is sent."""

    def __init__(self, peers: Path, home: str, worker: Path, folder: Path) -> None:
        """Start it; `absent` says why it can not run."""
        python = peers / home / "bin" / "python"
        self.absent = "" if python.exists() else f"no environment {home!r} under PEERS"
        self._process: subprocess.Popen[str] | None = None
        if self.absent:
            return
        self._process = subprocess.Popen(
            [str(python), str(worker), str(folder)],
            env={**os.environ, **_ONE_THREAD},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def seconds(self, name: str) -> float | None:
        """Seconds of one run; None if it can not."""
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            return None
        self._process.stdin.write(name + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("{"):
                answer = json.loads(line)
                self.absent = answer.get("absent", self.absent)
                return answer.get("seconds")
        return None

    def close(self) -> None:
        """End the process."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(30)


def compare(pair: Pair, data: Data, peer: Peer, folder: Path, rounds: int) -> dict[str, object]:
    """Both in turn; medians, their ratio, and the difference of the results."""
    found = pair.ours(data)  # compiled and warm
    if peer.seconds(pair.peer) is None:
        return {"step": pair.name, "peer": f"{pair.home}: {pair.peer}", "absent": peer.absent}
    ours: list[float] = []
    theirs: list[float] = []
    while len(ours) < rounds or (sum(ours) + sum(theirs) < _LEAST and len(ours) < _MOST):
        start = time.process_time()
        pair.ours(data)
        ours.append(time.process_time() - start)
        theirs.append(peer.seconds(pair.peer) or float("nan"))
    result: dict[str, object] = {
        "step": pair.name,
        "peer": f"{pair.home}: {pair.peer}",
        "milliseconds": round(1e3 * statistics.median(ours), 2),
        "peer_milliseconds": round(1e3 * statistics.median(theirs), 2),
        "ratio": round(statistics.median(theirs) / statistics.median(ours), 2),
    }
    if pair.one_pass:
        result["bound"] = "memory: one pass on both sides"
    if pair.updates:
        result["gups"] = round(pair.updates / statistics.median(ours) / 1e9, 4)
        result["peer_gups"] = round(pair.updates / statistics.median(theirs) / 1e9, 4)
    if pair.same:
        difference = np.abs(np.asarray(found, np.float64) - np.load(folder / f"{pair.peer}.npy"))
        # equal values of a column may be put back in another order: a few in ten thousand differ
        result["difference_of_all_but_one_in_a_thousand"] = float(f"{np.quantile(difference, 0.999):.2g}")
    return result


def compare_all(pairs: Sequence[Pair], data: Data, worker: Path, rounds: int) -> list[dict[str, object]]:
    """Every pair, one line printed for each.

    Args:
        pairs: our steps and their peers.
        data: what all of them get, by name.
        worker: the program of the peers; it reads FOLDER/data.npz, and writes results there.
        rounds: how often each takes its turn.
    """
    peers = Path(os.environ.get("PEERS", Path(__file__).parents[2] / ".peers")).resolve()
    results: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "data.npz", **data)
        started = {home: Peer(peers, home, worker, folder) for home in sorted({pair.home for pair in pairs})}
        try:
            for pair in pairs:
                results.append(compare(pair, data, started[pair.home], folder, rounds))
                print(json.dumps(results[-1]), flush=True)
        finally:
            for peer in started.values():
                peer.close()
    return results


def report(results: list[dict[str, object]], settings: dict[str, float], out: Path) -> int:
    """Keep the results with what they were got with; 0 if no ratio is below 1 and most are at least 2, else 1.

    Where both sides are one pass over memory, 0.9 counts as 1.
    """
    ratios = [float(str(result["ratio"])) for result in results if "ratio" in result]
    slower = [r for r in results if float(str(r.get("ratio", 1))) < (0.9 if "bound" in r else 1)]
    held = bool(ratios) and not slower and sum(ratio >= 2 for ratio in ratios) > len(ratios) / 2
    load = round(os.getloadavg()[0], 1)  # what else the machine did
    kept = {**settings, "threads": 1, "load_average": load, "steps": results}
    kept |= {"slowest_ratio": min(ratios, default=None), "holds": held}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    print(f"each ratio at least 1, most at least 2: {'holds' if held else 'MISSED'}")
    return 0 if held else 1
