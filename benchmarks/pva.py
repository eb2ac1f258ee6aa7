"""PVA source beside a bare p4p monitor: frames received per second from the same server, in the same run.

A server in a process of its own offers more frames than the path can carry; p4p skips what does not fit, so the rate
received is what the path carries. The bare monitor (no unwrapping of values, which is its fastest form) only counts
updates; it is measured with and without flow control, and the better one is the peer. The source reads headers and
attributes, places frames, gathers them in chunks, and hands these to a reader in another thread.

Run: python benchmarks/pva.py [--quick]. Writes benchmarks/results/pva.json. Fails if the ratio is below 0.8.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing as mp
import platform
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

TARGET = 0.8
RESULT = Path(__file__).parent / "results" / "pva.json"
SIZES = {2048: 400.0, 1024: 1500.0, 512: 4000.0}
"""Edge in pixels to the rate that is offered, in frames per second: well above what the path carries."""


def serve(edge: int, rate: float, told: Any, stop: Any) -> None:
    """Post frames at a rate until told to stop."""
    from firstlight.connectors.pva import wire
    from firstlight.connectors.pva.serve import Beamline

    rng = np.random.default_rng(1)
    pictures = [wire.write_frame(rng.poisson(500, (edge, edge)).astype(np.uint16), 0, 0.0) for _ in range(8)]
    beamline = Beamline({"image": "bench:image"}, "127.0.0.1", 0)
    beamline.set("image", wire.blank())
    beamline.start()
    told.put(beamline.address)
    number, begin = 0, time.perf_counter()
    while not stop.is_set():
        due = int((time.perf_counter() - begin) * rate)
        while number < due:
            number += 1
            picture = pictures[number % 8]
            picture.uniqueId = number
            picture.timeStamp.secondsPastEpoch = int(time.time())
            beamline.post("image", picture)
        time.sleep(0.5 / rate)
    beamline.stop()


def plain(address: str, seconds: float) -> float:
    """Updates per second that a bare p4p monitor gets, as everybody uses it."""
    return bare(address, seconds, "field()record[queueSize=32]")


def flow(address: str, seconds: float) -> float:
    """The same with flow control, which few know of: the server then skips what we could not take."""
    return bare(address, seconds, "field()record[queueSize=32,pipeline=true]")


def bare(address: str, seconds: float, request: str) -> float:
    """Updates per second that a bare p4p monitor gets."""
    from p4p.client.thread import Context

    from firstlight.connectors.pva.source import client_conf

    count = [0]

    def counted(update: Any) -> None:
        count[0] += 1

    with Context("pva", conf=client_conf(address), useenv=False, nt=False) as client:
        subscription = client.monitor("bench:image", counted, request=request)
        time.sleep(0.7)
        before, begin = count[0], time.perf_counter()
        time.sleep(seconds)
        rate = (count[0] - before) / (time.perf_counter() - begin)
        subscription.close()
    return rate


def ours(address: str, seconds: float) -> float:
    """Frames per second that the source delivers."""
    from firstlight.connectors.pva.source import PvaSource
    from firstlight.core.chunk import Chunk

    source = PvaSource(image="bench:image", server=address, angle_step=0.1)
    source.open()
    count = [0]

    def read() -> None:
        for item in source.items():
            if isinstance(item, Chunk):
                count[0] += len(item)

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.7)
    before, begin = count[0], time.perf_counter()
    time.sleep(seconds)
    rate = (count[0] - before) / (time.perf_counter() - begin)
    source.stop()
    reader.join()
    source.close()
    return rate


def compare(edge: int, runs: int, seconds: float) -> dict:
    """Medians of alternated runs at one size."""
    spawn = mp.get_context("spawn")
    told, stop = spawn.Queue(), spawn.Event()
    server = spawn.Process(target=serve, args=(edge, SIZES[edge], told, stop))
    server.start()
    address = told.get(timeout=60)
    contenders = {"plain": plain, "flow": flow, "source": ours}
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for run in range(runs):
        names = list(contenders)
        for name in names[run % 3 :] + names[: run % 3]:
            rates[name].append(contenders[name](address, seconds))
    stop.set()
    server.join()
    medians = {name: statistics.median(values) for name, values in rates.items()}
    best = max(medians["plain"], medians["flow"])
    result = {
        "edge": edge,
        "offered": SIZES[edge],
        "bare_frames_per_second": best,
        "source_frames_per_second": medians["source"],
        "source_megabytes_per_second": medians["source"] * edge * edge * 2 / 1e6,
        "ratio": medians["source"] / best,
        "runs": rates,
    }
    shown = ", ".join(f"{name} {rate:.0f}/s" for name, rate in medians.items())
    print(f"{edge}²: {shown}; source / best bare = {result['ratio']:.2f}")
    return result


def main() -> None:
    """Measure all sizes, write the figures, and hold the target."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="one run of one second at the smallest size")
    quick = options.parse_args().quick
    sizes = [512] if quick else list(SIZES)
    results = [compare(edge, 1 if quick else 5, 1.0 if quick else 3.0) for edge in sizes]
    report = {"target": TARGET, "cpus": mp.cpu_count(), "machine": platform.machine(), "sizes": results}
    if not quick:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(report, indent=1), encoding="utf-8")
    assert all(result["ratio"] >= TARGET for result in results), f"below the target of {TARGET}"


if __name__ == "__main__":
    main()
