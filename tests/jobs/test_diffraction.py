"""What `reconstruct` makes of diffraction patterns at positions: the job, its assumptions, and what it asks for."""

import h5py
import numpy as np
import pytest

from firstlight.core.errors import SourceError
from firstlight.jobs.defaults import suggest
from firstlight.kernels.ptycho.phantom import simulate


@pytest.fixture
def cxi(tmp_path):
    truth = simulate(window=32, scan=(5, 5))
    with h5py.File(tmp_path / "scan.cxi", "w") as file:
        file["entry_1/data_1/data"] = np.fft.fftshift(truth.counts, axes=(1, 2))
        moves = np.zeros((25, 3))
        moves[:, 1], moves[:, 0] = truth.corners[:, 0] * 1e-8, truth.corners[:, 1] * 1e-8
        file["entry_1/data_1/translation"] = moves
        detector = file.create_group("entry_1/instrument_1/detector_1")
        detector["x_pixel_size"], detector["distance"] = 75e-6, 2.0
        file["entry_1/instrument_1/source_1/wavelength"] = 1e-8 * 32 * 75e-6 / 2.0
    return tmp_path / "scan.cxi"


def test_a_far_field_scan_gives_object_and_probe(cxi, tmp_path):
    found = suggest(cxi, tmp_path / "out.h5")
    assert [step["use"] for step in found.job["steps"]] == ["ptychography"]
    assert found.job["steps"][0]["regime"] == "far"
    assert [(sink["of"], sink["path"]) for sink in found.job["sinks"]] == [
        ("ptychography.object", str(tmp_path / "out.h5")),
        ("ptychography.probe", str(tmp_path / "out-probe.h5")),
    ]
    assert "regime=near" in found.assumptions[0]


def test_images_get_the_phase(cxi, tmp_path):
    (sink,) = suggest(cxi, tmp_path / "out.tif").job["sinks"]
    assert sink["of"] == "ptychography.phase"


def test_a_magnification_that_nobody_knows_is_asked_for(cxi, tmp_path):
    with pytest.raises(SourceError, match="source_distance"):
        suggest(cxi, tmp_path / "out.h5", overrides={"ptychography.regime": "near"})
    given = {"ptychography.regime": "near", "ptychography.source_distance": "3 mm"}
    assert suggest(cxi, tmp_path / "out.h5", overrides=given).job["steps"][0]["regime"] == "near"
