"""Bodies for CUDA devices agree with the CPU's, in numba's simulator: a process of its own, because that is chosen at import."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from firstlight.core.errors import FirstlightError
from firstlight.operators.reconstruct.sirt import sirt

SCRIPT = """
    import numpy as np
    from firstlight.kernels.cuda.project import CudaProjector, dots, on_device, present
    from firstlight.operators.reconstruct.backproject import backproject
    from firstlight.operators.reconstruct.cgls import cgls
    from firstlight.operators.reconstruct.sirt import sirt

    assert present()
    rng = np.random.default_rng(0)
    theta = np.array([0.0, 30.0, 45.0, 101.0, 170.0])
    sinograms = rng.random((2, 5, 9)).astype(np.float32)
    sinograms[1, 2, 3] = np.nan
    centers = (4.2, 3.6)
    for step in (
        backproject(center=centers, filter="hann", pixel=2.0),
        backproject(center=4.1, filter="none", size=7, circle=False),
        sirt(center=centers, iterations=2, nonnegative=True, relaxation=1.3),
        sirt(iterations=2, stop=0.45, circle=False, start="fbp"),
        cgls(center=centers, iterations=2, damping=0.3, pixel=2.0),
    ):
        cpu, gpu = (step.run(sinograms, device=device, angle=theta, row=np.arange(2)) for device in ("cpu", "cuda"))
        for wanted, found in zip(*((each if isinstance(each, tuple) else (each,)) for each in (cpu, gpu))):
            assert found.shape == wanted.shape and found.dtype == np.float32
            np.testing.assert_allclose(found, wanted, atol=1e-5 * np.nanmax(np.abs(wanted)), err_msg=step.use)
    projector = CudaProjector(theta, 9, 8, [4.2, 3.6])
    images, lines = (on_device(rng.standard_normal(shape)) for shape in ((2, 8, 8), (2, 5, 9)))
    one, other = dots(projector.project(images), lines), dots(images, projector.backproject(lines))
    np.testing.assert_allclose(one, other, atol=1e-5)
    print("agreed")
"""


def simulated(*command):
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    return subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, timeout=110, check=False
    )


def test_bodies_agree_with_the_cpu_in_the_simulator():
    answer = simulated("-W", "error", "-c", textwrap.dedent(SCRIPT))
    assert answer.stdout.strip() == "agreed", answer.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_bodies_keep_the_contract_in_the_simulator():
    tests = Path(__file__).parents[1] / "contracts" / "test_steps.py"
    chosen = "test_every_body_agrees_with_the_cpu and (sirt or cgls or backproject) and not volume"
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", str(tests), "-k", chosen, "-q", "-p", "no:cacheprovider", "--timeout", "500"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=590,
    )
    assert "3 passed" in answer.stdout, answer.stdout[-3000:]


def test_without_a_device_the_error_says_so():
    from firstlight.kernels.cuda.project import present

    if present():
        pytest.skip("there is a CUDA device")
    with pytest.raises(FirstlightError, match="no CUDA device"):
        sirt(iterations=1).run(np.zeros((1, 3, 8), np.float32), device="cuda", angle=np.arange(3.0))
