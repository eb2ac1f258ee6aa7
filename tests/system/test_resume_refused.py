"""What a run must not go on with: another job, another scan, a torn file, a run that still goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from firstlight.core.errors import JobError
from firstlight.jobs.load import load_job
from firstlight.jobs.start import start

from .resuming import RUN, WRITING, finish, job, killed_after, volume

pytestmark = pytest.mark.timeout(240)


def test_a_run_that_still_goes_on_is_not_resumed_nor_overwritten(tmp_path: Path) -> None:
    values = job(tmp_path / "rec.h5")
    command = [sys.executable, "-c", RUN, json.dumps(values), *WRITING, "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        if process.stdout is None:
            raise RuntimeError("no output")
        assert process.stdout.readline().strip() == "done"
        process.send_signal(signal.SIGSTOP)
        values["runner"]["resume"] = True
        with pytest.raises(JobError, match="still going on"):
            start(load_job(values))
        over = {**values, "runner": {"use": "local"}, "sinks": [{**values["sinks"][0], "overwrite": True}]}
        with pytest.raises(JobError, match="still going on"):
            start(load_job(over))
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    finish(values)
    assert volume(tmp_path / "rec.h5")[2]


def test_a_packed_file_that_was_killed_is_refused_with_the_reason(tmp_path: Path) -> None:
    values = job(tmp_path / "rec.h5")
    values["sinks"][0]["compression"] = "gzip"
    killed_after(values, blocks=3)
    values["runner"]["resume"] = True
    with pytest.raises(JobError, match="may be torn") as caught:
        start(load_job(values))
    assert "overwrite" in str(caught.value)


def test_another_job_is_refused_and_the_difference_named(tmp_path: Path) -> None:
    out = tmp_path / "killed.h5"
    killed_after(job(out), blocks=3)
    other = job(out, resume=True)
    other["steps"][3]["filter"] = "hann"
    other["source"]["counts"] = 1000
    with pytest.raises(Exception, match="filter") as caught:
        start(load_job(other))
    assert "counts" in str(caught.value)
    assert "belongs to another run" in str(caught.value)
    before = volume(out)[1].sum()
    assert before >= 3
    assert (tmp_path / "killed.h5.resume").is_dir()


def test_there_may_be_nothing_to_resume(tmp_path: Path) -> None:
    finish(job(tmp_path / "done.h5"))
    with pytest.raises(Exception, match="nothing to go on with"):
        start(load_job(job(tmp_path / "done.h5", resume=True)))
    other = job(tmp_path / "other.h5", resume=True)
    other["sinks"][0]["use"] = "nxtomo"
    with pytest.raises(Exception, match="Use hdf5, raw, tiff or zarr"):
        start(load_job(other))


def test_time_passes_between_kill_and_resume_and_a_changed_source_is_noticed(tmp_path: Path) -> None:
    source = tmp_path / "scan.h5"
    with h5py.File(source, "w") as file:
        file["data"] = np.random.default_rng(1).integers(100, 2000, (60, 24, 32), dtype=np.uint16)
        file["angles"] = np.arange(60) * 3.0
    values = job(tmp_path / "out.h5")
    values["source"] = {
        "use": "hdf5",
        "path": str(source),
        "dataset": "data",
        "axes": "angle row col",
        "angles": "angles",
    }
    values["steps"] = [{"use": "minus_log"}, {"use": "fbp"}]
    killed_after(values, blocks=4)
    time.sleep(0.01)
    with h5py.File(source, "r+") as file:
        file["data"][0] = 7
    os.utime(source)
    values["runner"]["resume"] = True
    with pytest.raises(JobError, match=r"scan\.h5' was changed since"):
        start(load_job(values))
