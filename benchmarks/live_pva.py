"""Live slices end to end over EPICS PVA, the simulator on the same cores: the rate at which the first frame is lost.

Claim: at 1024 x 1024 (uint16) the knee is at 20 frames/s or more, and below it the 95th percentile of the latency, from the
frame's arrival to the finished picture, is under 300 ms. Above the knee the counts stay exact and the latency bounded.

The buffer drops its oldest frames here (64 MiB), because a ring on disk would hide where the pipeline is too slow.

    python benchmarks/live_pva.py [--size 1024] [--rates 10 15 20 25 30 40] [--seconds 10]
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from firstlight.jobs.load import load_job
from firstlight.jobs.start import start

RESULTS = Path(__file__).parent / "results" / "live_pva.json"
CLAIM_RATE, CLAIM_P95 = 20.0, 300.0


def main() -> int:
    """Raise the rate until frames are lost; one more rate beyond shows what happens above the knee."""
    options = _options()
    rounds: list[dict[str, Any]] = []
    for rate in options.rates:
        rounds.append(_round(options.size, rate, options.seconds))
        _say(rounds[-1])
        if rounds[-1]["lost"] + rounds[-1]["dropped"]:
            break
    clean = [r for r in rounds if not r["lost"] + r["dropped"] and r["offered"] >= 0.95 * r["rate"]]
    knee = max((r["offered"] for r in clean), default=0.0)
    p95 = max((r["p95_ms"] for r in clean), default=float("inf"))
    exact = all(r["conserved"] and r["accounted"] for r in rounds)
    result = {
        "size": options.size,
        "knee_frames_per_second": round(knee, 2),
        "p95_ms_below_the_knee": round(p95, 1),
        "counts_exact_at_every_rate": exact,
        "rounds": rounds,
        "machine": platform.processor() or platform.machine(),
        "date": time.strftime("%Y-%m-%d"),
        "command": " ".join(["python", "benchmarks/live_pva.py", *sys.argv[1:]]),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    _say({name: value for name, value in result.items() if name != "rounds"})
    holds = exact and (options.size > 1024 or (knee >= CLAIM_RATE and p95 < CLAIM_P95))
    return 0 if holds else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--rates", type=float, nargs="+", default=[10, 15, 20, 25, 30, 35, 40, 50, 60, 80])
    parser.add_argument("--seconds", type=float, default=10)
    return parser.parse_args()


def _round(size: int, rate: float, seconds: float) -> dict[str, Any]:
    """One live run at one rate."""
    with tempfile.TemporaryDirectory() as folder:
        ready, report = Path(folder) / "ready.json", Path(folder) / "report.json"
        phantom = f"{{columns: {size}, rows: {size}, angles: 90, noise: false, darks: 2, flats: 2}}"
        arguments = [f"ready={ready}", f"report={report}", f"rate={rate}", f"parameters={phantom}", "loop=true"]
        arguments.append(f"frames={int(rate * seconds)}")
        simulator = subprocess.Popen(
            [sys.executable, "-m", "firstlight.connectors.pva.sim", *arguments], stdout=subprocess.DEVNULL
        )
        while not ready.exists():
            if simulator.poll() is not None:
                raise SystemExit("The simulator ended before it was ready.")
            time.sleep(0.1)
        run = start(load_job(_job(json.loads(ready.read_text()))))
        run.finished(seconds * 10 + 60)
        simulator.wait(30)
        offered = json.loads(report.read_text())
        found, counts = run.report(), run.counts
    return {
        "rate": rate,
        "offered": round(offered["rate_offered"], 2),
        "expected": counts.expected,
        "done": counts.done,
        "lost": counts.lost,
        "dropped": counts.dropped,
        "conserved": counts.conserved and counts.waiting == 0,
        "accounted": counts.expected == offered["posted"],
        "p50_ms": round(found["latency_ms"]["p50"], 1),
        "p95_ms": round(found["latency_ms"]["p95"], 1),
        "stages_ms_per_frame": {
            name: round(1e3 * stage["seconds"] / max(stage["frames"], 1), 2) for name, stage in found["stages"].items()
        },
    }


def _job(told: dict[str, Any]) -> dict[str, Any]:
    channels = {name: told[name] for name in ("image", "dark", "flat", "theta", "server", "frames")}
    return {
        "source": {"use": "pva", "idle": "3 s", **channels},
        "steps": [
            {"use": "flat_field"},
            {"use": "minus_log"},
            {"use": "live_slices", "name": "slices"},
        ],
        "views": [{"of": "slices", "every": "0.1 s"}],
        "buffers": {"default": {"policy": "drop_oldest", "memory": "64 MiB"}},
    }


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
