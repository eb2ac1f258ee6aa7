"""Ranges of steps as a profiler sees them: a library that listens in the place of Nsight Systems."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

JOB = """
import firstlight.core.job as job, firstlight.runners.local as local
steps = [{"use": "crop", "name": "cut", "rows": [0, 16]}, {"use": "mean", "name": "average"}]
asked = job.parse_job({"source": {"use": "phantom_ptychography", "window": 32, "scan_y": 3, "scan_x": 3}, "steps": steps})
local.LocalRunner().start(asked).finished(60)
"""


def run(tmp_path, **variables):
    heard = tmp_path / "heard"
    env = {**os.environ, "NVTX_HEARD": str(heard), **variables}
    done = subprocess.run([sys.executable, "-c", JOB], env=env, capture_output=True, text=True, timeout=120)
    return done, Counter(heard.read_text().splitlines()) if heard.exists() else Counter()


@pytest.mark.slow
def test_a_profiler_hears_of_each_step(tmp_path):
    pytest.importorskip("nvtx", reason="the extra 'nvtx' is not installed")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    library = tmp_path / "listener.so"
    source = Path(__file__).parent / "nvtx_listener.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    done, heard = run(tmp_path, NVTX_INJECTION64_PATH=str(library))
    assert done.returncode == 0, done.stderr
    assert {name for name in heard if name.startswith("firstlight: ")} >= {"firstlight: cut", "firstlight: average"}
    (tmp_path / "off").mkdir()
    assert run(tmp_path / "off", NVTX_INJECTION64_PATH=str(library), FIRSTLIGHT_NVTX="0")[1] == {}
