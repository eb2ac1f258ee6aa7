"""A run that was stopped in order, as by Ctrl-C, goes on where it was; so does the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from .resuming import finish, job, killed_after, read, stopped_after_some_blocks, volume

pytestmark = pytest.mark.timeout(240)


HALTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "memory": ({}, {"regroup": "memory"}),
    "bands": ({}, {"regroup": "bands"}),
    "disk": ({}, {"regroup": "disk"}),
    "packed": ({"compression": "gzip"}, {}),
    "packed-swmr": ({"compression": "gzip", "swmr": True}, {}),
    "zarr": ({"use": "zarr", "path": "rec.zarr", "chunks": (8, 32, 32)}, {}),
}


@pytest.mark.parametrize(
    "way", [pytest.param(n, marks=pytest.mark.slow) if n in ("memory", "disk", "packed-swmr") else n for n in HALTED]
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


@pytest.mark.slow
def test_ctrl_c_leaves_what_resume_goes_on_with(tmp_path: Path) -> None:
    values = job(tmp_path / "rec.h5")
    values["source"] |= {"rate": 15.0}  # eight seconds of reading
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


@pytest.mark.slow
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
