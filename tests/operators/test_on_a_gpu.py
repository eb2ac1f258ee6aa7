"""Bodies for CUDA on a real device: what the simulator and the compiler can not show. Skipped without one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from firstlight.connectors.phantom.source import PhantomSource
from firstlight.core.job import Job, RunnerSettings
from firstlight.core.pipeline import pipeline
from firstlight.jobs.start import start

pytestmark = [pytest.mark.gpu, pytest.mark.slow]


@pytest.mark.timeout(900)
def test_bodies_agree_with_the_cpu():
    program = Path(__file__).with_name("simulated_bodies.py")
    answer = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=890,
    )
    assert answer.returncode == 0, answer.stderr[-5000:]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("last", ["backproject", "fbp", "sirt", "cgls"])
def test_a_run_agrees_with_the_processor(last):
    source = PhantomSource(columns=192, rows=40, angles=120, noise=False)
    own = {"iterations": 5} if last in ("sirt", "cgls") else {}
    steps = [{"use": "flat_field"}, {"use": "minus_log"}, {"use": "remove_small_stripes"}, {"use": last, **own}]
    found, wanted = (
        start(Job(source, pipeline(steps), collect=True, runner=RunnerSettings(device=device))).finished(400)
        for device in ("cuda", "cpu")
    )
    for name, result in wanted.items():
        near = 2e-3 * np.nanmax(np.abs(result.data))  # stripes are sorted by values that differ in their last bit
        np.testing.assert_allclose(found[name].data, result.data, atol=near, err_msg=name)
