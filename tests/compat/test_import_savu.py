"""Process lists of Savu become jobs; what is lost is told."""

import h5py
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstlight.compat.savu import process_list
from firstlight.core.job import parse_job

from .their_settings import SAVU, savu_list


def test_a_process_list_of_savu(tmp_path):
    found = process_list.read(savu_list(tmp_path / "list.nxs", SAVU))
    assert found.job["source"]["use"] == "nxtomo"
    assert found.job["source"]["data"] == "entry1/tomo_entry/data/data"
    assert found.job["only"] == {"row": "mid-5:mid+6", "col": "300:end-300"}
    assert [step["use"] for step in found.job["steps"]] == [
        "flat_field",
        "remove_stripes_fourier",
        "find_center",
        "minus_log",
        "backproject",
    ]
    raven, center, log, recon = found.job["steps"][1:]
    assert raven == {"use": "remove_stripes_fourier", "cutoff": 20, "rows": 1, "order": 8}
    assert center["method"] == "vo"
    assert log["inputs"] == ["remove_stripes_fourier"]
    assert recon["center"] == {"from": "find_center"}
    parse_job(found.job)
    text = "\n".join(found.remarks)
    assert "Dezinger is switched off" in text
    assert "HilbertFilter: there is no counterpart" in text
    assert found.job["sinks"] == [{"use": "tiff", "of": "backproject", "path": "list_images"}]


def test_plugins_come_in_the_order_of_their_numbers(tmp_path):
    names = ["NxtomoLoader", "DarkFlatFieldCorrection", *["RingRemovalSorting"] * 9, "RemoveAllRings"]
    for old in (False, True):
        path = savu_list(tmp_path / f"long{old}.nxs", [(name, {}) for name in names], old=old)
        assert [name for name, _, _ in process_list.plugins(path)] == names
        steps = process_list.read(path).job["steps"]
        assert [step.get("name", step["use"]) for step in steps[1:4]] == [
            "remove_small_stripes",
            "remove_small_stripes_2",
            "remove_small_stripes_3",
        ]


def test_tuned_parameters_are_swept(tmp_path):
    recon = (
        "TomopyRecon",
        {"algorithm": "gridrec", "centre_of_rotation": "85:87:0.5;", "filter_name": "ramlak", "log": False},
    )
    found = process_list.read(savu_list(tmp_path / "tuned.nxs", [("NxtomoLoader", {}), recon]))
    assert found.job["steps"] == [{"use": "fbp", "center": {"sweep": [85, 85.5, 86, 86.5]}, "filter": "ram-lak"}]
    parse_job(found.job)
    named = ("TomopyRecon", {"algorithm": "gridrec", "filter_name": "ramlak;hann", "centre_of_rotation": "85;90"})
    found = process_list.read(savu_list(tmp_path / "named.nxs", [("NxtomoLoader", {}), named]))
    assert found.job["steps"][-1] == {"use": "fbp", "center": {"sweep": [85, 90]}}
    assert any("filter_name = 'ramlak;hann' has no counterpart" in each for each in found.remarks)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)
names = st.sampled_from(
    ["uvalue", "preview", "centre_of_rotation", "algorithm", "log", "Energy", "data_path", "angles"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from([p[0] for p in SAVU] + ["PaganinFilter", "Own Plugin"]),
            st.dictionaries(names, values, max_size=4),
        ),
        max_size=5,
    )
)
def test_any_parameters_of_savu_are_carried_over_or_told(tmp_path, plugins):
    path = tmp_path / "list.nxs"
    if not plugins:
        return
    found = process_list.read(savu_list(path, plugins))
    assert set(found.job) >= {"source", "steps", "sinks"}


def job_of(tmp_path, *plugins):
    return process_list.read(savu_list(tmp_path / "list.nxs", plugins))


@pytest.mark.parametrize(
    ("loader", "given", "source"),
    [
        ("NxtomoLoader", {"dark": ["d.h5", "entry/data", 1]}, {"use": "nxtomo", "darks": "d.h5:entry/data"}),
        ("NxtomoLoader", {"angles": "np.linspace(0, 180, 91)"}, {"use": "nxtomo", "angles": "0:182"}),
        ("NxtomoLoader", {"angles": "angles.txt"}, {"use": "nxtomo", "angles": "angles.txt"}),
        ("DxchangeLoader", {"data_path": "exchange/data2"}, {"use": "dxfile", "data": "exchange/data2"}),
        ("ImageLoader", {"data_prefix": "p_", "flat_prefix": "f_"}, {"use": "tiff", "pattern": "p_*.tif", "flats": "f_*.tif"}),
        ("SavuNexusLoader", {}, {"use": "savu"}),
        ("MrcLoader", {"angles": "tilts.txt"}, {"use": "mrc", "angles": "tilts.txt"}),
    ],
)  # fmt: skip
def test_loaders(tmp_path, loader, given, source):
    assert {
        key: value for key, value in job_of(tmp_path, (loader, given)).job["source"].items() if key != "path"
    } == source


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("NxtomoLoader", {"3d_to_4d": 91}),
        ("NxtomoLoader", {"ignore_flats": [2]}),
        ("NxtomoLoader", {"dark": ["d.h5", "entry/data", 0.5]}),
        ("NxtomoLoader", {"angles": "np.sin(3)"}),
        ("MultiNxtomoLoader", {"range": [0, 10]}),
        ("DarkFlatFieldCorrection", {"lower_bound": 0.1}),
        ("VoCentering", {"search_area": [-10, 10]}),
        ("VoCentering", {"preview": ["mid"]}),
        ("AstraReconCpu", {"algorithm": "FBP", "ratio": 0.7}),
        ("AstraReconCpu", {"algorithm": "SIRT", "outer_pad": True}),
        ("TomopyRecon", {"algorithm": "gridrec", "log_func": "-np.log(sino) + 1"}),
        ("ImageSaver", {"num_bit": 8, "max": 1.0}),
        ("MrcSaver", {}),
    ],
)
def test_what_has_no_counterpart_is_told(tmp_path, name, given):
    text = "\n".join(job_of(tmp_path, (name, given)).remarks)
    assert name in text
    assert all(key in text for key in given if key != "algorithm")


def test_groups_that_are_repeated_are_told(tmp_path):
    path = savu_list(tmp_path / "list.nxs", SAVU)
    with h5py.File(path, "a") as file:
        file["entry/iterate_plugin_groups/0/iterations"] = 3
    assert any("repeated" in each for each in process_list.read(path).remarks)


@pytest.mark.parametrize(
    ("text", "coefficients"), [("(1.0, 1.9e-6, -2e-8)", [1, 1.9e-6, -2e-8]), ([1.0], [1.0]), ("(1, x)", "(1, x)")]
)
def test_tuples_that_are_kept_as_text(tmp_path, text, coefficients):
    given = {"polynomial_coeffs": text, "center_from_left": 30.0, "center_from_top": 20.0, "crop_edges": 0}
    plugins = [
        ("NxtomoLoader", {}),
        ("DistortionCorrection", given),
        ("Dezinger", {"kernel_size": 5, "dimension": "3D"}),
    ]
    found = process_list.read(savu_list(tmp_path / "list.nxs", plugins))
    assert found.job["steps"][0]["coefficients"] == coefficients
    assert any("coefficients" in each for each in found.remarks) == isinstance(coefficients, str)
    assert not any("dimension" in each for each in found.remarks)
