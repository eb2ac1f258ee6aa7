"""`firstlight reconstruct`: assumptions are printed, and what can not be inferred ends with 2 and the option to give."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from typer.testing import CliRunner

from firstlight.cli.main import app
from firstlight.jobs.look_around import Asked, advice


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


def test_a_short_scan_whose_axis_can_not_be_found_ends_with_2_before_anything_is_written(tmp_path, state):
    tifffile.imwrite(tmp_path / "sino.tif", sinogram()[:38, 18:46])  # 152 of the 360 degree, wider than the frame
    wanted = ["reconstruct", str(tmp_path / "sino.tif"), "-o", str(tmp_path / "out.h5")]
    own = ["--set", "source.angles=0:152:4", "--values", "attenuation"]
    done = CliRunner().invoke(app, [*wanted, *own])
    assert done.exit_code == 2
    assert "only 152°" in done.output
    assert "--set fbp.center" in done.output
    assert f"firstlight sweep {tmp_path}/sino.tif fbp.center=7:21:1 --only row=mid" in done.output
    assert "--set source.angles=0:152:4 --values attenuation" in done.output
    assert not (tmp_path / "out.h5").exists()
    job = {
        "source": {"use": "tiff", "path": str(tmp_path / "sino.tif"), "order": "sinogram", "angles": "0:152:4"},
        "steps": [
            {"use": "find_center", "name": "axis"},
            {"use": "fbp", "inputs": ["source.data"], "center": {"from": "axis"}},
        ],
        "sinks": [{"use": "hdf5", "of": "fbp", "path": str(tmp_path / "out.h5")}],
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    told = CliRunner().invoke(app, ["run", str(tmp_path / "job.yaml")])
    assert told.exit_code == 2  # the same cause, in the same words
    assert f"firstlight sweep {tmp_path}/job.yaml fbp.center=7:21:1 --only row=mid" in told.output
    assert not (tmp_path / "out.h5").exists()
    given = CliRunner().invoke(app, [*wanted, *own, "--set", "fbp.center=12"])
    assert given.exit_code == 0, given.output
    assert "find_center" not in given.output


def test_the_command_for_a_look_at_a_doubtful_axis():
    job = {"steps": [{"use": "find_center"}, {"use": "fbp", "center": {"from": "find_center"}}]}
    asked = Asked(Path("a scan.nxs"), {"only.angle": "::2", "fbp.filter": "hann", "runner.memory": "2G"})
    report = {"values": {"find_center.center": 12.06}, "remarks": {"find_center": ["doubtful"]}}
    (told,) = advice(job, asked, report)
    assert (
        "firstlight sweep 'a scan.nxs' fbp.center=2:22:1 --only row=mid --only angle=::2 --set fbp.filter=hann -o centers.h5"
        in told
    )
    assert "--set fbp.center=" in told
    assert advice(job, asked, {**report, "remarks": {}}) == []
    assert advice(job, asked, {**report, "values": {}}) == []
