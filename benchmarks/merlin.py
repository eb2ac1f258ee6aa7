"""Merlin frames over loopback to a finished image of the centre of mass, beside LiberTEM-live, both from LiberTEM-live's simulator.

The simulator plays a .mib file from memory: 256 x 256 pixels of 12 bit as Merlin processes them (U16), and raw counters of 1 bit
(R64) of one chip. Each contender gets a simulator of its own; the first acquisition warms both up and does not count, the best of
the others is compared. Time runs from STARTACQUISITION to the finished image. Without LiberTEM-live there is no simulator.

    python benchmarks/merlin.py [--frames 4096] [--rounds 3] [--peers .peers]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import firstlight as fl
from firstlight.connectors.merlin.detector import Detector
from firstlight.connectors.merlin.wire import write_frame
from firstlight.core.buffer import BufferSettings
from firstlight.core.job import Job

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "merlin.json"
SIZE = 256
POINTS = 64


def main() -> int:
    """Measure both kinds of frame, ours and LiberTEM-live's."""
    options = _options()
    python = options.peers / "libertem-live" / "bin" / "python"
    if not python.exists():
        sys.stderr.write(f"no LiberTEM-live in {python.parents[1]}: see benchmarks/README.md\n")
        return 2
    rounds: list[dict[str, Any]] = []
    for kind, count in (("u16", options.frames), ("r64_1bit", 4 * options.frames)):
        with tempfile.TemporaryDirectory() as folder:
            file = _written(Path(folder) / "frames.mib", kind, count)
            with _simulator(python, file, count) as ports:
                ours = _ours(ports, count, options.rounds)
            with _simulator(python, file, count) as ports:
                peer = _libertem(python, ports, count, options.rounds)
        ratio = round(ours["frames_per_second"] / peer["frames_per_second"], 2)
        rounds.append({"kind": kind, "frames": count, "ours": ours, "libertem_live": peer, "ratio": ratio})
        sys.stdout.write(json.dumps(rounds[-1]) + "\n")
        sys.stdout.flush()
    result = {
        "rounds": rounds,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "load_before": round(os.getloadavg()[0], 1),
        "date": time.strftime("%Y-%m-%d"),
        "command": " ".join(["python", "benchmarks/merlin.py", *sys.argv[1:]]),
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if all(r["ours"]["lost"] == 0 for r in rounds) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, default=4096, help="of 16 bit; four times as many of 1 bit")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=Path(os.environ.get("PEERS", HERE.parent / ".peers")))
    return parser.parse_args()


def _written(file: Path, kind: str, count: int) -> Path:
    """A .mib file of Poisson disks, 16 distinct ones."""
    distance = np.hypot(*np.mgrid[-SIZE // 2 : SIZE // 2, -SIZE // 2 : SIZE // 2])
    frames = np.random.default_rng(0).poisson(np.where(distance < SIZE / 8, 20.0, 0.2), (16, SIZE, SIZE))
    payloads = [_raw(frame > 0) if kind == "r64_1bit" else write_frame(0, frame.astype(np.uint16)) for frame in frames]
    with file.open("wb") as out:
        for at in range(count):
            out.write(b"MQ1,%06d" % (at + 1) + payloads[at % 16][10:])
    return file


def _raw(bits: np.ndarray) -> bytes:
    """A raw frame of one chip with a counter of 1 bit: 64 pixels make a number, most significant byte first."""
    like = write_frame(0, bits.astype(np.uint8), depth=1)
    packed = np.packbits(bits.reshape(-1, 64), axis=1, bitorder="little")[:, ::-1]
    return like[:384].replace(b",U08,", b",R64,") + packed.tobytes()


@contextlib.contextmanager
def _simulator(python: Path, file: Path, count: int) -> Iterator[tuple[int, int]]:
    """Their simulated detector in a process of its own: (data port, control port)."""
    with contextlib.ExitStack() as stack:
        free = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        data, control, trigger = (one.getsockname()[1] for one in free)
    command = [python.with_name("libertem-live-mib-sim"), file, "--host", "127.0.0.1", "--cached", "MEM"]
    command += ["--nav-shape", count // POINTS, POINTS, "--wait-trigger"]
    command += ["--data-port", data, "--control-port", control, "--trigger-port", trigger]
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", control), 1.0):
                break
            time.sleep(0.2)
        yield data, control
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # it shares its session with what it started
        process.wait(20)


def _ours(ports: tuple[int, int], count: int, rounds: int) -> dict[str, Any]:
    found: list[tuple[float, float]] = []
    lost = 0
    with Detector("127.0.0.1", ports[0], control_port=ports[1], timeout=60.0) as detector:
        for _ in range(rounds + 1):
            began, used = time.perf_counter(), time.process_time()
            ready = lambda _: detector.api.command("SOFTTRIGGER")  # noqa: E731
            source = detector.arm(shape=(count // POINTS, POINTS), timeout=60.0, ready=ready)
            # LiberTEM-live makes the detector wait, too, when it is behind
            buffers = {"default": BufferSettings(policy="wait")}
            run = fl.start(Job(source, fl.pipeline([fl.step("center_of_mass")]), collect=True, buffers=buffers))
            run.finished(600)
            found.append((time.perf_counter() - began, time.process_time() - used))
            lost += run.counts.expected - run.counts.done
    return _rates(found[1:], count) | {"lost": lost}


def _libertem(python: Path, ports: tuple[int, int], count: int, rounds: int) -> dict[str, Any]:
    worker = HERE / "peers" / "merlin_worker.py"
    command = [python, worker, *ports, count // POINTS, POINTS, rounds]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600, check=True)
    return _rates(json.loads(done.stdout.splitlines()[-1]), count)


def _rates(found: list[tuple[float, float]], count: int) -> dict[str, Any]:
    seconds = min(each[0] for each in found)
    return {
        "seconds": round(seconds, 3),
        "frames_per_second": round(count / seconds),
        "processor_us_per_frame": round(min(each[1] for each in found) / count * 1e6),
    }


if __name__ == "__main__":
    sys.exit(main())
