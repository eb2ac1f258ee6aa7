"""A run that is killed, or whose disk is full, goes on where it stopped: the result is the same to the last bit."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from firstlight.core.errors import JobError, StepFailed
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
import json, os, sys, time
from importlib import import_module
module, owner, name = sys.argv[2:]
kind = getattr(import_module(module), owner)
plain = getattr(kind, name)
def slowly(self, *given):
    plain(self, *given)
    os.write(1, b"done" + bytes([10]))
    time.sleep(0.05)
setattr(kind, name, slowly)
from firstlight.jobs.load import load_job
from firstlight.jobs.start import start
start(load_job(json.loads(sys.argv[1]))).finished(120)
"""
WRITING = ("firstlight.connectors.hdf5.sink", "Hdf5Sink", "write")
PLACING = ("firstlight.runners.placed", "PlacedLog", "add")


def test_a_run_that_still_goes_on_is_not_resumed_nor_overwritten(tmp_path: Path) -> None:
    values = job(tmp_path / "rec.h5")
    command = [sys.executable, "-c", RUN, json.dumps(values), *WRITING]
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


def killed_after(values: Mapping[str, Any], blocks: int, doing: tuple[str, str, str] = WRITING) -> None:
    """Run a job in a process of its own and kill it when so many blocks are written (or placed in the scratch file)."""
    command = [sys.executable, "-c", RUN, json.dumps(values), *doing]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        if process.stdout is None:
            raise RuntimeError("no output")
        for _ in range(blocks):
            assert process.stdout.readline().strip() == "done"
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


def test_a_file_that_readers_follow_goes_on_after_a_kill(tmp_path: Path) -> None:
    def into(name: str, **runner: Any) -> dict[str, Any]:
        values = job(tmp_path / name, **runner)
        return {**values, "sinks": [{**values["sinks"][0], "swmr": True}]}

    finish(into("whole.h5"))
    killed_after(into("killed.h5"), blocks=7)
    with pytest.raises(OSError, match="already open for"):
        h5py.File(tmp_path / "killed.h5", "r+")
    with h5py.File(tmp_path / "killed.h5", "r", swmr=True, libver="latest") as file:
        assert 0 < file["entry/data/covered"][()].sum() < 40
    run = finish(into("killed.h5", resume=True))
    assert run.report()["stages"]["fbp"]["frames"] <= 40 - 6
    whole, resumed = volume(tmp_path / "whole.h5"), volume(tmp_path / "killed.h5")
    assert np.array_equal(whole[0], resumed[0])
    assert resumed[1].all()
    assert resumed[2]


@pytest.mark.parametrize("regroup", ["memory", "bands", "disk"])
def test_a_killed_run_goes_on_and_gives_the_same_bits(tmp_path: Path, regroup: str) -> None:
    finish(job(tmp_path / "whole.h5", regroup=regroup))
    out = tmp_path / "killed.h5"
    killed_after(job(out, regroup=regroup), blocks=7)
    assert (tmp_path / "killed.h5.resume").is_dir()
    _, covered, complete = volume(out)
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


@pytest.mark.parametrize(
    ("sink", "doing"),
    [
        ({"use": "tiff", "path": "slices"}, ("firstlight.connectors.tiff.sink", "TiffSink", "write")),
        ({"use": "tiff", "path": "volume.tif"}, ("firstlight.connectors.tiff.sink", "TiffSink", "write")),
        ({"use": "zarr", "path": "volume.zarr"}, ("firstlight.connectors.zarr.sink", "ZarrSink", "write")),
    ],
    ids=["folder", "file", "zarr"],
)
def test_other_formats_go_on_too(tmp_path: Path, sink: dict[str, Any], doing: tuple[str, str, str]) -> None:
    def into(name: str, **runner: Any) -> dict[str, Any]:
        (tmp_path / name).mkdir(exist_ok=True)
        made = job(tmp_path / name, **runner)
        return {**made, "sinks": [{**sink, "of": "fbp", "path": str(tmp_path / name / sink["path"])}]}

    finish(into("whole"))
    killed_after(into("killed"), 7, doing)
    run = finish(into("killed", resume=True))
    assert run.report()["stages"]["fbp"]["frames"] <= 40 - 6
    assert run.status().consumers["sink fbp.data"].done == 40
    assert read(tmp_path / "whole" / sink["path"]) == read(tmp_path / "killed" / sink["path"])
    assert not list((tmp_path / "killed").glob("*.resume"))


HALTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "memory": ({}, {"regroup": "memory"}),
    "bands": ({}, {"regroup": "bands"}),
    "disk": ({}, {"regroup": "disk"}),
    "packed": ({"compression": "gzip"}, {}),
    "packed-swmr": ({"compression": "gzip", "swmr": True}, {}),
    "zarr": ({"use": "zarr", "path": "rec.zarr", "chunks": (8, 32, 32)}, {}),
}


@pytest.mark.parametrize(
    "way", [pytest.param(n, marks=pytest.mark.slow) if n in ("memory", "disk") else n for n in HALTED]
)
def test_a_run_that_was_stopped_in_order_goes_on_and_gives_the_same_bits(
    tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    more, runner = HALTED[way]

    def into(name: str, **again: Any) -> dict[str, Any]:
        (tmp_path / name).mkdir(exist_ok=True)
        values = job(tmp_path / name / "rec.h5", **runner, **again)
        sink = {**values["sinks"][0], **more}
        return {**values, "sinks": [{**sink, "path": str(tmp_path / name / more.get("path", "rec.h5"))}]}

    finish(into("whole"))
    stopped_after_some_blocks(into("halted"), monkeypatch)
    assert (tmp_path / "halted" / f"{more.get('path', 'rec.h5')}.resume").is_dir()
    run = finish(into("halted", resume=True))
    assert run.report()["stages"]["fbp"]["frames"] < 40
    assert run.status().state == "done"
    whole, resumed = (tmp_path / name / more.get("path", "rec.h5") for name in ("whole", "halted"))
    if way == "zarr":
        assert read(whole) == read(resumed)
    else:
        assert np.array_equal(volume(whole)[0], volume(resumed)[0])
        assert volume(resumed)[2]
    assert not list(tmp_path.glob("**/*.resume"))


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


def test_a_packed_file_that_was_killed_is_refused_with_the_reason(tmp_path: Path) -> None:
    values = job(tmp_path / "rec.h5")
    values["sinks"][0]["compression"] = "gzip"
    killed_after(values, blocks=3)
    values["runner"]["resume"] = True
    with pytest.raises(JobError, match="may be torn") as caught:
        start(load_job(values))
    assert "overwrite" in str(caught.value)


def read(path: Path) -> dict[str, bytes]:
    """Every byte of pixels that a result holds; what tells of the run is left out."""
    if path.is_file():
        import tifffile

        return {"volume": tifffile.imread(path).tobytes()}
    found = [file for file in sorted(path.rglob("*")) if file.is_file() and file.suffix != ".json"]
    files = [file for file in found if "received" not in file.relative_to(path).parts]
    assert len(files) >= 40
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def test_frames_that_lie_in_the_scratch_file_are_not_made_again(tmp_path: Path) -> None:
    def chain(name: str, **runner: Any) -> dict[str, Any]:
        values = job(tmp_path / name, regroup="disk", **runner)
        values["steps"] = [{"use": "flat_field"}, {"use": "minus_log"}, {"use": "fbp", "center": 47.0}]
        return values

    finish(chain("whole.h5"))
    killed_after(chain("killed.h5"), 9, PLACING)
    assert [each.name for each in (tmp_path / "killed.h5.resume").glob("*.scratch")] == ["minus_log.data.scratch"]
    run = finish(chain("killed.h5", resume=True))
    stages = run.report()["stages"]
    assert 0 < stages["flat_field + minus_log"]["frames"] <= 120 - 9 * (60_000 // (40 * 96 * 2)) + 7
    assert run.status().consumers["fbp"].done == 120
    assert np.array_equal(volume(tmp_path / "whole.h5")[0], volume(tmp_path / "killed.h5")[0])
    assert not list(tmp_path.glob("**/*.scratch"))


def test_a_full_scratch_disk_is_named_and_the_run_goes_on_when_there_is_room(tmp_path: Path) -> None:
    finish(job(tmp_path / "whole.h5", regroup="disk"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    run = start(load_job(job(tmp_path / "full.h5", regroup="memory")))
    run.finished(120)
    result = (tmp_path / "full.h5").stat().st_size
    (tmp_path / "full.h5").unlink()
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (result + 300_000, hard)
    )  # room for the result, not for what is regrouped
    try:
        with pytest.raises(StepFailed, match="scratch") as caught:
            finish(job(tmp_path / "full.h5", regroup="disk"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "--resume" in str(caught.value)
    assert "runner.scratch" in str(caught.value)
    finish(job(tmp_path / "full.h5", regroup="disk", resume=True))
    assert np.array_equal(volume(tmp_path / "whole.h5")[0], volume(tmp_path / "full.h5")[0])
    assert sorted(each.name for each in tmp_path.iterdir()) == ["full.h5", "whole.h5"]


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


@pytest.mark.slow
def test_ctrl_c_leaves_what_resume_goes_on_with(tmp_path: Path) -> None:
    values = job(tmp_path / "rec.h5")
    values["source"] |= {"rate": 40.0}  # three seconds of reading
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(values))
    environment = {**os.environ, "FIRSTLIGHT_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "firstlight.cli.main", "run", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        wait_for(tmp_path / "rec.h5.resume" / "sink-0.log")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "--resume goes on there" in said
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert volume(tmp_path / "rec.h5")[2]


def wait_for(path: Path) -> None:
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.1)
    raise TimeoutError(str(path))


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
    with pytest.raises(JobError, match=r"scan\.h5' was changed since"):
        start(load_job(values))
