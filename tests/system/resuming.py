"""Jobs that are killed or stopped half-way, in a process of their own or here, and what they leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import pytest

from firstlight.jobs.load import load_job
from firstlight.jobs.start import start


def job(out: Path, **runner: Any) -> dict[str, Any]:
    return {
        "name": "again",
        "source": {
            "use": "phantom",
            "columns": 96,
            "rows": 40,
            "angles": 120,
            "sets": 2,
            "drift": 0.1,
            "chunk": 60_000,
        },
        "steps": [
            {"use": "flat_field"},
            {"use": "minus_log"},
            {"use": "find_center"},
            {"use": "fbp", "inputs": ["minus_log"], "center": {"from": "find_center"}},
        ],
        "sinks": [{"use": "hdf5", "of": "fbp", "path": str(out)}],
        "runner": {"use": "local", "threads": 2, "memory": 1, **runner},
    }


RUN = """
import json, os, sys, time
from importlib import import_module
module, owner, name, most = sys.argv[2:]
kind = getattr(import_module(module), owner)
plain, done = getattr(kind, name), []
def told(self, *given):
    plain(self, *given)
    done.append(name)
    os.write(1, b"done" + bytes([10]))
    if len(done) >= int(most):
        time.sleep(600)  # it must not be over before it is killed
setattr(kind, name, told)
from firstlight.jobs.load import load_job
from firstlight.jobs.start import start
start(load_job(json.loads(sys.argv[1]))).finished(120)
"""
WRITING = ("firstlight.connectors.hdf5.sink", "Hdf5Sink", "write")
PLACING = ("firstlight.runners.placed", "PlacedLog", "add")


def killed_after(values: Mapping[str, Any], blocks: int, doing: tuple[str, str, str] = WRITING) -> None:
    """Run a job in a process of its own and kill it when so many blocks are written (or placed in the scratch file)."""
    command = [sys.executable, "-c", RUN, json.dumps(values), *doing, str(blocks)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        if process.stdout is None:
            raise RuntimeError("no output")
        for _ in range(blocks):
            assert process.stdout.readline().strip() == "done"
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL


def stopped_after_some_blocks(values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a job here, and stop it when its sink has written three blocks: it ends without doing the others."""
    sink = type(load_job(values).sinks[0].sink)
    plain, blocks, go_on = sink.write, [], threading.Event()

    def slowly(self: Any, chunk: Any) -> None:
        plain(self, chunk)
        blocks.append(chunk)
        if len(blocks) == 3:
            go_on.wait(60)

    with monkeypatch.context() as patched:
        patched.setattr(sink, "write", slowly)
        run = start(load_job(values))
        while len(blocks) < 3:
            time.sleep(0.01)
        run.stop()
        go_on.set()
        run.finished(60)
    assert run.status().state == "stopped"
    assert len(blocks) < 40
    assert run.counts.conserved
    assert run.status().consumers["sink fbp.data"].waiting > 0


def finish(values: dict[str, Any]) -> Any:
    run = start(load_job(values))
    run.finished(120)
    return run


def volume(path: Path) -> tuple[Any, Any, bool]:
    with h5py.File(path) as file:
        data = file["entry/data/data"]
        return data[()], file["entry/data/covered"][()], bool(file["entry"].attrs["complete"])


def read(path: Path) -> dict[str, bytes]:
    """Every byte of pixels that a result holds; what tells of the run is left out."""
    if path.is_file():
        import tifffile

        return {"volume": tifffile.imread(path).tobytes()}
    found = [file for file in sorted(path.rglob("*")) if file.is_file() and file.suffix != ".json"]
    files = [file for file in found if "received" not in file.relative_to(path).parts]
    assert len(files) >= 40
    return {str(file.relative_to(path)): file.read_bytes() for file in files}
