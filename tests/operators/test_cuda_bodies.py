"""Bodies for CUDA devices agree with the CPU's, in numba's simulator: a process of its own, because that is chosen at import."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SCRIPT = """
    import sys
    import numpy as np
    from firstlight.kernels.cuda.arrays import is_on_device, on_device, present, to_host
    from firstlight.kernels.cuda.convolve import CudaRamp
    from firstlight.kernels.cuda.iterate import dots
    from firstlight.kernels.cuda.project import CudaProjector
    from firstlight.kernels.ramp import RampFilter
    from firstlight.operators.reconstruct.backproject import backproject
    from firstlight.operators.reconstruct.cgls import cgls
    from firstlight.operators.reconstruct.sirt import sirt

    assert present()
    rng = np.random.default_rng(0)
    theta = np.array([0.0, 45.0, 101.0, 170.0])
    sinograms = rng.random((5, 4, 7)).astype(np.float32)
    sinograms[1, 2, 3] = np.nan
    centers = (3.2, 2.6, 3.2, 3.0, 3.1)
    np.save(sys.argv[1] + "/inside.npy", rng.random((7, 7)) > 0.3)
    np.save(sys.argv[1] + "/earlier.npy", rng.random((5, 7, 7)))
    known = {"mask": sys.argv[1] + "/inside.npy", "initial": sys.argv[1] + "/earlier.npy"}
    for step in (
        backproject(center=centers, filter="hann", pixel=2.0, padding="edge"),
        backproject(center=3.1, filter="none", size=6, circle=False),
        sirt(center=centers, iterations=1, nonnegative=True, relaxation=1.3),
        sirt(iterations=2, stop=0.45, circle=False, start="fbp"),
        cgls(iterations=2, damping=0.3, pixel=2.0),
        sirt(iterations=1, pixel=2.0, **known),
        cgls(iterations=1, circle=False, **known),
    ):
        cpu = step.run(sinograms, angle=theta, row=np.arange(5))
        given = on_device(sinograms)
        gpu = step.run(given, device="cuda", angle=theta, row=np.arange(5))
        for wanted, found in zip(*((each if isinstance(each, tuple) else (each,)) for each in (cpu, gpu))):
            found = to_host(found) if is_on_device(found) else found
            assert found.shape == wanted.shape and found.dtype == np.float32
            np.testing.assert_allclose(found, wanted, atol=1e-5 * np.nanmax(np.abs(wanted)), err_msg=step.use)
        np.testing.assert_array_equal(to_host(given), sinograms)
    for centers in ([3.2, 2.6], [3.2, 3.2]):
        projector = CudaProjector(theta, 7, 6, centers)
        images, lines = (on_device(rng.standard_normal(s).astype(np.float32)) for s in ((2, 6, 6), (2, 4, 7)))
        one, other = dots(projector.project(images), lines), dots(images, projector.backproject(lines))
        np.testing.assert_allclose(one, other, atol=2e-5 * np.sqrt(dots(images, images) * dots(lines, lines)).max())
    long = rng.random((1, 70)).astype(np.float32)  # more than one tile
    for given in ({"cutoff": 0.8, "padding": "edge"}, {"padding": "edge", "beside": (3, 66)}, {"beside": (70, 0)}):
        found = to_host(CudaRamp(70, **given)(on_device(long)))
        np.testing.assert_allclose(found, RampFilter(70, **given)(long), atol=1e-6)
    print("agreed")
"""


def simulated(*command):
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    return subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, timeout=110, check=False
    )


@pytest.mark.slow
def test_bodies_agree_with_the_cpu_in_the_simulator(tmp_path):
    answer = simulated("-W", "error", "-c", textwrap.dedent(SCRIPT), str(tmp_path))
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
