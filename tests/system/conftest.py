"""A simulated beamline in a process of its own, and the job that watches it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


class Beamline:
    """A PVA simulator that was started as a process."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        """Start it, and wait until its channels are served."""
        self.ready, self.report_path = folder / "ready.json", folder / "report.json"
        self.ready.unlink(missing_ok=True)
        given = {"ready": self.ready, "report": self.report_path, "linger": 1.0, **settings}
        command = [
            sys.executable,
            "-m",
            "firstlight.connectors.pva.sim",
            *(f"{n}={_yaml(v)}" for n, v in given.items()),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not self.ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("The simulator did not come up.")
            time.sleep(0.05)
        self.told: dict[str, Any] = json.loads(self.ready.read_text())

    @property
    def source(self) -> dict[str, Any]:
        """The source of a job that listens to it."""
        names = ("image", "dark", "flat", "theta", "server")
        # what is compiled the first time, beside the scan, may keep the receiver from its frames for a while
        return {"use": "pva", "idle": "3 s", "queue": 1024, **{name: self.told[name] for name in names}}

    def report(self) -> dict[str, Any]:
        """What it offered; waits for its end."""
        self.process.wait(60)
        return json.loads(self.report_path.read_text())

    def end(self) -> None:
        """Stop it if it still runs."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)


def _yaml(value: Any) -> str:
    return str(value) if isinstance(value, Path) else json.dumps(value)


@pytest.fixture
def beamline(tmp_path: Path) -> Iterator[Callable[..., Beamline]]:
    """Starts simulators; all have ended after the test."""
    pytest.importorskip("p4p", reason="the extra 'epics' is not installed")
    started: list[Beamline] = []

    def start(**settings: Any) -> Beamline:
        folder = tmp_path / f"beamline{len(started)}"
        folder.mkdir()
        started.append(Beamline(folder, settings))
        return started[-1]

    yield start
    for each in started:
        each.end()


def live_steps() -> list[dict[str, Any]]:
    """Correction, centre, three planes and the newest projection."""
    return [
        {"use": "flat_field"},
        {"use": "minus_log"},
        {"use": "find_center", "emit": "1 s"},
        {"use": "live_slices", "name": "slices", "inputs": ["minus_log"], "center": {"from": "find_center"}},
        {"use": "latest", "name": "projection", "inputs": ["minus_log"]},
    ]


def live_views() -> list[dict[str, Any]]:
    """What the run page shows."""
    return [{"of": "slices", "every": "0.1 s"}, {"of": "projection", "every": "0.1 s"}]
