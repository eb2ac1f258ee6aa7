"""What recording as received costs: processor time of the receiving thread and of the thread that writes, per frame.

Series of 256 x 256 uint16 patterns (Poisson disks, bitshuffled LZ4) come from ``firstlight sim dectris`` over loopback, in turn with
and without ``record``; times are those of the threads, which a busy machine changes little, and the least of several series counts.

    python benchmarks/recording.py [--frames 8192] [--series 5]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from dectris import ENCODINGS, _frames, _simulator

import firstlight as fl
from firstlight.connectors.dectris.detector import Detector
from firstlight.core.buffer import BufferSettings
from firstlight.core.job import Job

RESULTS = Path(__file__).parent / "results" / "recording.json"
ENDINGS = (None, "h5", "cbors")


def main() -> int:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, default=8192)
    parser.add_argument("--series", type=int, default=5)
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        with _simulator(_frames(Path(folder), 256), ENCODINGS["bslz4"], options.frames) as told:
            with Detector(told["data"], api=told["api"]) as detector:
                rounds = [
                    {str(ending): _series(detector, options.frames, ending, Path(folder)) for ending in ENDINGS}
                    for _ in range(options.series + 1)
                ][1:]  # the first loads what is compiled
    for ending in map(str, ENDINGS):
        each = [one[ending] for one in rounds]
        found[ending] = {
            "receiver_us": round(min(one["receiver"] for one in each), 2),
            "receiver_us_median": round(statistics.median(one["receiver"] for one in each), 2),
            "recorder_us": round(min(one["recorder"] for one in each), 2),
            "lost": sum(one["lost"] for one in each),
        }
    result = {
        "per_frame": found,
        "frames": options.frames,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "load_before": round(os.getloadavg()[0], 1),
        "date": time.strftime("%Y-%m-%d"),
        "command": " ".join(["python", "benchmarks/recording.py", *sys.argv[1:]]),
    }
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def _series(detector: Detector, frames: int, ending: str | None, folder: Path) -> dict[str, float]:
    """Microseconds of the two threads per frame, and frames lost."""
    record = {} if ending is None else {"record": folder / f"{time.monotonic_ns()}.{ending}"}
    source = detector.arm(shape=(frames // 64, 64), trigger_mode="exte", **record)
    buffers = {"default": BufferSettings(policy="wait")}
    before = _spent("dectris receiver")
    run = fl.start(Job(source, fl.pipeline([fl.step("center_of_mass")]), collect=True, buffers=buffers))
    written, done = [0.0], threading.Event()
    watcher = threading.Thread(target=_watch, args=(written, done))
    watcher.start()
    run.finished(600)
    after = _spent("dectris receiver")
    done.set()
    watcher.join()
    for path in record.values():
        for each in folder.glob(path.name + "*"):
            each.unlink()
    lost = run.counts.expected - run.counts.done
    return {"receiver": 1e6 * (after - before) / frames, "recorder": 1e6 * max(written) / frames, "lost": lost}


def _spent(name: str) -> float:
    """Processor time in second of the threads of that name."""
    clocks = [time.pthread_getcpuclockid(each.ident or 0) for each in threading.enumerate() if each.name == name]
    return sum(map(time.clock_gettime, clocks))


def _watch(written: list[float], done: threading.Event) -> None:
    """Note what the thread that writes has spent until it ends."""
    while not done.wait(0.005):
        try:
            written.append(_spent("recorder"))
        except OSError:  # it ended just now
            continue


if __name__ == "__main__":
    sys.exit(main())
