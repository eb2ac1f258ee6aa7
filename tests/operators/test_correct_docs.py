"""The jobs of the how-to pages on correction and on stripes run."""

import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from firstlight.jobs.load import load_job
from firstlight.jobs.start import start

DOCS = Path(__file__).parents[2] / "docs" / "how-to"


def jobs(page):
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)]


@pytest.mark.parametrize(
    ("page", "number"),
    [
        ("remove-stripes-and-rings.md", 0),
        ("correct-what-the-detector-saw.md", 0),
        ("correct-what-the-detector-saw.md", 1),
        ("correct-what-the-detector-saw.md", 2),
    ],
)
def test_the_jobs_run(page, number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = jobs(page)[number]
    start(load_job(job)).finished(60)
    with h5py.File(tmp_path / job["sinks"][0]["path"]) as file:
        found = []
        file.visititems(lambda name, item: found.append(item[()]) if getattr(item, "ndim", 0) == 3 else None)
    assert np.isfinite(found[0]).all()
    assert np.ptp(found[0]) > 0


def test_the_distortion_of_a_recorded_grid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row, column = np.mgrid[:72, :84]
    away = np.hypot((row + 6) % 12 - 6 + 0.2, (column + 6) % 12 - 6 - 0.3)
    frame = (1000 - 600 * np.clip(4.0 - away, 0, 1)).astype(np.uint16)
    with h5py.File("grid.h5", "w") as file:
        file["images"] = np.stack([frame, frame])
    job = jobs("correct-what-the-detector-saw.md")[3]
    start(load_job(job)).finished(60)
    with h5py.File("lens.nxs") as file:
        coefficients = file["entry/data"][file["entry/data"].attrs["signal"]][()]
    straight = [sum(k * r**n for n, k in enumerate(coefficients)) - 1 for r in (10.0, 35.0)]
    assert np.abs(straight).max() < 0.01
