"""Samples to train with: what is written is the scan and its truth, by the names of holoptycho's tree."""

import h5py
import numpy as np
import pytest

import firstlight as fl
from firstlight.core.errors import SinkError, StepFailed
from firstlight.operators.learn.samples import write_samples


@pytest.fixture
def phantom():
    source = fl.source("phantom_ptychography", scan_y=5, scan_x=4, window=32, photons=1e7)
    scan, truth = source.open(), source.truth()
    low, high = truth.corners.min(axis=0), truth.corners.max(axis=0) + 32
    return source, scan, truth, truth.image[low[0] : high[0], low[1] : high[1]]


@pytest.mark.parametrize("stride", [1, 3])
def test_samples_are_read_back(phantom, tmp_path, stride):
    source, scan, truth, image = phantom
    path = tmp_path / "s.h5"
    assert write_samples(path, source, scan, image, stride=stride).count == len(range(0, 20, stride))
    counts = np.fft.fftshift(truth.counts, axes=(1, 2))[::stride]
    with h5py.File(path) as file:
        assert (file.attrs["fine_tunable"], file.attrs["complete"], file.attrs["dp_stride"]) == (True, True, stride)
        dp = file["diffraction/dp"]
        assert dp.dtype == np.uint8
        np.testing.assert_array_equal(dp, np.minimum(np.floor(np.sqrt(counts)), 255))
        assert dp[()].max() == 255
        # holoptycho's x is the slow axis
        metres = np.stack([file[f"diffraction/probe_position_{axis}_m"] for axis in "xy"], 1)
        np.testing.assert_allclose(metres, truth.corners[::stride] * source.object_pixel * 1e-6)
        np.testing.assert_allclose(file["positions_um"], metres * 1e6)
        np.testing.assert_allclose(file.attrs["x_pixel_m"], source.object_pixel * 1e-6)
        windows = np.stack([truth.image[r : r + 32, c : c + 32] for r, c in truth.corners[::stride]])
        np.testing.assert_allclose(file["targets"][:, 0] * np.exp(1j * file["targets"][:, 1]), windows, atol=1e-6)
    assert [one.name for one in tmp_path.iterdir()] == ["s.h5"]


def test_what_does_not_belong_together_is_refused_and_nothing_is_written(phantom, tmp_path):
    source, scan, _, image = phantom
    for wrong in (image[1:], np.abs(image)):
        with pytest.raises(StepFailed, match="not that of this scan"):
            write_samples(tmp_path / "s.h5", source, scan, wrong)
    with pytest.raises(SinkError, match="can not be written"):
        write_samples(tmp_path / "no" / "s.h5", source, scan, image)
    (tmp_path / "there.h5").write_bytes(b"mine")
    with pytest.raises(SinkError, match="exists"):
        write_samples(tmp_path / "there.h5", source, scan, image)
    assert (tmp_path / "there.h5").read_bytes() == b"mine"
    assert len(list(tmp_path.iterdir())) == 1
