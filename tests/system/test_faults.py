"""What goes wrong at three in the morning: lost frames, a detector that restarts, a service or a run that dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from firstlight.connectors.pva.sim import PvaSimulator
from firstlight.jobs.load import load_job
from firstlight.jobs.start import start
from firstlight.jobs.store import Store
from firstlight.jobs.supervise import Supervisor, started

from .conftest import live_steps, live_views

pytestmark = pytest.mark.timeout(120)

PHANTOM = {"columns": 96, "rows": 32, "angles": 180, "center": 45.0, "noise": False}


def live(source: dict[str, Any]) -> Any:
    """A live run in this process."""
    return start(load_job({"source": source, "steps": live_steps(), "views": live_views()}))


def planes(run: Any) -> dict[str, np.ndarray]:
    """The final planes of a run."""
    results = run.finished(90)
    return {name: results[f"slices.{name}"].data for name in ("xy", "xz", "yz")}


def test_one_percent_withheld_is_counted_exactly_and_leaves_no_artefact(beamline: Callable[..., Any]) -> None:
    whole = beamline(parameters=PHANTOM, rate=120)
    complete = planes(live({**whole.source, "frames": 180}))
    holed = beamline(parameters=PHANTOM, rate=120, lose=0.02, seed=3)
    run = live({**holed.source, "frames": 180})
    with_holes = planes(run)
    offered = holed.report()
    assert offered["withheld"] > 0
    counts = run.counts
    assert (counts.expected, counts.lost) == (180, 180 - offered["posted"])
    assert (counts.done, counts.dropped, counts.waiting, counts.rejected) == (offered["posted"], 0, 0, 0)
    for name, plane in complete.items():
        scale = np.abs(plane).max()
        assert np.abs(with_holes[name] - plane).mean() < 0.01 * scale
        assert np.abs(with_holes[name] - plane).max() < 0.2 * scale


def test_a_simulator_that_is_killed_and_restarted_is_a_new_epoch_and_the_run_goes_on(
    beamline: Callable[..., Any],
) -> None:
    first = beamline(parameters=PHANTOM, rate=60, loop=True, center=45.0)
    port = int(first.told["server"].rpartition(":")[2])
    run = live({**first.source, "idle": "12 s"})
    while run.counts.done < 40:
        time.sleep(0.05)
    first.process.kill()
    first.process.wait()
    before = run.counts.expected
    second = PvaSimulator(parameters=PHANTOM, rate=60, frames=50, port=port, linger=1.0).run()
    planes(run)
    counts = run.counts
    assert counts.conserved
    assert counts.waiting == 0
    assert counts.expected == counts.done + counts.lost
    assert counts.done >= before + second["posted"] - 1
    assert run.status().state == "done"
    assert {gap.epoch for gap in run._context.gaps} <= {0, 1}
    assert run._context.intake.next_place[0] == 1


def _volume_job(out: Path, source: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "night shift",
        "source": source,
        "steps": [{"use": "flat_field"}, {"use": "minus_log"}],
        "sinks": [{"use": "hdf5", "of": "minus_log", "path": str(out)}],
    }


def _signal_of(path: Path) -> tuple[dict[str, Any], h5py.Dataset, h5py.Group]:
    file = h5py.File(path)
    entry = file[file.attrs["default"]]
    data = entry[entry.attrs["default"]]
    return dict(entry.attrs), data[data.attrs["signal"]], entry


# a killed service is in test_service.py, too
@pytest.mark.parametrize(
    "how", [pytest.param(signal.SIGKILL, marks=pytest.mark.slow), signal.SIGTERM], ids=["killed", "ended"]
)
def test_the_service_dies_and_the_run_goes_on_with_a_whole_file(how: signal.Signals, tmp_path: Path) -> None:
    out, state = tmp_path / "out.nxs", tmp_path / "state"
    service = subprocess.Popen(
        [
            sys.executable,
            "-c",
            SERVICE,
            str(state),
            json.dumps(_volume_job(out, {"use": "phantom", **PHANTOM, "rate": 60})),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert service.stdout is not None
    run_id = service.stdout.readline().strip()
    service.send_signal(how)
    service.wait(60)
    service.stdout.close()
    supervisor = Supervisor(Store(state))
    run = supervisor.run(run_id)
    entry = run.entry()
    assert entry.state in ("starting", "running", "draining")
    assert entry.pid is not None
    os.kill(entry.pid, signal.SIGCONT)
    run.finished(60)
    assert run.counts.done == 180
    attributes, data, _ = _signal_of(out)
    assert attributes["complete"]
    assert data.shape == (180, 32, 96)
    supervisor.close()


SERVICE = """
import json, os, signal, sys, time
from pathlib import Path
from firstlight.faces.rest.serve import ServiceThread
from firstlight.faces.rest.settings import Settings
from firstlight.jobs.store import Store
from firstlight.jobs.supervise import Supervisor, started
supervisor = Supervisor(Store(Path(sys.argv[1])))
service = ServiceThread(Settings(port=0), supervisor)
run = supervisor.start(json.loads(sys.argv[2]))
os.kill(started(run, 60).pid, signal.SIGSTOP)  # so that it can not be over before the service is
print(run.id, flush=True)
time.sleep(60)
"""


def test_a_killed_run_is_reported_and_its_file_names_what_is_missing(tmp_path: Path) -> None:
    out = tmp_path / "out.nxs"
    supervisor = Supervisor(Store(tmp_path / "state"))
    run = supervisor.start(_volume_job(out, {"use": "phantom", **PHANTOM, "angles": 1000, "rate": 40}))
    assert started(run, 60).state == "running"
    while run.counts.done < 20:
        time.sleep(0.05)
    pid = run.entry().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while (entry := supervisor.entries()[0]).state != "crashed" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert entry.state == "crashed"
    assert "SIGKILL" in str(entry.error) or "9" in str(entry.error)
    attributes, data, group = _signal_of(out)
    assert not attributes["complete"]
    covered = group["data/covered"][()]
    assert 0 < covered.sum() < 1000
    assert np.isfinite(data[()][covered.astype(bool)]).all()
    record = json.loads(group["process/record"][()])
    assert record["complete"] is False
    assert record["job"]["name"] == "night shift"
    supervisor.close()
