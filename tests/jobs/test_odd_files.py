"""Files that are no scan, or only the beginning of one: what is said, and what is left out."""

import h5py
import numpy as np
import pytest

from firstlight.connectors.npy.source import NpySource
from firstlight.core.errors import SourceError
from firstlight.jobs.defaults import source_of, suggest

ANGLES = np.linspace(0, 180, 60, endpoint=False)
COLUMNS = np.arange(40) - 18.0


def projections():
    """Two discs off the axis, in counts."""
    angles = np.deg2rad(ANGLES)[:, None]
    depth = [
        2 * np.sqrt(np.clip(radius**2 - (COLUMNS - 2 - place) ** 2, 0, None))
        for radius, place in ((7, 4 * np.sin(angles)), (3, 11 * np.cos(angles)))
    ]
    return np.round(20000 * np.exp(-0.08 * sum(depth))).astype(np.uint16)[:, None, :].repeat(2, axis=1)


def dxfile(path, frames, theta):
    with h5py.File(path, "w") as file:
        file["exchange/data"], file["exchange/theta"] = frames, theta
        file["exchange/data_white"] = np.full((2, 2, 40), 20000, np.uint16)
        file["exchange/data_dark"] = np.zeros((2, 2, 40), np.uint16)
    return path


def said(path):
    with pytest.raises(SourceError) as error:
        source_of(path)
    return str(error.value)


def test_an_unknown_hdf5_file_is_told_with_the_options_that_read_it(tmp_path):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["entry/camera/frames"], file["entry/motor/position"] = projections(), ANGLES
        file["entry/image"] = np.zeros((2, 40))
    text = said(path)
    assert "/entry/camera/frames 60 × 2 × 40" in text
    for option in ("dataset=/entry/camera/frames", "axes=angle row col", "angles=/entry/motor/position"):
        assert f"source.{option}" in text
    given = {"dataset": "/entry/camera/frames", "axes": "angle row col", "angles": "/entry/motor/position"}
    assert suggest(path, tmp_path / "o.h5", source={"use": "hdf5", **given}).job["steps"][-1]["use"] == "fbp"


def test_other_files_and_folders_are_told_too(tmp_path):
    (tmp_path / "scan.raw").write_bytes(bytes(100))
    assert "source.shape=" in said(tmp_path / "scan.raw")
    assert "It holds scan.raw" in said(tmp_path)
    (tmp_path / "x.txt").write_text("words")
    assert "source.use=NAME" in said(tmp_path / "x.txt")
    with h5py.File(tmp_path / "one.h5", "w") as file:
        file["a/image_0"] = np.zeros((1, 4, 4))
    assert "none of them has several images" in said(tmp_path / "one.h5")


def test_frames_that_were_never_written_are_left_out(tmp_path):
    frames = projections()
    frames[57:] = 0
    found = suggest(dxfile(tmp_path / "scan.h5", frames, ANGLES), tmp_path / "o.h5")
    assert found.job["source"]["ignore"] == [57, 58, 59]
    assert "frames 57 to 59 are zeros" in found.assumptions[0]
    given = {"ignore": []}
    assert suggest(tmp_path / "scan.h5", tmp_path / "o.h5", source=given).job["source"]["ignore"] == []


def test_a_scan_that_was_ended_early_is_said_to_lack_directions(tmp_path):
    frames = projections()
    frames[45:] = 0
    _, *told = suggest(dxfile(tmp_path / "scan.h5", frames, ANGLES), tmp_path / "o.h5").assumptions
    assert any("cover 135° of 180°" in each for each in told)
    whole = suggest(dxfile(tmp_path / "whole.h5", projections(), ANGLES), tmp_path / "o.h5")
    assert not any("cover" in each for each in whole.assumptions)


def test_angles_that_were_never_written_are_inferred(tmp_path):
    found = suggest(dxfile(tmp_path / "scan.h5", projections(), np.zeros(60)), tmp_path / "o.h5")
    assert found.job["source"]["angles"] == "0:180"


def test_few_images_do_not_tell_what_they_cover(tmp_path):
    path = dxfile(tmp_path / "scan.h5", projections()[::10], ANGLES[::10])
    with h5py.File(path, "a") as file:
        del file["exchange/theta"]
    with pytest.raises(SourceError, match="0:180 or 0:360"):
        suggest(path, tmp_path / "o.h5")


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_of_numpy_is_a_tomography_if_it_has_three_axes(tmp_path, order):
    np.save(tmp_path / "a.npy", np.asarray(projections(), order=order))
    np.save(tmp_path / "flat.npy", np.full((2, 40), 20000, np.uint16))
    given = {"flats": "flat.npy", "dark_level": 0}
    found = suggest(tmp_path / "a.npy", tmp_path / "o.h5", source=given)
    assert found.job["source"]["order"] == "projection"
    assert "angle row col" in found.assumptions[0]
    source = NpySource(path=tmp_path / "a.npy", order="projection", flats="flat.npy", angles="0:180")
    assert source.open().coords["angle"].tolist() == ANGLES.tolist()
    np.testing.assert_array_equal(source.read({}), projections())
    np.testing.assert_array_equal(source.read({}, "flat"), np.full((1, 2, 40), 20000))
    turned = NpySource(path=tmp_path / "a.npy", order="sinogram")
    assert turned.open().main.sizes == {"angle": 2, "row": 60, "col": 40}
