"""Iterative steps that are told where the sample may be, and what it looks like about."""

import h5py
import numpy as np
import pytest
import tifffile

from firstlight.core.errors import FirstlightError
from firstlight.operators.reconstruct.known_images import mask_in, slices_in

from .scenes import relative_rms
from .test_reconstruct import ITERATIVE, options, sinograms, step_of, truth_of


@pytest.mark.parametrize("name", ITERATIVE)
def test_a_mask_and_an_earlier_result_are_kept_to(name, tmp_path):
    data, angle = sinograms()
    volume, residual = step_of(name)(data, angle=angle, pixel=10.0, **options(name))
    np.save(tmp_path / "earlier.npy", volume)
    rows = np.array([3, 1])
    given = {**options(name), "iterations": 1, "angle": angle, "pixel": 10.0}
    again, further = step_of(name)(data[rows], row=rows, initial=tmp_path / "earlier.npy", **given)
    assert relative_rms(again, volume[rows]) < 0.06
    assert np.all(further[:, 0] < 1.1 * residual[rows, -1])

    half = np.ones((48, 48), np.uint8)
    half[:, 24:] = 0
    tifffile.imwrite(tmp_path / "half.tif", half)
    masked, _ = step_of(name)(data, angle=angle, mask=str(tmp_path / "half.tif"), **options(name))
    assert not masked[:, :, 24:].any()
    assert masked[:, :, :24].any()


def test_what_is_known_to_be_empty_helps_where_projections_are_few(tmp_path):
    data, angle = sinograms()
    few, truth = slice(None, None, 6), truth_of()
    given = {"angle": angle[few], "iterations": 30, "nonnegative": True}
    free, _ = step_of("sirt")(data[:, few], **given)
    np.save(tmp_path / "disk.npy", (truth > 0.002).any(0))
    held, _ = step_of("sirt")(data[:, few], mask=tmp_path / "disk.npy", **given)
    assert relative_rms(held, truth) < 0.9 * relative_rms(free, truth)


@pytest.mark.parametrize("name", ["sirt_volume", "cgls_volume", "fista_tv_volume", "pdhg_tv_volume"])
def test_volumes_keep_to_them_too(name, tmp_path):
    data, angle = sinograms(rows=6, size=24)
    given = {"angle": angle, "pixel": 10.0}
    data = np.ascontiguousarray(data.transpose(1, 0, 2))[None]
    volume, residual = step_of(name)(data, iterations=8, **given)
    np.save(tmp_path / "earlier.npy", volume[0])
    left = np.tile(np.arange(24) < 12, (24, 1))
    np.save(tmp_path / "left.npy", left)
    again, further = step_of(name)(data, iterations=1, initial=tmp_path / "earlier.npy", **given)
    assert relative_rms(again, volume) < 0.1
    assert further[0, 0] < 1.1 * residual[0, -1]
    masked, _ = step_of(name)(data, iterations=2, mask=tmp_path / "left.npy", **given)
    assert not masked[..., 12:].any()
    assert masked[..., :12].any()


def test_every_kind_of_file_gives_the_same(tmp_path):
    values = np.random.default_rng(0).random((4, 5, 5)).astype(np.float32)
    np.save(tmp_path / "a.npy", values)
    tifffile.imwrite(tmp_path / "a.tiff", values, photometric="minisblack")
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        file["entry/data/v"] = values
        file.attrs["default"], file["entry"].attrs["default"], file["entry/data"].attrs["signal"] = "entry", "data", "v"
    for name in ("a.npy", "a.tiff", "a.nxs", "a.nxs:/entry/data/v"):
        assert np.array_equal(slices_in(tmp_path / name, np.array([2, 1]), (2, 5, 5)), values[[2, 1]])
        assert np.array_equal(slices_in(tmp_path / name, None, (4, 5, 5)), values)
        assert np.array_equal(mask_in(tmp_path / name, (4, 5, 5)), np.ones((4, 5, 5)))


@pytest.mark.parametrize(
    ("name", "rows", "says"),
    [
        ("a.npy", [5], "at least 6"),
        ("a.npy", None, "does not fit"),
        ("nan.npy", [0], "not finite"),
        ("none.npy", [0], "can not be read"),
        ("bare.h5", [0], "can not be read"),
        ("bare.h5:/else", [0], "can not be read"),
        ("text.npy", [0], "can not be read"),
    ],
)
def test_a_file_that_can_not_serve_is_named(tmp_path, name, rows, says):
    np.save(tmp_path / "a.npy", np.zeros((4, 5, 5)))
    np.save(tmp_path / "nan.npy", np.full((4, 5, 5), np.nan))
    (tmp_path / "text.npy").write_text("no numbers")
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file["v"] = np.zeros((4, 5, 5))
    with pytest.raises(FirstlightError, match=says) as error:
        slices_in(tmp_path / name, rows, (1, 5, 5))
    assert error.value.field == "initial"
    with pytest.raises(FirstlightError, match="does not fit") as error:
        mask_in(tmp_path / "a.npy", (6, 6))
    assert error.value.field == "mask"
