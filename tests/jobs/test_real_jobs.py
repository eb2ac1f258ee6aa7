"""Real jobs in real run processes."""

import time

import numpy as np
import pytest

from firstlight.core.errors import JobError
from firstlight.jobs.crash import reap
from firstlight.jobs.picture import Wanted
from firstlight.jobs.store import Store
from firstlight.jobs.supervise import Supervisor, started

pytestmark = pytest.mark.timeout(170)
STEPS = [{"use": "flat_field"}, {"use": "minus_log"}, {"use": "live_slices", "name": "slices"}]


@pytest.fixture
def real(tmp_path):
    made = Supervisor(Store(tmp_path / "state"))
    yield made
    for entry in made.entries():
        made.run(entry.id).kill()
        while not made.run(entry.id).entry().over:
            time.sleep(0.01)
        reap(entry.id, 60)
    made.close()


def test_live_slices_are_watched_and_steered(real):
    source = {"use": "phantom", "columns": 64, "rows": 8, "angles": 6000, "rate": 60}
    run = real.start({"name": "live", "source": source, "steps": STEPS, "views": [{"of": "slices", "every": "0.1 s"}]})
    assert started(run, 60).state == "running", run.entry()
    names = [view.name for view in run.status().views]
    assert set(names) == {"slices.xy", "slices.xz", "slices.yz"}
    header, pixels = run.picture("slices.xy", Wanted(32, 32), timeout=60)
    assert pixels.shape == (32, 32)
    assert np.isfinite(pixels).any()
    _, frame = run.set({"slices": {"z": 1}})
    assert run.status().changes[-1].id == frame
    later, _ = run.picture("slices.xy", Wanted(32, 32), after=header["version"], timeout=60)
    assert later["version"] > header["version"]
    run.stop()
    run.finished(60)
    assert run.report()["expected"] == run.report()["done"] or run.report()["waiting"] >= 0
    assert run.steps()["slices"]["schema"]["properties"]["z"]


def test_a_job_from_the_network_stays_inside(real, tmp_path):
    job = {
        "source": {"use": "phantom", "columns": 16, "rows": 2, "angles": 8},
        "steps": [{"use": "flat_field"}, {"use": "minus_log"}],
        "sinks": [{"use": "hdf5", "of": "minus_log", "path": str(tmp_path / "outside" / "a.h5")}],
    }
    run = real.start(job, roots=[tmp_path / "inside"])
    with pytest.raises(JobError, match="outside the folders"):
        run.finished(60)
    assert not (tmp_path / "outside").exists()


def test_a_killed_run_leaves_a_file_that_opens(real, tmp_path):
    import h5py

    job = {
        "name": "killed",
        "source": {"use": "phantom", "columns": 64, "rows": 8, "angles": 6000, "rate": 50},
        "steps": [{"use": "flat_field"}, {"use": "minus_log"}],
        "sinks": [{"use": "hdf5", "of": "minus_log", "path": str(tmp_path / "killed.h5")}],
    }
    run = real.start(job)
    assert started(run, 60).state == "running"
    deadline = time.monotonic() + 90
    while run.status().counts.done < 60 and time.monotonic() < deadline:
        time.sleep(0.1)
    run.kill()
    while not run.entry().over:
        time.sleep(0.02)
    assert run.entry().state == "crashed"
    assert "killed.h5" in run.entry().error
    with h5py.File(tmp_path / "killed.h5") as file:
        assert list(file)
