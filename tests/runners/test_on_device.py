"""Devices at run time: what a job asks for, and whole runs in numba's simulator, which is chosen at import: in a process apart."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from firstlight.core.devices import DeviceChoice
from firstlight.core.errors import FirstlightError, JobError
from firstlight.core.job import parse_job
from firstlight.jobs.start import start
from firstlight.kernels.cuda import arrays

JOB = {
    "source": {"use": "phantom", "columns": 8, "rows": 2, "angles": 4},
    "steps": [{"use": "minus_log"}],
    "views": [{"of": "minus_log"}],
}


def in_the_simulator(chosen, seconds):
    command = [sys.executable, "-m", "pytest", str(Path(__file__).parent / "simulated_device.py"), "-q", "-m", chosen]
    answer = subprocess.run(
        [*command, "-p", "no:cacheprovider", "--timeout", str(seconds)],
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert "passed" in answer.stdout, answer.stdout[-3000:] + answer.stderr[-2000:]
    assert answer.returncode == 0, answer.stdout[-5000:]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_whole_runs_in_the_simulator():
    in_the_simulator("not slow", 220)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_chains_with_halos_in_the_simulator():
    in_the_simulator("slow", 590)


@pytest.mark.parametrize(
    ("text", "kind", "numbers"),
    [
        ("auto", "auto", ()),
        ("cpu", "cpu", ()),
        ("cuda", "cuda", ()),
        ("cuda:1", "cuda", (1,)),
        ("cuda:2, 0", "cuda", (2, 0)),
    ],
)
def test_devices_are_named(text, kind, numbers):
    assert DeviceChoice.parse(text) == DeviceChoice(kind, numbers)


@pytest.mark.parametrize("text", ["", "gpu", "cpu:0", "auto:1", "cuda:", "cuda:0,0", "cuda:-1", "cuda:1.5", "cuda:0;1"])
def test_what_is_no_device_is_refused(text):
    with pytest.raises(FirstlightError, match="Expected auto, cpu, cuda"):
        DeviceChoice.parse(text)
    with pytest.raises(JobError, match=r"runner: The device is not understood\. \(device"):
        parse_job({**JOB, "runner": {"device": text}})


def test_without_a_device_the_error_names_the_next_move():
    if arrays.present():
        pytest.skip("there is a CUDA device")
    with pytest.raises(JobError, match=r"runner.device = 'cuda:1': no CUDA device .* 'firstlight doctor'"):
        start(parse_job({**JOB, "runner": {"device": "cuda:1"}}))
