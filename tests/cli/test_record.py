"""``firstlight record`` and ``firstlight sim … --replay`` as a user types them."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import h5py
import hdf5plugin  # noqa: F401
import numpy as np
import pytest

pytestmark = pytest.mark.timeout(120)
FRAMES = np.random.default_rng(0).poisson(3, (4, 5, 16, 16)).astype(np.uint16)


def command(*arguments):
    return [sys.executable, "-m", "firstlight.cli.main", *map(str, arguments)]


@contextlib.contextmanager
def simulated(*arguments):
    process = subprocess.Popen(command("sim", *arguments), stdout=subprocess.PIPE, text=True)
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=60)


def record(tmp_path, *arguments):
    environment = {**os.environ, "FIRSTLIGHT_STATE": str(tmp_path / "state"), "NO_COLOR": "1"}
    return subprocess.run(command("record", *arguments), env=environment, capture_output=True, text=True, timeout=100)


@pytest.mark.slow
def test_a_detector_a_recording_and_the_recording_again(tmp_path):
    np.save(tmp_path / "scan.npy", FRAMES)
    with simulated("dectris", tmp_path / "scan.npy", "--linger", "5") as told:
        done = record(tmp_path, "dectris", tmp_path / "scan.cbors", "--set", f"source.data={told['data']}")
    assert done.returncode == 0, done.stderr
    with simulated("dectris", "--replay", tmp_path / "scan.cbors", "--linger", "5") as told:
        sets = [f"source.data={told['data']}", "source.scan_y=4"]
        done = record(tmp_path, "dectris", tmp_path / "scan.h5", *(word for each in sets for word in ("--set", each)))
    assert done.returncode == 0, done.stderr
    assert f"result: {tmp_path / 'scan.h5'}" in done.stderr
    with h5py.File(tmp_path / "scan.h5") as file:
        np.testing.assert_array_equal(file["entry/data/data"][()], FRAMES)


def test_an_ending_that_nobody_knows_is_refused(tmp_path):
    done = record(tmp_path, "merlin", tmp_path / "scan.cbors")
    assert done.returncode == 2
    assert ".mib" in done.stderr


@pytest.mark.slow
def test_who_waits_is_told_for_what_and_nothing_is_called_a_result_that_is_not_there(tmp_path):
    environment = {**os.environ, "FIRSTLIGHT_STATE": str(tmp_path / "state"), "NO_COLOR": "1"}
    file = tmp_path / "scan.h5"
    words = command("record", "dectris", file, "--set", "source.data=tcp://127.0.0.1:9")
    process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.endswith("waits for a scan to begin\n"):
            process.send_signal(signal.SIGINT)
            break
    _, left = process.communicate(timeout=100)
    assert f"nothing came: {file} was not made" in left
    assert "result:" not in left
