"""Samples that `model samples` wrote train a network: from a scan to one that sees more of the next scan with this probe."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import firstlight as fl
from firstlight.cli.main import app
from firstlight.kernels.ptycho.phantom import simulate, zone_plate_probe
from firstlight.operators.learn.models import SHIPPED

SCRIPT = Path(__file__).parents[2] / "tools" / "train_ptychography_network.py"
START = SHIPPED / "phantom_v2.onnx"
BEHIND = """
import runpy, sys
sys.path.insert(0, sys.argv[2].rpartition("/")[0])
sys.path.append(sys.argv[1])
sys.argv[:2] = []
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a script with the packages of another environment behind those of this one."""


@pytest.fixture
def training():
    """What starts the script with torch."""
    if find_spec("torch"):
        return [sys.executable, str(SCRIPT)]
    here = f"python3.{sys.version_info.minor}"
    packages = Path(os.environ.get("PEERS", "/nowhere")) / "ptychi" / "lib" / here / "site-packages"
    if not (packages / "torch").exists():
        pytest.skip("no torch here, and PEERS names no folder with ptychi, which has it")
    return [sys.executable, "-c", BEHIND, str(packages), str(SCRIPT)]


def scanned(path, seed):
    """A scan with a probe that no network knows, as a CXI file; and its true phase."""
    probe, truth, pixel = zone_plate_probe(64, width=0.3, stop=0.12, defocus=-9.0), simulate(seed=seed), 75e-6
    cut = np.stack([truth.image[r : r + 64, c : c + 64] for r, c in truth.corners])
    waves = np.fft.fftshift(np.fft.fft2(cut * probe * 1e3, norm="ortho"), axes=(1, 2))
    step = 1.3776e-10 * 2.0 / (64 * pixel)
    with h5py.File(path, "w") as file:
        detector = file.create_group("entry_1/instrument_1/detector_1")
        detector["data"] = np.random.default_rng(seed).poisson(np.abs(waves) ** 2).astype(np.int32)
        detector["distance"], detector["x_pixel_size"], detector["y_pixel_size"] = 2.0, pixel, pixel
        file["entry_1/instrument_1/source_1/wavelength"] = 1.3776e-10
        places = truth.corners[:, ::-1] * step
        # the default of CXI: what moves the sample along x and y moves the beam along columns and rows
        file["entry_1/sample_1/geometry_1/translation"] = np.pad(places, ((0, 0), (0, 1)))
    low, high = truth.corners.min(axis=0), truth.corners.max(axis=0) + 64
    return probe, np.angle(truth.image[low[0] : high[0], low[1] : high[1]])


def likeness(path, wanted, **network):
    run = fl.run(fl.source("cxi", path=path), [fl.step("ptychography_network", **network)])
    found = run.finished()
    phase, light = (found[f"ptychography_network.{name}"].data for name in ("phase", "coverage"))
    lit = np.isfinite(phase) & (light > 0.2 * light.max())
    return np.corrcoef(phase[lit], wanted[lit])[0, 1]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_scan_becomes_samples_and_these_a_better_network(training, tmp_path):
    pytest.importorskip("onnxruntime")
    scan, later, samples = tmp_path / "scan.cxi", tmp_path / "later.cxi", tmp_path / "samples.h5"
    probe, _ = scanned(scan, 91)
    np.save(tmp_path / "probe.npy", probe)
    _, wanted = scanned(later, 92)
    before = likeness(later, wanted, model_file=START, probe=tmp_path / "probe.npy")
    given = {"ptychography.probe": tmp_path / "probe.npy", "ptychography.iterations": 60}
    settings = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]
    for words in (
        ["reconstruct", scan, "-o", tmp_path / "object.h5", *settings],
        ["model", "samples", scan, tmp_path / "object.h5", "-o", samples],
    ):
        told = CliRunner().invoke(app, [str(word) for word in words])
        assert not told.exit_code, told.output
    options = [
        "--start",
        START,
        "--samples",
        samples,
        "--probe",
        tmp_path / "probe.npy",
        "--steps",
        "60",
        "--rate",
        "5e-4",
    ]
    made = subprocess.run(
        [*training, *map(str, options), "--out", str(tmp_path / "tuned_v1.onnx")],
        capture_output=True,
        text=True,
        timeout=700,
    )
    assert not made.returncode, made.stderr
    after = likeness(later, wanted, model_file=tmp_path / "tuned_v1.onnx")  # it holds this probe
    assert before > 0.8
    assert after > before
