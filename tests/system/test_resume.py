"""A run that is killed, or whose disk is full, goes on where it stopped: the result is the same to the last bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from firstlight.jobs.load import load_job
from firstlight.jobs.start import start

pytestmark = pytest.mark.timeout(240)


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
import json, sys, time
import firstlight.connectors.hdf5.sink as sink
write = sink.Hdf5Sink.write
def slowly(self, chunk):
    write(self, chunk)
    print("written", flush=True)
    time.sleep(0.05)
sink.Hdf5Sink.write = slowly
from firstlight.jobs.load import load_job
from firstlight.jobs.start import start
start(load_job(json.loads(sys.argv[1]))).finished(120)
"""


def killed_after(values: Mapping[str, Any], blocks: int) -> None:
    """Run a job in a process of its own and kill it when so many blocks are written."""
    command = [sys.executable, "-c", RUN, json.dumps(values)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        if process.stdout is None:
            raise RuntimeError("no output")
        for _ in range(blocks):
            assert process.stdout.readline().strip() == "written"
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL


def volume(path: Path) -> tuple[Any, Any, bool]:
    with h5py.File(path) as file:
        data = file["entry/data/data"]
        return data[()], file["entry/data/covered"][()], bool(file["entry"].attrs["complete"])


def finish(values: dict[str, Any]) -> Any:
    run = start(load_job(values))
    run.finished(120)
    return run


@pytest.mark.parametrize("regroup", ["memory", "bands", "disk"])
def test_a_killed_run_goes_on_and_gives_the_same_bits(tmp_path: Path, regroup: str) -> None:
    finish(job(tmp_path / "whole.h5", regroup=regroup))
    out = tmp_path / "killed.h5"
    killed_after(job(out, regroup=regroup), blocks=7)
    assert (tmp_path / "killed.h5.resume").is_dir()
    data, covered, complete = volume(out)
    assert not complete
    assert 0 < covered.sum() < 40
    run = finish(job(out, regroup=regroup, resume=True))
    again = run.report()["stages"]["fbp"]["frames"]
    assert again <= 40 - 6  # the last block may have been written and not noted
    whole, resumed = volume(tmp_path / "whole.h5"), volume(out)
    assert np.array_equal(whole[0], resumed[0])
    assert resumed[1].all()
    assert resumed[2]
    assert run.counts.conserved
    assert run.status().consumers["sink fbp.data"].done == 40
    assert not (tmp_path / "killed.h5.resume").exists()


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
    packed = job(tmp_path / "packed.h5", resume=True)
    packed["sinks"][0]["compression"] = "gzip"
    with pytest.raises(Exception, match="compression"):
        start(load_job(packed))


def test_the_command_line_resumes_and_saves_all(tmp_path: Path) -> None:
    out = tmp_path / "rec.h5"
    values = job(out)
    killed_after(values, blocks=5)
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(values))
    command = [sys.executable, "-m", "firstlight.cli.main", "run", str(path)]
    environment = {**os.environ, "FIRSTLIGHT_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert volume(out)[2]
    again = subprocess.run([*command, "--resume"], capture_output=True, text=True, env=environment, timeout=120)
    assert again.returncode == 2
    assert "nothing to go on with" in again.stderr
    values["sinks"][0]["path"] = str(tmp_path / "all.h5")
    path.write_text(yaml.safe_dump(values))
    done = subprocess.run([*command, "--save-all"], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    names = {each.name for each in tmp_path.glob("all*.h5")}
    assert names == {
        "all.h5",
        "all_flat_field.h5",
        "all_minus_log.h5",
        "all_find_center_center.h5",
        "all_find_center_confidence.h5",
    }
    assert np.array_equal(volume(tmp_path / "all.h5")[0], volume(out)[0])
    assert volume(tmp_path / "all_minus_log.h5")[0].shape == (120, 40, 96)


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
    with pytest.raises(Exception, match="modified"):
        start(load_job(values))
