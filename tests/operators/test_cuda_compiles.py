"""Kernels of the bodies for CUDA compile for a real device, with NVIDIA's compiler and without a device."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest


def compiler() -> str | None:
    """The folder of the compiler of kernels (libNVVM), from the package that brings it or as the user says."""
    found = find_spec("nvidia")
    folders = (
        [Path(place) / "cuda_nvcc" for place in (found.submodule_search_locations or ()) if found] if found else []
    )
    told = os.environ.get("CUDA_HOME")
    places = [*folders, *([Path(told)] if told else [])]
    return next((str(each) for each in places if (each / "nvvm").is_dir()), None)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_kernel_compiles_for_a_real_device():
    home = compiler()
    if home is None:
        pytest.skip("libNVVM is not installed (the package nvidia-cuda-nvcc-cu12 brings it)")
    answer = subprocess.run(
        [sys.executable, "-W", "error", str(Path(__file__).with_name("compiled_bodies.py"))],
        env={**os.environ, "CUDA_HOME": home, "NUMBA_ENABLE_CUDASIM": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=590,
    )
    assert answer.returncode == 0, answer.stderr[-5000:]
    assert answer.stdout.startswith("compiled "), answer.stdout
    assert int(answer.stdout.split()[1]) > 50
