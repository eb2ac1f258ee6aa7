"""Settings of other programs become jobs that parse, check and run; what is lost is told."""

import json

import h5py
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import firstlight as fl
from firstlight.cli.main import app
from firstlight.compat.httomo import pipeline
from firstlight.compat.savu import process_list
from firstlight.compat.tofu import conf as tofu
from firstlight.compat.tomocupy import conf as tomocupy
from firstlight.core.errors import SourceError
from firstlight.core.job import parse_job
from firstlight.jobs.load import load_job

READERS = [process_list, pipeline, tofu, tomocupy]


def call(*arguments):
    return CliRunner().invoke(app, ["import", *map(str, arguments)])


def savu_list(path, plugins, *, old=False):
    """A process list as savu_config writes it."""
    with h5py.File(path, "w") as file:
        file["entry/savu_notes/version"] = np.array([b"4.0"])
        for number, (name, data, *rest) in enumerate(plugins, 1):
            group = file.create_group(f"entry/plugin/{number:>2}" if old else f"entry/plugin/{number}")
            group["name"] = np.array([name.encode()])
            group["id"] = np.array([b"savu.plugins.module"])
            group["active"] = np.array([rest[0] if rest else True])
            group["data"] = np.array([json.dumps(data).encode()])
    return path


SAVU = [
    (
        "NxtomoLoader",
        {
            "data_path": "entry1/tomo_entry/data/data",
            "image_key_path": "entry1/tomo_entry/instrument/detector/image_key",
            "preview": [":", "mid-5:mid+6", "300:end-300"],
            "dark": [None, None, 1],
            "angles": None,
        },
    ),
    ("DarkFlatFieldCorrection", {"in_datasets": [], "out_datasets": [], "pattern": "PROJECTION"}),
    ("Dezinger", {"kernel_size": 5}, False),
    ("RavenFilter", {"uvalue": 20, "vvalue": 1, "nvalue": 8, "padFT": 20}),
    ("VoCentering", {"preview": [], "search_area": [-50, 50], "ratio": 0.5, "step": 0.5}),
    (
        "AstraReconCpu",
        {
            "algorithm": "FBP",
            "FBP_filter": "ram-lak",
            "centre_of_rotation": 0.0,
            "log": True,
            "ratio": 0.95,
            "n_iterations": "1;2;5",
        },
    ),
    ("HilbertFilter", {}),
    ("ImageSaver", {}),
]


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
    assert "ImageSaver" in text


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


HTTOMO = """
- method: standard_tomo
  module_path: httomo.data.hdf.loaders
  parameters:
    data_path: entry1/tomo_entry/data/data
    image_key_path: entry1/tomo_entry/instrument/detector/image_key
    rotation_angles: {user_defined: {start_angle: 0, stop_angle: 180, angles_total: 181}}
    preview:
      detector_y: {start: 30, stop: 60}
      detector_x: {start: begin, start_offset: 10, stop: end, stop_offset: -10}
- method: find_center_vo
  module_path: httomolibgpu.recon.rotation
  parameters: {ind: mid, step: 0.25}
  id: centering
  side_outputs: {cor: centre_of_rotation}
- method: dark_flat_field_correction
  module_path: httomolibgpu.prep.normalize
  parameters: {}
- method: minus_log
  module_path: httomolibgpu.prep.normalize
  parameters: {}
- method: remove_stripe_based_sorting
  module_path: httomolibgpu.prep.stripe
  parameters: {size: !Sweep [11, 21]}
- method: FBP3d_tomobar
  module_path: httomolibgpu.recon.algorithm
  parameters: {center: "${{centering.side_outputs.centre_of_rotation}}", filter_freq_cutoff: 0.35, recon_mask_radius: 0.95, neglog: false}
  save_result: true
- method: total_variation_PD
  module_path: httomolibgpu.misc.denoise
  parameters: {regularisation_parameter: 1.0e-05}
- method: calculate_stats
  module_path: httomo.methods
  parameters: {}
- method: save_intermediate_data
  module_path: httomo.methods
  parameters: {}
- method: rescale_to_int
  module_path: httomolib.misc.rescale
  parameters: {perc_range_min: 0.0, perc_range_max: 100.0, bits: 16, glob_stats: "${{statistics.side_outputs.glob_stats}}"}
- method: save_to_images
  module_path: httomolib.misc.images
  parameters: {subfolder_name: images, axis: auto, file_format: tif}
"""


def test_a_pipeline_of_httomo(tmp_path):
    path = tmp_path / "pipeline.yaml"
    path.write_text(HTTOMO)
    found = pipeline.read(path)
    assert found.job["only"] == {"row": "30:60", "col": "start+10:end-10"}
    assert found.job["source"]["angles"] == "0:181"
    steps = found.job["steps"]
    assert [step["use"] for step in steps] == [
        "find_center",
        "flat_field",
        "minus_log",
        "remove_small_stripes",
        "fbp",
        "denoise_tv",
        "histogram",
        "rescale",
    ]
    assert steps[6] == {"use": "histogram", "low": 0.0, "high": 100.0}
    assert steps[7] == {
        "use": "rescale",
        "bits": 16,
        "low": {"from": "histogram.low"},
        "high": {"from": "histogram.high"},
        "inputs": ["denoise_tv"],
    }
    assert steps[0]["method"] == "vo"
    assert steps[1]["inputs"] == ["source"]
    assert steps[3]["size"] == {"sweep": [11, 21]}
    assert steps[4] == {"use": "fbp", "center": {"from": "find_center"}}
    assert found.job["sinks"] == [
        {"use": "hdf5", "of": "denoise_tv", "path": "pipeline_6.nxs"},
        {"use": "tiff", "of": "rescale", "path": "pipeline_images"},
    ]
    parse_job(found.job)
    text = "\n".join(found.remarks)
    assert "regularisation_parameter has another scale: set weight" in text


def test_a_half_acquisition_of_httomo_is_joined_about_the_axis_that_was_found(tmp_path):
    path = tmp_path / "wide.yaml"
    path.write_text("""
- {method: standard_tomo, module_path: httomo.data.hdf.loaders, parameters: {data_path: auto}}
- {method: dark_flat_field_correction, module_path: httomolibgpu.prep.normalize, parameters: {}}
- method: find_center_360
  module_path: httomolibgpu.recon.rotation
  parameters: {win_width: 10, side: null}
  id: centering
  side_outputs: {cor: centre_of_rotation, overlap: overlap, side: side}
- method: sino_360_to_180
  module_path: httomolibgpu.misc.morph
  parameters: {overlap: "${{centering.side_outputs.overlap}}", side: "${{centering.side_outputs.side}}"}
- {method: minus_log, module_path: httomolibgpu.prep.normalize, parameters: {}}
- method: FBP3d_tomobar
  module_path: httomolibgpu.recon.algorithm
  parameters: {center: "${{centering.side_outputs.centre_of_rotation}}"}
- {method: data_resampler, module_path: httomolibgpu.misc.morph, parameters: {newshape: [256, 300], interpolation: linear}}
""")
    found = pipeline.read(path)
    assert found.job["steps"][2:] == [
        {"use": "stitch_half_acquisition", "center": {"from": "find_center_360"}, "inputs": ["flat_field"]},
        {"use": "minus_log"},
        {"use": "fbp"},  # about the middle, where the axis lies once the halves are joined
        {"use": "resample", "height": 256, "width": 300, "interpolation": "linear"},
    ]


def test_the_first_form_of_httomo(tmp_path):
    path = tmp_path / "old.yaml"
    path.write_text("""
- httomo.data.hdf.loaders: {standard_tomo: {data_path: /entry/imaging/data, image_key_path: /entry/instrument/imaging/image_key}}
- httomolibgpu.prep.normalize: {normalize: {cutoff: 10.0, minus_log: true}}
- tomopy.recon.algorithm: {recon: {algorithm: gridrec, center: !SweepRange {start: 555, stop: 565, step: 0.5}}}
""")
    found = pipeline.read(path)
    assert [step["use"] for step in found.job["steps"]] == ["flat_field", "minus_log", "fbp"]
    assert found.job["steps"][2]["center"]["sweep"][:3] == [555, 555.5, 556]
    assert len(found.job["steps"][2]["center"]["sweep"]) == 20
    parse_job(found.job)


TOFU = """
[general]
verbose = False
[reading]
y = 10
height = 20
y-step = 2
number = 720
[flat-correction]
projections = scan/radios
darks = scan/darks
flats = scan/flats
absorptivity = True
[retrieve-phase]
energy = {energy}
propagation-distance = 0.3
pixel-size = 1e-6
regularization-rate = 2.0
[general-reconstruction]
overall-angle = 180
center-position-x = 1024.5
axis-angle-x = {tilt}
projection-filter = ramp-fromreal
"""


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


TOMOCUPY = """
[file-reading]
file-name = {file}
file-type = standard
[remove-stripe]
remove-stripe-method = vo-all
vo-all-snr = 3.0
vo-all-la-size = 61
vo-all-sm-size = 21
[reconstruction-types]
reconstruction-algorithm = fourierrec
[reconstruction]
rotation-axis = {axis}
rotation-axis-auto = {auto}
rotation-axis-method = vo
start-row = 1
end-row = 3
fbp-filter = parzen
dezinger = 3
dezinger-threshold = 5000
pixel-size = 2.0
lamino-angle = 0.0
bright-ratio = 1
"""


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


def test_an_imported_job_runs(tmp_path):
    scan = tmp_path / "scan.h5"
    phantom = {"use": "phantom", "columns": 64, "rows": 4, "angles": 90}
    captured = {"source": phantom, "steps": [], "sinks": [{"use": "dxfile", "of": "source", "path": str(scan)}]}
    fl.start(load_job(captured)).finished(timeout=60)
    path, job = tmp_path / "tomocupyon.conf", tmp_path / "job.yaml"
    path.write_text(TOMOCUPY.format(file="elsewhere.h5", axis=31.5, auto="manual"))
    done = call(path, "--scan", scan, "-o", job)
    assert done.exit_code == 0, done.output
    values = yaml.safe_load(job.read_text())
    assert values["source"]["path"] == str(scan)
    steps = [step for step in values["steps"] if step["use"] != "remove_all_stripes"]  # too few angles for its windows
    values |= {"steps": steps, "sinks": []}
    run = fl.start(load_job({**values, "sinks": [{"use": "hdf5", "of": "fbp", "path": str(tmp_path / "out.h5")}]}))
    run.finished(timeout=100)
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["entry/data/data"].shape == (2, 64, 64)
        assert np.isfinite(file["entry/data/data"][()]).all()


def test_the_command_lists_what_was_lost(tmp_path):
    done = call(savu_list(tmp_path / "list.nxs", SAVU), "-o", tmp_path / "job.yaml")
    assert done.exit_code == 0
    text = (tmp_path / "job.yaml").read_text()
    assert text.startswith("# Made of list.nxs (Savu) by 'firstlight import'.\n# To be looked at:\n")
    assert "HilbertFilter" in text
    load_job(tmp_path / "job.yaml")
    assert call(tmp_path / "list.nxs", "-o", tmp_path / "job.yaml").exit_code == 2, "it is there already"
    assert call(tmp_path / "gone.nxs").exit_code == 2
    (tmp_path / "words.txt").write_text("words")
    wrong = call(tmp_path / "words.txt")
    assert wrong.exit_code == 2
    assert "settings of httomo, savu, tofu, tomocupy" in wrong.output


@pytest.mark.parametrize("reader", READERS)
def test_only_ones_own_files_are_recognised(tmp_path, reader):
    savu_list(tmp_path / "savu.nxs", SAVU)
    (tmp_path / "httomo.yaml").write_text(HTTOMO)
    (tmp_path / "tofu.conf").write_text(TOFU.format(energy=1, tilt=0))
    (tmp_path / "tomocupy.conf").write_text(TOMOCUPY.format(file="x", axis=1, auto="auto"))
    (tmp_path / "job.yaml").write_text("source: phantom\nsteps: [{use: fbp}]\n")
    known = [path.stem for path in sorted(tmp_path.iterdir()) if reader.recognises(path)]
    assert known == [reader.__name__.split(".")[2]]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.yaml", "- [" * 5000),
        ("x.yaml", "- {method: 3, module_path: [1]}"),
        ("x.yaml", "a: &a [*a]"),
        ("x.yaml", "- !Sweep 3\n- !SweepRange x"),
        ("x.conf", "[fbp]\nx" * 3),
        ("x.conf", "no section"),
        ("x.conf", "[general-reconstruction]\ncenter-position-x = left"),
        ("x.conf", "[reconstruction]\nrotation-axis = nan\n[remove-stripe]\nremove-stripe-method = odd"),
    ],
)
def test_damaged_settings_are_told(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    for reader in READERS:
        try:
            found = reader.read(tmp_path / name) if reader.recognises(tmp_path / name) else None
        except SourceError:
            continue
        assert found is None or found.remarks


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([HTTOMO, TOFU, TOMOCUPY]), st.data())
def test_any_change_of_the_settings_is_read_or_told(tmp_path, text, data):
    place = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 30))
    changed = text[:place] + data.draw(st.text(max_size=8)) + text[place + length :]
    path = tmp_path / ("x.yaml" if text is HTTOMO else "x.conf")
    path.write_text(changed, encoding="utf-8", errors="ignore")
    for reader in READERS[1:]:
        try:
            reader.read(path)
        except SourceError:
            pass


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


@pytest.mark.parametrize("limit", ["!Sweep [1, 2]", "text", "[1]", ".nan", "null"])
def test_limits_of_grey_values_that_are_no_numbers_are_told(tmp_path, limit):
    path = tmp_path / "grey.yaml"
    path.write_text(f"""
- {{method: standard_tomo, module_path: httomo.data.hdf.loaders, parameters: {{data_path: auto}}}}
- {{method: minus_log, module_path: httomolibgpu.prep.normalize, parameters: {{}}}}
- {{method: rescale_to_int, module_path: httomolib.misc.rescale, parameters: {{perc_range_min: {limit}, bits: 8}}}}
""")
    found = pipeline.read(path)
    assert [step["use"] for step in found.job["steps"]] == ["minus_log", "histogram", "rescale"]
    assert any("perc_range_min" in each or "histogram" in each for each in found.remarks) == (limit != "null")
