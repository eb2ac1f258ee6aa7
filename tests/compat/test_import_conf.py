"""Configurations of tofu and of tomocupy become jobs; what is lost is told."""

import pytest

from firstlight.compat.tofu import conf as tofu
from firstlight.compat.tomocupy import conf as tomocupy
from firstlight.core.job import parse_job

from .their_settings import TOFU, TOMOCUPY


def test_a_configuration_of_tofu(tmp_path):
    path = tmp_path / "reco.conf"
    path.write_text(TOFU.format(energy="None", tilt=0))
    found = tofu.read(path)
    source = found.job["source"]
    assert (source["use"], source["path"], source["darks"], source["angles"]) == (
        "tiff",
        "scan/radios",
        "scan/darks",
        "0:180",
    )
    assert found.job["only"] == {"row": "10:30:2", "angle": "0:720"}
    assert [step["use"] for step in found.job["steps"]] == ["flat_field", "minus_log", "fbp"]
    assert found.job["steps"][2] == {"use": "fbp", "center": 1024.0, "filter": "ram-lak"}
    assert not found.remarks
    path.write_text(TOFU.format(energy="20", tilt=30))
    found = tofu.read(path)
    tie = found.job["steps"][1]
    assert (tie["use"], tie["energy"], tie["distance"], tie["delta_beta"]) == (
        "tie",
        "20 keV",
        "0.3 m",
        pytest.approx(100),
    )
    assert any("laminography" in each for each in found.remarks)


def test_what_changes_the_result_is_never_lost_in_silence(tmp_path):
    """Options that have no counterpart are told, those at their defaults are not."""
    path = tmp_path / "reco.conf"
    plain = TOFU.format(energy="None", tilt=0)
    path.write_text(plain + "x-region = 0,-1,1\nz-parameter = z\n")
    assert not tofu.read(path).remarks
    path.write_text(plain + "x-region = -100,100,1\nz-parameter = axis-angle-y\nresize = 2\n")
    text = "\n".join(tofu.read(path).remarks)
    assert all(name in text for name in ("x-region", "z-parameter", "resize")), text
    path.write_text(plain + "z-parameter = center-position-x\nregion = 1020,1024,1\n")
    found = tofu.read(path)
    assert found.job["steps"][-1]["center"] == {"sweep": [1019.5, 1020.5, 1021.5, 1022.5]}
    assert not found.remarks
    other = tmp_path / "tomocupyon.conf"
    other.write_text(
        TOMOCUPY.format(file="scan.h5", axis=31.5, auto="manual")
        + "binning = 2\nblocked-views = [10, 20]\ndtype = float16\n"
    )
    text = "\n".join(tomocupy.read(other).remarks)
    assert all(name in text for name in ("binning", "blocked-views", "dtype")), text


def test_a_configuration_of_tomocupy(tmp_path):
    path = tmp_path / "tomocupyon.conf"
    path.write_text(TOMOCUPY.format(file="scan.h5", axis=31.5, auto="manual"))
    found = tomocupy.read(path)
    assert found.job["source"] == {"use": "dxfile", "path": "scan.h5", "pixel": "2 um"}
    assert found.job["only"] == {"row": "1:3"}
    uses = [step["use"] for step in found.job["steps"]]
    assert uses == ["remove_outliers", "flat_field", "minus_log", "remove_all_stripes", "fbp"]
    assert found.job["steps"][0] == {"use": "remove_outliers", "size": 3, "threshold": 5000, "kind": "both"}
    assert found.job["steps"][3] == {"use": "remove_all_stripes", "ratio": 3, "large": 61, "small": 21}
    assert found.job["steps"][4] == {"use": "fbp", "center": 31.5, "filter": "parzen"}
    assert not found.remarks
    path.write_text(TOMOCUPY.format(file="scan.h5", axis=-1, auto="auto"))
    steps = tomocupy.read(path).job["steps"]
    assert steps[-2]["method"] == "vo"
    assert steps[-1]["center"] == {"from": "find_center"}
    parse_job(tomocupy.read(path).job)


def conf(path, options):
    """A file with all options in one section; the sections do not matter."""
    section = "general-reconstruction" if path.name == "reco.conf" else "file-reading"
    path.write_text(f"[{section}]\n" + "".join(f"{name} = {value}\n" for name, value in options.items()))
    return path


TOFU_DEFAULTS = {
    "projections": "radios", "darks": "darks", "flats": "flats", "flats2": "", "number": "None", "start": 0, "step": 1, "y": 0,
    "height": "None", "y-step": 1, "resize": 0, "bitdepth": 32, "width": "None", "output": "slices/s_%05d.tif",
    "output-bitdepth": 32, "output-minimum": "None", "output-maximum": "None", "output-rescale": "False",
    "x-region": "0,-1,1", "y-region": "0,-1,1", "region": "0,1,1", "z": 0, "z-parameter": "z", "center-position-x": 512,
    "center-position-z": "None", "overall-angle": 360, "axis-angle-x": 0, "axis-angle-y": 0, "axis-angle-z": 0,
    "source-position-x": 0, "source-position-y": "-inf", "source-position-z": 0, "detector-position-x": 0,
    "detector-position-y": 0, "detector-position-z": 0, "detector-angle-x": 0, "detector-angle-y": 0, "detector-angle-z": 0,
    "volume-angle-x": 0, "volume-angle-y": 0, "volume-angle-z": 0, "projection-filter": "ramp-fromreal",
    "projection-filter-cutoff": 0.5, "projection-filter-scale": 1.0, "projection-padding-mode": "clamp_to_edge",
    "disable-cone-beam-weight": "False", "store-type": "float", "slice-gray-map": "0,0", "reduction-mode": "Average",
    "dark-scale": 1.0, "flat-scale": 1.0, "absorptivity": "True", "energy": 20, "propagation-distance": 0.3,
    "pixel-size": 1e-6, "retrieval-method": "tie", "regularization-rate": 2.5, "thresholding-rate": 0.01,
    "frequency-cutoff": 1e30, "delta": "None", "tie-approximate-logarithm": "False", "retrieval-padding-mode": "clamp_to_edge",
    "x-field": "None", "method": "fbp", "num-iterations": "None",
}  # fmt: skip
"""Of `tofu reco` and `tofu tomo`, but for those that change how the program works and not what comes out."""
TOFU_OTHERS = {
    "flats2": "later", "energy": 25, "propagation-distance": 0.1, "retrieval-method": "ctf", "projection-filter": "hamming",
    "x-region": "-9,9,1", "y-region": "-9,9,1", "region": "-4,4,1", "z-parameter": "axis-angle-y", "source-position-y": -1000,
    "projection-padding-mode": "repeat", "retrieval-padding-mode": "repeat", "store-type": "uchar", "slice-gray-map": "0,1",
    "reduction-mode": "median", "x-field": "x.tif", "method": "sirt", "output": "one.tif", "thresholding-rate": 0.5,
    "projections": "p", "darks": "d", "flats": "f",
}  # fmt: skip

TOMOCUPY_DEFAULTS = {
    "file-name": "scan.h5", "flat-file-name": "None", "dark-file-name": "None", "file-type": "standard", "binning": 0,
    "blocked-views": "None", "remove-stripe-method": "none", "retrieve-phase-method": "none", "rotate-proj-angle": 0,
    "lamino-angle": 0, "reconstruction-type": "full", "reconstruction-algorithm": "fourierrec", "rotation-axis": 31.5,
    "start-row": 0, "end-row": -1, "start-column": 0, "end-column": -1, "start-proj": 0, "end-proj": -1,
    "rotation-axis-auto": "manual", "fbp-filter": "parzen", "dezinger": 0, "minus-log": "True", "bright-ratio": 1,
    "pixel-size": 0, "dtype": "float32", "save-format": "tiff", "large-data": "False", "beam-hardening-method": "none",
}  # fmt: skip
TOMOCUPY_OTHERS = {
    "flat-file-name": "f.h5", "dark-file-name": "d.h5", "file-type": "double_fov", "blocked-views": "[10, 20]",
    "remove-stripe-method": "fw", "retrieve-phase-method": "paganin", "reconstruction-type": "try",
    "reconstruction-algorithm": "linerec", "rotation-axis-auto": "auto", "fbp-filter": "ramp", "minus-log": "False",
    "dtype": "float16", "save-format": "zarr", "beam-hardening-method": "standard", "file-name": "x.h5", "large-data": "True",
}  # fmt: skip


@pytest.mark.parametrize(
    ("reader", "name", "defaults", "others"),
    [(tofu, "reco.conf", TOFU_DEFAULTS, TOFU_OTHERS), (tomocupy, "t.conf", TOMOCUPY_DEFAULTS, TOMOCUPY_OTHERS)],
    ids=["tofu", "tomocupy"],
)
def test_every_option_is_carried_over_or_told(tmp_path, reader, name, defaults, others):
    plain = reader.read(conf(tmp_path / name, defaults))
    assert not plain.remarks, "at their defaults nothing is lost"
    parse_job(plain.job)
    silent = []
    for option, value in defaults.items():
        other = others.get(option, {"True": "False", "False": "True"}.get(str(value), 3))
        changed = reader.read(conf(tmp_path / name, {**defaults, option: other}))
        if changed.job == plain.job and changed.remarks == plain.remarks:
            silent.append(option)
    assert [option for option in silent if option != "absorptivity"] == []  # with phase retrieval it does nothing


def test_a_second_set_of_flats_and_the_output_of_tofu(tmp_path):
    found = tofu.read(conf(tmp_path / "reco.conf", {**TOFU_DEFAULTS, "flats2": "later"})).job
    assert found["source"]["flats_after"] == "later"
    assert found["sinks"] == [{"use": "tiff", "of": "fbp", "path": "slices"}]
    sinograms = {"sinograms": "sinos", "projections": "None", "darks": "None", "flats": "None"}
    found = tofu.read(conf(tmp_path / "reco.conf", {**TOFU_DEFAULTS, **sinograms})).job
    assert (found["source"]["path"], found["source"]["order"]) == ("sinos", "sinogram")
    parse_job(found)


def test_a_trial_of_tomocupy_is_a_sweep_of_the_centre(tmp_path):
    found = tomocupy.read(
        conf(tmp_path / "t.conf", {**TOMOCUPY_DEFAULTS, "reconstruction-type": "try", "center-search-width": 2})
    )
    assert found.job["steps"][-1]["center"] == {"sweep": [29.5, 30, 30.5, 31, 31.5, 32, 32.5, 33]}
    assert found.job["only"] == {"row": "mid:mid+1"}
    assert not found.remarks


def test_a_double_field_of_view_is_joined_about_the_axis_that_is_told(tmp_path):
    path = tmp_path / "tomocupyon.conf"
    wavelet = (
        "[file-reading]\nfile-type = double_fov\n[remove-stripe]\nremove-stripe-method = fw\n[fw]\nfw-filter = sym16\n"
    )
    path.write_text(wavelet + "[reconstruction]\nrotation-axis = 65\n")
    found = tomocupy.read(path)
    assert found.job["steps"][2:] == [
        {"use": "remove_stripes_wavelet", "moments": 16},
        {"use": "stitch_half_acquisition", "center": 65.0},
        {"use": "fbp"},
    ]
    assert any("symlets" in each for each in found.remarks)
    path.write_text(wavelet + "[reconstruction]\nrotation-axis = -1.0\n")
    assert [step["use"] for step in tomocupy.read(path).job["steps"][3:]] == [
        "find_center_360",
        "stitch_half_acquisition",
        "fbp",
    ]


def test_iterations_of_tofu_are_those_that_it_has_of_itself(tmp_path):
    path = tmp_path / "tomo.conf"
    plain = "[tomographic-reconstruction]\naxis = 31.5\n[ir]\nnum-iterations = 10\n[sart]\nrelaxation-factor = 0.25\n[sbtv]\nmu = 0.5\n"
    for method, step in (
        ("fbp", {"use": "fbp"}),
        ("sart", {"use": "sart", "iterations": 10, "relaxation": 0.25}),
        ("sbtv", {"use": "admm_tv", "iterations": 10}),
    ):
        path.write_text(f"{plain}[tomographic-reconstruction]\naxis = 31.5\nmethod = {method}\n")
        found = tofu.read(path)
        assert found.job["steps"] == [{**step, "center": 31.5}]
        assert any("mu has another scale" in each for each in found.remarks) == (method == "sbtv")
        assert not any("relaxation" in each or "num-iterations" in each for each in found.remarks)
