"""A scan from disk to disk beside its peers: uint16 counts in, flat field, logarithm, stripes, slices out.

Claims: faster than every peer's chain in the same run, and no longer than 1.25 times the slowest of reading alone,
computing alone and writing alone. Contenders are processes that stay alive (compiled and warm); in each round all run in
turn on the same file, whose pages are given back to the disk before each run. A peer that takes more than a second a
slice does fewer rows, once; seconds per row are compared. tomopy's algorithm stands alone where tomopy is not installed (see
`fbp.py`); HTTomo's CPU chain is tomopy's functions on blocks of rows, which is what `peers/offline_worker.py` does.
Stripes are removed (by sorting) if the step is registered.

    PEERS=folder python benchmarks/offline.py [--size 2048] [--angles 1500] [--rows 128] [--rounds 3] [--folder DIR]
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from firstlight.connectors.hdf5.sink import Hdf5Sink
from firstlight.connectors.memory.source import MemorySource
from firstlight.connectors.phantom.source import PhantomSource
from firstlight.core import registry
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.job import Job, RunnerSettings, SinkSpec
from firstlight.core.pipeline import Reference
from firstlight.core.sink import Sink
from firstlight.jobs.load import load_job
from firstlight.jobs.start import plan, start

HERE = Path(__file__).resolve().parent
LIMIT = 1.25
STRIPES = "remove_small_stripes"
CONTENDERS = {"firstlight": "", "gridrec": "algotom", "tomopy": "tomopy", "algotom": "algotom"}
FEWER = {"algotom": 4}
"""Rows of a peer that takes seconds for each; it goes one round."""


class Discard(Sink):
    """Takes blocks and forgets them."""

    use = "discard"

    def open(self, scan: Scan, record: dict[str, Any]) -> None:
        """Nothing to do."""

    def write(self, chunk: Chunk) -> None:
        """Forget it."""

    def close(self, record: dict[str, Any], *, complete: bool) -> None:
        """Nothing to do."""


class Contender:
    """A process that goes the whole way once for every line it is sent."""

    def __init__(self, name: str, options: argparse.Namespace, scan: Path, stripes: str) -> None:
        """Start it and wait until it is warm; `absent` is the reason if it can not run."""
        self.name, self.absent, self.rows = name, "", min(FEWER.get(name, options.rows), options.rows)
        self.seconds: list[float] = []
        home = CONTENDERS[name]
        python = str(options.peers.resolve() / home / "bin" / "python") if home else sys.executable
        self.process: subprocess.Popen[str] | None = None
        if not Path(python).exists():
            self.absent = f"no environment {home!r} under PEERS"
            return
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(names, "1"), "PEERS": str(options.peers.resolve())}
        self.result = scan.with_name(f"{name}.h5")
        command = [python, str(HERE / "peers" / "offline_worker.py"), name, str(scan), str(self.rows), stripes]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([*command, str(self.result)], env=environment, text=True, **pipes)
        self.absent = self._answer().get("absent", "")

    def _answer(self) -> dict[str, Any]:
        stream = self.process.stdout if self.process else None
        for line in stream or ():
            if line.startswith("{"):
                return json.loads(line)
        return {"absent": "the process ended"}

    def run(self) -> None:
        """Go the whole way once."""
        if self.process is None or self.process.stdin is None or self.absent:
            return
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = self._answer()
        self.absent = answer.get("absent", "")
        if "seconds" in answer:
            self.seconds.append(answer["seconds"])
            self.result.unlink(missing_ok=True)

    def close(self) -> None:
        """End the process."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
            self.process.wait(30)


def write_scan(path: Path, options: argparse.Namespace) -> None:
    """A Data Exchange file of the phantom, counts as a detector gives them."""
    rows = min(options.rows, 16)
    source = PhantomSource(columns=options.size, rows=rows, angles=options.angles, noise=True)
    source.open()
    with h5py.File(path, "w") as file:
        group = file.create_group("exchange")
        shape = (options.angles, options.rows, options.size)
        data = group.create_dataset("data", shape, np.uint16)
        repeats = -(-options.rows // rows)
        for first in range(0, options.angles, 50):
            part = source.read({"angle": slice(first, first + 50)})
            data[first : first + 50] = np.tile(part, (1, repeats, 1))[:, : options.rows]
        for name, stream in (("data_dark", "dark"), ("data_white", "flat")):
            group[name] = np.tile(source.read({}, stream), (1, repeats, 1))[:, : options.rows]
        group["theta"] = np.arange(options.angles) * 180.0 / options.angles


def give_back_pages(path: Path) -> None:
    """Let the next reader read from the disk."""
    os.sync()
    handle = os.open(path, os.O_RDONLY)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


def steps(stripes: str) -> list[dict[str, Any]]:
    """The chain of our own job."""
    between = [{"use": stripes}] if stripes else []
    return [{"use": "flat_field"}, {"use": "minus_log"}, *between, {"use": "fbp", "filter": "shepp-logan"}]


def timed(work: Callable[[], Any]) -> float:
    """Seconds."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


class Alone:
    """Reading, computing and writing by themselves, with the same source, runner and sink."""

    def __init__(self, scan: Path, options: argparse.Namespace, stripes: str) -> None:
        """Read the scan into memory, and warm the steps."""
        self._scan, self._options = scan, options
        self._made = load_job({"source": {"use": "dxfile", "path": str(scan)}, "steps": steps(stripes)})
        with h5py.File(scan) as file:
            exchange = file["exchange"]
            self._held = MemorySource.of(
                exchange["data"][()],
                "angle row col",
                dark=exchange["data_dark"][()],
                flat=exchange["data_white"][()],
                coords={"angle": exchange["theta"][()]},
            )
        self.seconds: dict[str, list[float]] = {"read": [], "compute": [], "write": []}
        self._compute()

    def run(self) -> None:
        """Each once."""
        give_back_pages(self._scan)
        self.seconds["read"].append(timed(self._read))
        self.seconds["compute"].append(timed(self._compute))
        written = self._scan.with_name("write.h5")
        self.seconds["write"].append(timed(lambda: writing(written, self._options)))
        written.unlink()

    def _read(self) -> None:
        source = self._made.source
        source.open()
        for _ in source.items():
            pass
        source.close()

    def _compute(self) -> None:
        sinks = (SinkSpec(Discard(), Reference("fbp")),)
        start(Job(self._held, self._made.pipeline, sinks, runner=RunnerSettings(threads=2))).finished(3600)


def writing(path: Path, options: argparse.Namespace) -> None:
    """Write as many slices as a run gives, in the blocks that it gives."""
    size = options.size
    plain = load_job({"source": {"use": "phantom", "columns": size, "rows": options.rows}, "steps": steps("")})
    scan = plan(Job(plain.source, plain.pipeline, collect=True))["fbp"].outputs["data"]
    sink = Hdf5Sink(path=path)
    sink.open(scan, {})
    block = np.ones((8, size, size), np.float32)
    for first in range(0, options.rows, 8):
        ids = np.arange(first, min(first + 8, options.rows))
        sink.write(Chunk(block[: len(ids)], ("y", "x"), ids))
    sink.close({}, complete=True)


def report(contenders: list[Contender], single: Alone, options: argparse.Namespace) -> dict[str, Any]:
    """Medians, ratios and the bound; the wall time is compared by the least of each, which the neighbours spoil least."""
    parts = {name: min(values) for name, values in single.seconds.items()}
    rows: dict[str, Any] = {}
    for one in contenders:
        if one.absent or not one.seconds:
            rows[one.name] = {"absent": one.absent}
            continue
        middle = statistics.median(one.seconds)
        rows[one.name] = {
            "rows": one.rows,
            "seconds": round(middle, 2),
            "least": round(min(one.seconds), 2),
            "per_row": round(middle / one.rows, 4),
        }
    ours = rows["firstlight"]
    slowest = max(parts, key=lambda name: parts[name])
    return {
        "contenders": rows,
        "ratios": {
            f"{name}_over_firstlight": round(row["per_row"] / ours["per_row"], 2)
            for name, row in rows.items()
            if name != "firstlight" and "per_row" in row and "per_row" in ours
        },
        "alone": {name: round(value, 2) for name, value in parts.items()},
        "bound": slowest,
        "wall_over_slowest": round(ours["least"] / parts[slowest], 3) if "least" in ours else None,
        "limit": LIMIT,
        "size": options.size,
        "angles": options.angles,
        "rows": options.rows,
    }


def main() -> int:
    """Run all contenders in turn and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--angles", type=int, default=1500)
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--folder", type=Path, default=None, help="on the disk that is to be measured")
    parser.add_argument("--peers", type=Path, default=Path(os.environ.get("PEERS", ".peers")))
    parser.add_argument("--output", type=Path, default=HERE / "results" / "offline.json")
    options = parser.parse_args()
    stripes = STRIPES if STRIPES in registry.names("operators") else ""
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        scan = Path(folder) / "scan.h5"
        write_scan(scan, options)
        contenders = [Contender(name, options, scan, stripes) for name in options.only]
        for one in contenders:
            if one.absent:
                print(f"{one.name} is absent: {one.absent}", file=sys.stderr)
        single = Alone(scan, options, stripes)
        for turn in range(options.rounds):
            for one in contenders:
                if one.name not in FEWER or turn == 0:
                    give_back_pages(scan)
                    one.run()
            single.run()
        for one in contenders:
            one.close()
        result = {"stripes": stripes or "not registered", **report(contenders, single, options)}
    text = json.dumps(result, indent=2)
    print(text)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text + "\n")
    return int((result["wall_over_slowest"] or 0) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
