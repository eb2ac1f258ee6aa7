"""The jobs of the how-tos on selections and sweeps do what the text says."""

import re
from pathlib import Path

import h5py
import pytest
import yaml

from firstlight.jobs.load import load_job, read_yaml
from firstlight.jobs.snapshots import write_snapshots
from firstlight.jobs.start import start

DOCS = Path(__file__).parents[2] / "docs" / "how-to"


def run(page):
    """Run the only job on a page; its report."""
    (text,) = [t for t in re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text(), re.DOTALL) if "source:" in t]
    made = start(load_job(read_yaml(text)))
    made.finished(60)
    assert write_snapshots(made.snapshots, made.record) == []
    return made.report()


def test_preview_and_select(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = run("preview-and-select.md")
    assert (report["expected"], report["done"]) == (30, 30)
    assert report["statistics"]["fbp"]["values"] == 5 * 64 * 64
    assert (tmp_path / "sinogram.png").exists()
    with h5py.File(tmp_path / "preview.h5") as file:
        assert file["entry/data/z"][()].tolist() == [5, 6, 7, 8, 9]


def test_sweep_a_parameter(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = run("sweep-a-parameter.md")
    assert report["best"] == {"fbp.center": pytest.approx(33.0)}
    assert (tmp_path / "centers.png").exists()
    with h5py.File(tmp_path / "centers.h5") as file:
        assert file["entry/data/data"].shape == (1, 9, 64, 64)
        assert file["entry/data/fbp.center"][0] == 31.0


def test_ranges_are_no_numbers_to_the_base_60():
    assert yaml.safe_load("10:20") == 620
    assert read_yaml("{row: 10:20, center: 10:12:0.5, at: 2026-01-02, many: 5, half: 0.5}") | {"at": None} == {
        "row": "10:20",
        "center": "10:12:0.5",
        "at": None,
        "many": 5,
        "half": 0.5,
    }
