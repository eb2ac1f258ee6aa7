"""`firstlight reconstruct`: assumptions are printed, and what can not be inferred ends with 2 and the option to give."""

import json

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from firstlight.cli.main import app


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_STATE", str(tmp_path / "state"))


def sinogram(count=90, columns=64, center=30.0):
    """Attenuation of two disks over a whole turn."""
    angles, s = np.arange(count) * 2 * np.pi / count, np.arange(columns) - center
    values = np.zeros((count, columns))
    for x, y, radius, weight in ((8, 3, 6, 0.06), (-9, 6, 4, 0.1)):
        at = x * np.cos(angles) + y * np.sin(angles)
        values += 2 * weight * np.sqrt(np.clip(radius**2 - (s - at[:, None]) ** 2, 0, None))
    return (values + np.random.default_rng(0).normal(0, 0.003, values.shape)).astype(np.float32)


def test_assumptions_are_printed_and_the_ending_chooses_the_format(tmp_path, state):
    tifffile.imwrite(tmp_path / "sino.tif", sinogram())
    done = CliRunner().invoke(app, ["reconstruct", str(tmp_path / "sino.tif"), "-o", str(tmp_path / "out.tif")])
    assert done.exit_code == 0, done.output
    assert "assumed:" in done.output
    assert "--angles 0:360" in done.output
    assert "--values attenuation" in done.output
    assert tifffile.imread(tmp_path / "out.tif").reshape(64, 64)[30, 32] != 0
    told = json.loads((tmp_path / "out.tif.json").read_text())
    assert told["complete"]
    assert told["record"]["job"]["source"]["angles"] == "0:360"


def test_what_can_not_be_inferred_ends_with_2_and_names_the_option(tmp_path, state):
    noise = np.random.default_rng(0).uniform(5, 6, (40, 32)).astype(np.float32)
    tifffile.imwrite(tmp_path / "noise.tif", noise)
    done = CliRunner().invoke(app, ["reconstruct", str(tmp_path / "noise.tif"), "-o", str(tmp_path / "out.nxs")])
    assert done.exit_code == 2
    assert "--angles 0:180" in done.output
    given = ["--angles", "0:180", "-o", str(tmp_path / "out.nxs")]
    done = CliRunner().invoke(app, ["reconstruct", str(tmp_path / "noise.tif"), *given])
    assert done.exit_code == 2
    assert "--values" in done.output
    assert not (tmp_path / "out.nxs").exists()
