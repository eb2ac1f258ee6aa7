"""``firstlight compare``: files of every kind, numbers by hand and beside scikit-image."""

import json

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

import firstlight as fl
from firstlight.cli.main import app
from firstlight.core.errors import FirstlightError, SourceError
from firstlight.jobs.arrays import open_array
from firstlight.jobs.compare import compare

RNG = np.random.default_rng(6)
A = RNG.random((5, 40, 48)).astype(np.float32)
B = (A + 0.1 * RNG.standard_normal(A.shape)).astype(np.float32)


def call(*arguments):
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def save(path, array):
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["entry/data/data"] = array
            file["entry/other/image"] = array[0] if array.ndim == 3 else array
    elif path.suffix == ".tif":
        tifffile.imwrite(path, array)
    else:
        path.mkdir()
        for number, image in enumerate(array):
            tifffile.imwrite(path / f"slice_{number:03}.tif", image)
    return path


def numbers(a, b, **options):
    with open_array(str(a)) as first, open_array(str(b)) as second:
        return compare(first, second, **options).numbers


@pytest.mark.parametrize("names", [("a.npy", "b.h5"), ("a.tif", "b.npy"), ("a_folder", "b.tif"), ("a.h5", "b_folder")])
def test_the_same_numbers_from_files_of_any_kind(tmp_path, names):
    found = numbers(save(tmp_path / names[0], A), save(tmp_path / names[1], B), data_range=1.0)
    difference = A.astype(np.float64) - B
    assert found["rms"] == pytest.approx(np.sqrt(np.mean(difference**2)), rel=1e-6)
    assert found["largest"] == pytest.approx(np.abs(difference).max(), rel=1e-6)
    assert found["largest_at"] == np.unravel_index(np.abs(difference).argmax(), A.shape)
    assert found["mean"] == pytest.approx(difference.mean(), rel=1e-4)
    assert found["psnr"] == pytest.approx(-20 * np.log10(found["rms"]))
    metrics = pytest.importorskip("skimage.metrics")
    options = {"data_range": 1.0, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    each = [metrics.structural_similarity(a, b, **options) for a, b in zip(A, B, strict=True)]
    assert found["ssim"] == pytest.approx(np.mean(each), abs=1e-4)
    assert found["method"] == "FRC"
    assert found["remarks"] == ["The correlation is that of slice 2: 5 slices are too few for shells."]
    assert numbers(tmp_path / names[0], tmp_path / names[1], slice_=2)["curve"] == found["curve"]


def test_a_zarr_group_beside_a_file(tmp_path):
    zarr = pytest.importorskip("zarr")
    zarr.open_group(tmp_path / "a.zarr", mode="w").create_array("0", data=A, chunks=(2, 40, 48))
    assert numbers(tmp_path / "a.zarr", save(tmp_path / "a.npy", A))["rms"] == 0
    assert numbers(f"{tmp_path / 'a.zarr'}::0", save(tmp_path / "b.npy", B))["rms"] > 0
    with pytest.raises(SourceError, match="no such array"):
        open_array(f"{tmp_path / 'a.zarr'}::1")


def test_values_that_are_not_finite_are_left_out(tmp_path):
    a, b = A.copy(), B.copy()
    a[0, 0, 0], b[1, 2, 3] = np.nan, np.inf
    found = numbers(save(tmp_path / "a.npy", a), save(tmp_path / "b.npy", b))
    assert found["compared"] == pytest.approx(1 - 2 / a.size)
    assert np.isfinite([found["rms"], found["psnr"], found["ssim"], found["largest"]]).all()
    a[:] = np.nan
    with pytest.raises(FirstlightError, match="No value of it is finite"):
        numbers(save(tmp_path / "a.npy", a), tmp_path / "b.npy")


def test_two_reconstructions_and_their_picture(tmp_path):
    for name, window in (("a", "ram-lak"), ("b", "parzen")):
        job = {
            "source": {"use": "phantom", "columns": 48, "rows": 20, "angles": 60, "pixel": "2 um"},
            "steps": [{"use": "flat_field"}, {"use": "minus_log"}, {"use": "fbp", "filter": window}],
            "sinks": [{"use": "hdf5", "of": "fbp", "path": str(tmp_path / f"{name}.h5")}],
        }
        fl.start(fl.load_job(job)).finished(timeout=100)
    picture, report = tmp_path / "difference.png", tmp_path / "report.json"
    done = call(tmp_path / "a.h5", tmp_path / "b.h5", "-o", picture, "--report", report)
    assert done.exit_code == 0, done.output
    assert "FSC at half-bit" in done.output
    assert "1/cm" in done.output
    told = json.loads(report.read_text())
    found = told["resolution"]["1/7"]
    assert found["um"] == pytest.approx(2 * found["px"])
    assert len(told["curve"]["correlation"]) == 20 // 2 + 1
    with Image.open(picture) as sheet:
        pixels = np.asarray(sheet).astype(int)
    assert pixels.shape[1] == 3 * 48 + 4 * 12
    # the third panel: blue and red, for the sharper filter differs both ways
    panel = pixels[34 : 34 + 48, 2 * 48 + 3 * 12 : 3 * 48 + 3 * 12]
    assert (panel[..., 0] - panel[..., 2] > 60).any()
    assert (panel[..., 2] - panel[..., 0] > 60).any()
    one = call(tmp_path / "a.h5", tmp_path / "b.h5", "--slice", "3", "--json")
    assert json.loads(one.output)["method"] == "FRC"


def test_the_same_twice(tmp_path):
    save(tmp_path / "a.npy", A[0])
    done = call(tmp_path / "a.npy", tmp_path / "a.npy", "-o", tmp_path / "same.png")
    assert done.exit_code == 0, done.output
    assert "PSNR                ∞ dB" in done.output
    assert "SSIM                1.00000" in done.output
    assert "FRC at half-bit    2 px" in done.output


def test_datasets_are_named_where_there_are_several(tmp_path):
    path = tmp_path / "foreign.h5"
    with h5py.File(path, "w") as file:
        file["one"], file["two"], file["text"] = A, B, "words"
    with pytest.raises(SourceError, match=r"2 images or stacks.*one of them: /one, /two"):
        open_array(str(path))
    assert numbers(f"{path}::/one", f"{path}::two")["rms"] > 0
    with pytest.raises(SourceError):
        open_array(f"{path}::/three")
    with pytest.raises(SourceError, match="no image"):
        open_array(f"{path}::/text")


def test_what_can_not_be_compared_is_told(tmp_path):
    save(tmp_path / "a.npy", A)
    save(tmp_path / "b.npy", B[:4])
    np.save(tmp_path / "line.npy", A[0, 0])
    (tmp_path / "text.npy").write_text("no array")
    np.save(tmp_path / "objects.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    for arguments, message in [
        (("a.npy", "b.npy"), "not of one shape"),
        (("a.npy", "gone.npy"), "no such file"),
        (("line.npy", "line.npy"), "no image and no stack"),
        (("text.npy", "a.npy"), "no numpy file"),
        (("objects.npy", "a.npy"), "no numpy file"),
        (("a.npy", "a.npy", "--slice", "9"), "no such slice"),
        (("a.npy", "a.npy", "--range", "-1"), "range is not accepted"),
        (("a.npy", "a.npy", "-o", tmp_path / "no" / "folder.png"), "can not be written"),
    ]:
        paths = [tmp_path / a if str(a).endswith(".npy") else a for a in arguments]
        done = call(*paths)
        assert done.exit_code == 2, (arguments, done.output)
        assert message in done.output


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=200),
    st.sampled_from(["x.npy", "x.h5", "x.tif", "x"]),
    st.sampled_from([b"", b"\x93NUMPY\x01\0", b"II*\0", b"\x89HDF\r\n\x1a\n"]),
)
def test_any_bytes_are_an_array_or_an_error(tmp_path, content, name, head):
    path = tmp_path / name
    path.write_bytes(head + content)
    try:
        with open_array(str(path)) as found:
            assert len(found.shape) in (2, 3)
    except FirstlightError:
        pass
