"""PVA source beside a bare p4p monitor: frames received per second from the same server, in the same run.

A server in a process of its own posts new arrays as fast as p4p wraps and posts them (as the peer script s1_p4p.py does),
with a queue of 50 updates. The bare monitor (no unwrapping of values, which is its fastest form) only counts updates. The
source reads headers and attributes, places frames, gathers them in chunks, and hands these to a reader in another thread.

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
SIZES = (2048, 1024, 512)
"""Edges in pixels."""
QUEUE = 50


def serve(edge: int, told: Any, stop: Any) -> None:
    """Post frames as fast as that goes until told to stop."""
    from p4p.nt import NTNDArray

    from firstlight.connectors.pva import wire
    from firstlight.connectors.pva.serve import Beamline

    rng = np.random.default_rng(1)
    frames = [rng.poisson(500, (edge, edge)).astype(np.uint16) for _ in range(4)]
    wrapper = NTNDArray()
    beamline = Beamline({"image": "bench:image"}, "127.0.0.1", 0)
    beamline.set("image", wire.blank())
    beamline.start()
    told.put(beamline.address)
    number = 0
    while not stop.is_set():
        number += 1
        value = wrapper.wrap(frames[number % 4])
        value.uniqueId = number
        beamline.post("image", value)
    beamline.stop()


def bare(address: str, seconds: float) -> float:
    """Updates per second that a bare p4p monitor gets."""
    from p4p.client.thread import Context

    from firstlight.connectors.pva.source import client_conf

    count = [0]

    def counted(update: Any) -> None:
        count[0] += 1

    with Context("pva", conf=client_conf(address), useenv=False, nt=False) as client:
        subscription = client.monitor("bench:image", counted, request=f"field()record[queueSize={QUEUE}]")
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

    source = PvaSource(image="bench:image", server=address, angle_step=0.1, queue=QUEUE)
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
    server = spawn.Process(target=serve, args=(edge, told, stop))
    server.start()
    address = told.get(timeout=60)
    contenders = {"bare": bare, "source": ours}
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for run in range(runs):
        for name in list(contenders)[:: 1 if run % 2 == 0 else -1]:
            rates[name].append(contenders[name](address, seconds))
    stop.set()
    server.join()
    medians = {name: statistics.median(values) for name, values in rates.items()}
    result = {
        "edge": edge,
        "bare_frames_per_second": medians["bare"],
        "source_frames_per_second": medians["source"],
        "source_megabytes_per_second": medians["source"] * edge * edge * 2 / 1e6,
        "ratio": medians["source"] / medians["bare"],
        "runs": rates,
    }
    shown = ", ".join(f"{name} {rate:.0f}/s" for name, rate in medians.items())
    print(f"{edge}²: {shown}; ratio {result['ratio']:.2f}")
    return result


def main() -> None:
    """Measure all sizes, write the figures, and hold the target."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="one run of one second at the smallest size")
    quick = options.parse_args().quick
    sizes = [512] if quick else list(SIZES)
    results = [compare(edge, 1 if quick else 5, 1.0 if quick else 2.0) for edge in sizes]
    report = {"target": TARGET, "cpus": mp.cpu_count(), "machine": platform.machine(), "sizes": results}
    if not quick:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(report, indent=1), encoding="utf-8")
    assert all(result["ratio"] >= TARGET for result in results), f"below the target of {TARGET}"


if __name__ == "__main__":
    main()
