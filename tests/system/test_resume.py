"""A run that is killed, or whose disk is full, goes on where it stopped: the result is the same to the last bit."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from firstlight.core.errors import StepFailed
from firstlight.jobs.load import load_job
from firstlight.jobs.start import start

from .resuming import PLACING, finish, job, killed_after, read, volume

pytestmark = pytest.mark.timeout(240)


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
