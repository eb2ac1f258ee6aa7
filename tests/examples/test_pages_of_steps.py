"""Every job of these pages runs."""

import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from firstlight.jobs.load import load_job
from firstlight.jobs.start import start

FOLDER = Path(__file__).parents[2] / "docs" / "how-to"
PAGES = ("retrieve-the-phase", "find-the-rotation-axis", "finish-the-slices")
JOBS = [
    (page, job)
    for page in PAGES
    for block in re.findall(r"```yaml\n(.*?)```", (FOLDER / f"{page}.md").read_text(), re.DOTALL)
    if isinstance(job := yaml.safe_load(block), dict)
]


def test_the_pages_have_jobs():
    assert {page for page, _ in JOBS} == set(PAGES)


@pytest.mark.parametrize(("page", "job"), JOBS, ids=[f"{page} {n}" for n, (page, _) in enumerate(JOBS)])
def test_the_job_runs(page, job, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start(load_job(job)).finished(timeout=100)
    written = {sink["path"] for sink in job["sinks"]}
    assert {path.name for path in tmp_path.iterdir()} == written
    for name in written:
        with h5py.File(tmp_path / name) as file:
            entry = file[file.attrs["default"]]
            data = entry[entry.attrs["default"]]
            assert np.isfinite(data[data.attrs["signal"]][()]).any()
            assert entry.attrs["complete"]
