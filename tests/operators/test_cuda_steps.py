"""Bodies of steps for CUDA agree with the CPU's, in numba's simulator: a process of its own, because that is chosen at import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("simulated_bodies.py")
CONTRACTS = Path(__file__).parents[1] / "contracts" / "test_steps.py"
QUICK = ("correct", "frames", "fbp", "phase")
THOROUGH = ("outliers", "filters", "sorting", "dead", "many_blocks")
SIMULATED = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}


def run(*command: str, limit: float) -> str:
    answer = subprocess.run(
        [sys.executable, *command], env=SIMULATED, capture_output=True, text=True, timeout=limit, check=False
    )
    assert answer.returncode == 0, (answer.stdout + answer.stderr)[-4000:]
    return answer.stdout


@pytest.mark.slow
def test_bodies_agree_with_the_cpu_in_the_simulator():
    told = run("-W", "error", str(PROGRAM), *QUICK, limit=115)
    assert told.split() == [word for name in QUICK for word in (name, "agreed")]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", THOROUGH)
def test_bodies_that_take_the_simulator_long_agree_with_the_cpu(name: str):
    assert run("-W", "error", str(PROGRAM), name, limit=590).split() == [name, "agreed"]


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_every_body_keeps_the_contract_in_the_simulator():
    told = run(
        *("-m", "pytest", str(CONTRACTS), "-q", "-p", "no:cacheprovider", "--timeout", "3500"),
        *("-k", "test_every_body_agrees_with_the_cpu"),
        limit=3590,
    )
    assert " passed" in told, told[-4000:]
