"""holoptycho's flat config: every documented key, what is refused, and the job that comes out."""

from pathlib import Path

import numpy as np
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from firstlight.compat.holoptycho.config import ConfigError, read_config
from firstlight.compat.holoptycho.environment import read_environment, z85
from firstlight.compat.holoptycho.job import job_of
from firstlight.compat.holoptycho.kept import write_ini
from firstlight.compat.holoptycho.keys import KEYS, key_of
from firstlight.compat.holoptycho.orientation import for_rows, reduced
from firstlight.core.job import parse_job
from firstlight.operators.correct.orient import ORIENTATIONS
from firstlight.operators.learn.models import SHIPPED

GOOD = {
    "scan_num": "411993",
    "nx": "256",
    "ny": "256",
    "x_range": "2",
    "y_range": "2",
    "x_num": "100",
    "y_num": "100",
    "det_roix0": "0",
    "det_roiy0": "0",
    "x_ratio": "-9.542e-05",
    "y_ratio": "-1.0309e-04",
    "xray_energy_kev": "9.04",
    "lambda_nm": "0.137146",
    "ccd_pixel_um": "75",
    "distance": "0",
    "z_m": "2.05",
    "batch_x0": "118",
    "batch_y0": "90",
}
SHIPPED_NETWORK = SHIPPED / "phantom_v2.onnx"
STREAMS = {"SERVER_STREAM_SOURCE": "tcp://localhost:5555", "PANDA_STREAM_SOURCE": "tcp://localhost:5556"}

# What sections 1 and 2.4 of the facts about holoptycho document, by name.
DOCUMENTED = """
scan_num scan_id raw_uid scan_type sign shm_name working_directory nx ny xray_energy_kev lambda_nm z_m ccd_pixel_um x_num
y_num x_range y_range dr_x dr_y nz x_arr_size y_arr_size angle x_direction y_direction x_ratio y_ratio pos_x_channel
pos_y_channel panda_upsample position_swap_xy simulate_positions angle_correction_flag angle_flip_flag obj_pad batch_x0
batch_y0 batch_width batch_height det_roix0 det_roiy0 detector_orientation detectorkind auto_center_dp auto_center_headroom
segmentation_threshold dp_orient dp_orient_iterative x_direction_iterative y_direction_iterative hot_pixel_count_threshold
flip_image vit_normalization vit_scale patch_flip inner_crop mosaic_overshoot_factor mosaic_min_overlap mosaic_edge_trim
mosaic_oversample mosaic_slow_gate mosaic_transpose vit_max_lead vit_batch_writes frame_write_stride allow_mid_scan_join
recon_mode gpus gpu_batch_size precision n_iterations max_iterations it_ends_after live_num_points_max start_update_probe
start_update_object alpha beta sigma2 ml_mode mask_obj_flag amp_max amp_min pha_max pha_min init_prb_flag prb_path distance
clear_region_enabled prb_mode_num obj_mode_num alg_flag alg2_flag alg_percentage ml_weight init_obj_flag init_obj_dpc_flag
mode_flag multislice_flag position_correction_flag pc_flag bragg_flag refine_data_flag display_interval nth processes use_NCCL
use_CUDA_MPI dm_version start_ave save_tmp_pic_flag
""".split()

# A value of each key that has an effect, other than its default, and where it must show in the job.
EFFECTS = {
    "scan_num": ("7", lambda job: job["name"] == "scan_7"),
    "working_directory": ("/data/x", lambda job: job["sinks"][0]["path"].startswith("/data/x/")),
    "nx": ("128", lambda job: crop(job)["columns"] == [118, 246]),
    "ny": ("64", lambda job: crop(job)["rows"] == [90, 154]),
    "batch_x0": ("5", lambda job: crop(job)["columns"] == [5, 261]),
    "batch_y0": ("6", lambda job: crop(job)["rows"] == [6, 262]),
    "z_m": ("1.5", lambda job: solver(job)["distance"] == 1.5),
    "ccd_pixel_um": ("55", lambda job: solver(job)["detector_pixel"] == 55),
    "xray_energy_kev": ("9.05 keV", lambda job: solver(job)["energy"] == 9.05),
    "angle": ("60", lambda job: panda(job)["angle"] == 60),
    "angle_correction_flag": ("False", lambda job: "angle" not in panda(job)),
    "x_direction": ("1", lambda job: panda(job)["x_direction"] == 1),
    "y_direction": ("1", lambda job: panda(job)["y_direction"] == 1),
    "x_direction_iterative": ("1", lambda job: panda(job)["x_direction"] == 1),
    "y_direction_iterative": ("1", lambda job: panda(job)["y_direction"] == 1),
    "x_ratio": ("0.5", lambda job: panda(job)["x_scale"] == 0.5),
    "y_ratio": ("0.5", lambda job: panda(job)["y_scale"] == 0.5),
    "pos_x_channel": ("/A.VAL.Value", lambda job: panda(job).get("x_channel") == "/A.VAL.Value"),
    "pos_y_channel": ("/B.VAL.Value", lambda job: panda(job).get("y_channel") == "/B.VAL.Value"),
    "panda_upsample": ("10", lambda job: panda(job)["upsample"] == 10),
    "position_swap_xy": ("True", lambda job: panda(job)["swap"] is True),
    "detector_orientation": ("rot180", lambda job: job["steps"][0]["to"] == "rot180"),
    "dp_orient_iterative": ("identity", lambda job: job["steps"][2]["to"] == "transpose"),
    "recon_mode": (
        "both",
        lambda job: [step["use"] for step in job["steps"][-3:]] == ["ptychography", "network_patches", "patch_mosaic"],
    ),
    "vit_normalization": (
        "2e4",
        lambda job: [each.get("normalization") for each in (patches(job), network(job))] == [2e4, 2e4],
    ),
    "vit_scale": ("2e4", lambda job: patches(job).get("scale") == 2e4),
    "dp_orient": ("identity", lambda job: patches(job).get("orientation") == "identity"),
    "patch_flip": ("fliplr", lambda job: network(job).get("patch_orientation") == "rot90_ccw"),
    "inner_crop": ("16", lambda job: network(job).get("inner") == 224),
    "alg_flag": ("DM", lambda job: solver(job)["algorithm"] == "dm"),
    "ml_mode": ("Gaussian", lambda job: solver(job)["noise"] == "gaussian"),
    "prb_mode_num": ("3", lambda job: solver(job)["modes"] == 3),
    "it_ends_after": ("300", lambda job: solver(job)["iterations"] == 300),
    "start_update_object": ("4", lambda job: solver(job).get("object_after") == 4),
    "obj_mode_num": ("2", lambda job: solver(job).get("object_modes") == 2),
    "precision": ("double", lambda job: solver(job).get("precision") == "double"),
    "hot_pixel_count_threshold": ("50000", lambda job: solver(job).get("saturation") == 50000),
    "init_obj_dpc_flag": ("True", lambda job: solver(job).get("first_object") == "deflection"),
    "auto_center_dp": ("True", lambda job: crop(job)["use"] == "crop_bright" and crop(job)["size"] == [256, 256]),
    "auto_center_headroom": (
        "10",
        lambda job: crop(job).get("rows") == [80, 356] and crop(job)["columns"] == [108, 384],
    ),
    "segmentation_threshold": ("0.1", lambda job: crop(job).get("threshold") == 0.1),
    "start_update_probe": ("9", lambda job: solver(job)["probe_after"] == 9),
    "distance": ("-30", lambda job: solver(job).get("probe_defocus") == -30),
    "alg2_flag": ("ML_grad", lambda job: solver(job).get("algorithm2") == "ml"),
    "position_correction_flag": ("True", lambda job: solver(job).get("refine_positions") == "gradient"),
    "eiger_socket": ("pull", lambda job: eiger(job)["socket"] == "pull"),
    "x_low": ("-3 um", lambda job: limits(job)["low"] == [-1e9, -3] and solver(job)["inputs"][1] == "asked_for"),
    "x_high": ("3", lambda job: limits(job)["high"] == [1e9, 3]),
    "y_low": ("-2", lambda job: limits(job)["low"] == [-2, -1e9]),
    "y_high": ("2", lambda job: limits(job)["high"] == [2, 1e9]),
    "repeatable": ("True", lambda job: solver(job).get("repeatable") is True),
    "scan_timeout": ("5 min", lambda job: eiger(job)["timeout"] == 300 == panda(job)["timeout"]),
    "scan_idle": ("2", lambda job: eiger(job)["idle"] == 2 == panda(job)["idle"]),
}
OF_CENTRING = {"auto_center_headroom", "segmentation_threshold"}
OF_NETWORK = {"vit_normalization", "vit_scale", "dp_orient", "patch_flip", "inner_crop"}
CHECKED_ALONE = {
    "lambda_nm", "batch_width", "batch_height", "angle_flip_flag", "simulate_positions", "multislice_flag", "slice_num",
    "slice_spacing_m", "position_correction_start", "pha_max", "pha_min", "init_prb_flag", "prb_path", "panda_curve", "alg_percentage", "mask_obj_flag", "amp_max", "amp_min",
}  # fmt: skip
OF_TREE = {"frame_write_stride", "vit_batch_writes"}  # test_holoptycho_tree
METADATA = {"scan_id", "raw_uid", "x_num", "y_num", "x_range", "y_range"}


def crop(job):
    return next(step for step in job["steps"] if step["name"] == "crop")


def solver(job):
    return job["steps"][-1]


def solver_of(job):
    return next(step for step in job["steps"] if step["use"] == "ptychography")


def network(job):
    return next((step for step in job["steps"] if step["use"] == "patch_mosaic"), {})


def patches(job):
    return next((step for step in job["steps"] if step["use"] == "network_patches"), {})


def limits(job):
    return next((step for step in job["steps"] if step["use"] == "exclude_outside"), {"low": None, "high": None})


def panda(job):
    return job["source"]["sources"]["positions"]


def eiger(job):
    return job["source"]["sources"]["data"]


def job_with(variables=STREAMS, **changes):
    return job_of(read_config({**GOOD, **changes}), read_environment(variables), Path("/tmp"), "/models/eight_v1.onnx")


@pytest.mark.parametrize("name", sorted({*DOCUMENTED, *KEYS}))
def test_each_key_does_what_the_table_says(name):
    key = key_of(name)
    assert key is not None, "the table does not know it"
    if key.treatment == "ignored":
        found = read_config({**GOOD, name: "3"})
        assert any(name in warning for warning in found.warnings) != key.required, "what must be given is not warned of"
        assert name not in found.values
        assert key.note
    elif name in METADATA:
        assert read_config({**GOOD, name: "3"}).values[name] in ("3", 3)
    elif name not in CHECKED_ALONE | OF_TREE:
        value, shows = EFFECTS[name]
        changes = {"lambda_nm": ""} if name == "xray_energy_kev" else {}
        learned = {"recon_mode": "vit"} if name in OF_NETWORK else {}
        learned |= {"auto_center_dp": "True"} if name in OF_CENTRING else {}
        assert shows(job_with(**{name: value}, **changes, **learned))
        assert not shows(job_with(**learned))


def test_the_network_alone_or_beside_the_engine():
    with pytest.raises(ConfigError, match="hp model set NAME"):
        job_of(read_config({**GOOD, "recon_mode": "vit"}), read_environment(STREAMS), Path("/tmp"))
    alone, both = (
        job_with(recon_mode="vit"),
        job_with({**STREAMS, "TILED_BASE_URL": "http://t:8000"}, recon_mode="both"),
    )
    assert {view["of"].partition(".")[0] for view in alone["views"]} == {"ptychography_network"}
    assert [sink["of"] for sink in alone["sinks"]] == ["ptychography_network.object"]
    # frames as they are before they are turned for the engine; the same positions, with the signs of the network
    assert (patches(both)["inputs"], solver_of(both)["inputs"]) == (["crop"], ["oriented"])
    assert network(both)["inputs"] == ["inference", "source.positions"]
    uses = [step["use"] for step in both["steps"]]
    assert uses.count("network_patches") + uses.count("ptychography_network") == 1, "the network runs once"
    assert network(job_with(recon_mode="vit", x_direction_iterative="1"))["signs"] == [1, -1]
    assert [node.name for node in parse_job(alone).pipeline.nodes][-1] == "ptychography_network"


def test_the_job_is_one_that_runs():
    job = parse_job(job_with())
    assert [node.name for node in job.pipeline.nodes] == ["mounted", "crop", "oriented", "ptychography"]
    # at HXN: fliplr of the detector, then rot90_cw with x first, which is flipud with y first
    assert [step["to"] for step in job_with()["steps"] if step["use"] == "orient"] == ["fliplr", "flipud"]


@pytest.mark.parametrize("name", [name for name, key in KEYS.items() if key.required])
def test_a_required_key_is_named(name):
    with pytest.raises(ConfigError, match=f"missing: {name}"):
        read_config({other: value for other, value in GOOD.items() if other != name})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lambda_nm": "0.2"}, "contradicts xray_energy_kev"),
        ({"batch_width": "128"}, "batch_width = 128 contradicts nx = 256"),
        ({"nx": "0"}, "nx = '0': expected a whole number of at least 1"),
        ({"nx": "12.5"}, "whole number"),
        ({"z_m": "2 keV"}, "z_m"),
        ({"z_m": "-1"}, "more than 0 m"),
        ({"x_ratio": "nan"}, "x_ratio"),
        ({"xray_energy_kev": "1e400"}, "finite"),
        ({"x_direction": "2"}, "1 or -1"),
        ({"angle_flip_flag": "maybe"}, "True or False"),
        ({"dp_orient_iterative": "sideways"}, "rot90_cw"),
        ({"recon_mode": "fast"}, "expected iterative or vit or both"),
        ({"recon_mode": "vit", "dp_orient": "auto"}, "dp_orient = auto is not possible"),
        ({"obj_mode_num": "2", "alg_flag": "DM"}, "ePIE and rPIE alone"),
        ({"multislice_flag": "True"}, "needs slice_spacing_m"),
        ({"multislice_flag": "True", "slice_spacing_m": "5e-6", "obj_mode_num": "2"}, "not possible together"),
        ({"pha_min": "1", "pha_max": "0"}, "less than pha_max"),
        ({"precision": "half"}, "expected single or double"),
        ({"simulate_positions": "True"}, "must be measured"),
        ({"init_prb_flag": "False"}, "needs prb_path"),
        ({"panda_upsampl": "10"}, "did you mean 'panda_upsample'"),
        ({"alg_percentage": "1.5"}, "0 to 1"),
        ({"amp_min": "1", "amp_max": "0.5"}, "less than amp_max"),
        ({"detector_orientation": "auto"}, "rot90_cw"),
        ({"batch_x0": "", "auto_center_dp": "False"}, "batch_x0 and batch_y0"),
    ],
)
def test_what_can_not_be_is_refused(changes, says):
    with pytest.raises(ConfigError, match=says):
        read_config({**GOOD, **changes})


def test_every_mistake_is_told_at_once():
    with pytest.raises(ConfigError, match=r"nx.*ny.*missing: scan_num"):
        read_config({**GOOD, "nx": "x", "ny": "y", "scan_num": ""})


def test_units_flip_and_warm_start():
    assert solver(job_with(xray_energy_kev="9040 eV"))["energy"] == pytest.approx(9.04)
    assert panda(job_with(angle="-50", angle_flip_flag="True"))["x_direction"] == 1
    warm = solver(job_with(init_prb_flag="False", prb_path="/data/probe.npy"))
    assert (warm["probe"], warm["probe_defocus"]) == ("/data/probe.npy", 0)
    # holoptycho's has the fast axis first; ours, in HDF5, has not
    assert warm["probe_orientation"] == "transpose"
    assert "probe_orientation" not in solver(job_with(init_prb_flag="False", prb_path="/data/probe.h5"))
    assert "probe_defocus" not in solver(job_with()), "found from the data"


def test_the_network_is_told_the_probe_as_it_sees_patterns():
    """That of the iterative engine, turned by what turns its patterns into those of the network."""
    config = {
        **GOOD,
        "recon_mode": "vit",
        "nx": "64",
        "ny": "64",
        "init_prb_flag": "False",
        "prb_path": "/data/probe.npy",
    }

    def told(**changes):
        found = job_of(read_config(config | changes), read_environment(STREAMS), Path("/tmp"), str(SHIPPED_NETWORK))
        assert patches(found).get("probe") == network(found).get("probe")
        return patches(found).get("probe"), patches(found).get("probe_orientation")

    assert told() == ("/data/probe.npy", "identity")
    assert told(dp_orient="identity") == ("/data/probe.npy", "rot90_ccw")
    assert told(prb_path="/data/probe.h5") == ("/data/probe.h5", reduced("transpose, rot90_ccw, rot90_cw"))
    assert told(dp_orient_iterative="auto") == (None, None), "nobody knows how the engine sees them"
    assert told(init_prb_flag="True") == (None, None)
    assert told(nx="128", ny="128") == (None, None), "a probe in other pixels"


def test_a_network_for_smaller_patterns_sees_their_middle():
    def job(**changes):
        config = read_config({**GOOD, "recon_mode": "vit", **changes})
        return job_of(config, read_environment(STREAMS), Path("/tmp"), str(SHIPPED_NETWORK))

    large = job(nx="128", ny="100")
    (cut,) = (step for step in large["steps"] if step["name"] == "network_frames")
    assert (cut["inputs"], cut["rows"], cut["columns"]) == (["crop"], [18, 82], [32, 96])
    assert patches(large)["inputs"] == ["network_frames"]
    assert patches(job(nx="64", ny="64"))["inputs"] == ["crop"]
    with pytest.raises(ConfigError, match=r"phantom_v2.* takes patterns of 64 × 64.*hp model set"):
        job(nx="48", ny="128")


def test_switch_clamp_and_orientation_that_is_found():
    switched = solver(job_with(alg_flag="DM", alg2_flag="ePIE", alg_percentage="0.5"))
    assert (switched["algorithm"], switched["algorithm2"], switched["switch_after"]) == ("dm", "epie", 0.5)
    limits = {"amp_min": "0.5", "amp_max": "1.1"}
    clamped = solver(job_with(mask_obj_flag="True", **limits))
    assert (clamped["least_magnitude"], clamped["largest_magnitude"]) == (0.5, 1.1)
    assert "least_magnitude" not in solver(job_with(mask_obj_flag="False", **limits))
    phases = solver(job_with(mask_obj_flag="True", pha_min="-1", pha_max="0.01"))
    assert (phases["least_phase"], phases["largest_phase"]) == (-1, 0.01)
    assert "least_phase" not in solver(job_with(pha_min="-1"))
    found = job_with(dp_orient_iterative="auto", detector_orientation="identity")
    assert [step["use"] for step in found["steps"]] == ["crop", "ptychography"]
    assert solver(found)["orientation"] == "auto"
    parse_job(found)
    assert "alg_flag = PM" in " ".join(read_config({**GOOD, "alg_flag": "PM"}).warnings)


def test_slices_correction_and_a_crop_that_is_found():
    thick = job_with(multislice_flag="True", slice_num="3", slice_spacing_m="5e-06")
    assert (solver(thick)["slices"], solver(thick)["slice_gap"]) == (3, pytest.approx(5))
    assert "slices" not in solver(job_with(multislice_flag="False", slice_num="2", slice_spacing_m="5e-06"))
    late = solver(job_with(position_correction_flag="True", position_correction_start="50"))
    assert (late["refine_positions"], late["refine_after"]) == ("gradient", 50)
    assert "refine_after" not in solver(job_with(position_correction_start="50"))
    found = job_with(batch_x0="", batch_y0="", nx="128", ny="64", dp_orient_iterative="identity")
    assert [step["use"] for step in found["steps"]] == ["orient", "crop_bright", "orient", "ptychography"]
    assert (crop(found)["size"], "rows" in crop(found)) == ([64, 128], False), "anywhere in the frame"
    around = crop(job_with(auto_center_dp="True"))
    assert (around["rows"], around["columns"]) == ([26, 410], [54, 438]), "a quarter of nx around what is given"
    assert "rows" not in crop(job_with(auto_center_dp="True", auto_center_headroom="-1"))
    assert job_with(batch_x0="", recon_mode="both"), "the network too sees what was found"
    for job in (thick, found):
        parse_job(job)


def test_a_secret_is_refused_and_never_repeated():
    with pytest.raises(ConfigError, match="CLIENT_SECRET_KEY") as refused:
        read_config({**GOOD, "tiled_api_key": "geheim-1234"})
    assert "geheim" not in str(refused.value)


def test_orientations_form_the_group():
    """A list of two is what numpy makes of one after the other, for all 64 pairs."""
    frame = np.arange(12).reshape(3, 4)
    for first in ORIENTATIONS:
        for second in ORIENTATIONS:
            wanted = ORIENTATIONS[second](ORIENTATIONS[first](frame))
            np.testing.assert_array_equal(ORIENTATIONS[reduced(f"{first},{second}")](frame), wanted)
    assert for_rows("transpose") == "identity"


# ---- environment -----------------------------------------------------------------------------------------------------


def curve():
    server, (public, secret) = zmq.curve_keypair()[0], zmq.curve_keypair()
    return {
        "SERVER_PUBLIC_KEY": server.decode(),
        "CLIENT_PUBLIC_KEY": public.decode(),
        "CLIENT_SECRET_KEY": secret.decode(),
    }


def test_missing_streams_are_named():
    with pytest.raises(ConfigError, match="PANDA_STREAM_SOURCE"):
        read_environment({"SERVER_STREAM_SOURCE": "tcp://h:1"})


def test_what_the_engine_works_on_is_dumped_where_the_environment_says():
    assert solver(job_with(STREAMS | {"HOLOPTYCHO_DUMP_ENGINE_INPUTS": "/tmp/dump"}))["inputs_folder"] == "/tmp/dump"
    assert "inputs_folder" not in solver(job_with())


def test_the_secret_key_stays_in_the_environment():
    keys = curve()
    job = job_with(STREAMS | keys, panda_curve="True")
    assert keys["CLIENT_SECRET_KEY"] not in str(job)
    for stream in (eiger(job), panda(job)):
        assert (stream["server_key"], stream["secret_key"]) == (keys["SERVER_PUBLIC_KEY"], "CLIENT_SECRET_KEY")
    assert "server_key" not in panda(job_with(STREAMS | keys)), "holoptycho's positions are never encrypted"


def test_keys_come_all_or_none_as_z85_or_base64_and_fit():
    import base64

    from zmq.utils import z85 as reference

    keys = curve()
    raw = base64.b64encode(reference.decode(keys["SERVER_PUBLIC_KEY"])).decode()
    assert z85(raw, "SERVER_PUBLIC_KEY") == keys["SERVER_PUBLIC_KEY"]
    with pytest.raises(ConfigError, match="Missing: CLIENT_SECRET_KEY"):
        read_environment(STREAMS | keys | {"CLIENT_SECRET_KEY": ""})
    with pytest.raises(ConfigError, match="no pair") as refused:
        read_environment(STREAMS | keys | {"CLIENT_SECRET_KEY": curve()["CLIENT_SECRET_KEY"]})
    assert keys["CLIENT_PUBLIC_KEY"] not in str(refused.value)
    with pytest.raises(ConfigError, match="TILED_API_KEY") as told:
        read_environment(STREAMS | {"TILED_BASE_URL": "http://t?api_key=geheim"})
    assert "geheim" not in str(told.value)
    with pytest.raises(ConfigError, match="SERVER_PUBLIC_KEY is no CurveZMQ key"):
        read_environment(STREAMS | keys | {"SERVER_PUBLIC_KEY": "short"})


def test_a_config_is_kept_as_the_file_that_other_programs_read(tmp_path, caplog):
    from firstlight.connectors.hxn.from_scan import config_from_file

    odd = {**GOOD, "pos_x_channel": "/A%B.VAL.Value", "raw_uid": "a\n[b]\nc = d"}
    write_ini(tmp_path / "configs", odd)
    assert config_from_file(tmp_path / "configs" / "config.txt") == {**odd, "raw_uid": "a [b] c = d"}
    (tmp_path / "taken").write_text("")
    write_ini(tmp_path / "taken", GOOD)
    assert "HOLOPTYCHO_CONFIG_DIR" in caplog.text


# ---- anything at all -------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(sorted(KEYS)) | st.text(max_size=20)
VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.lists(st.integers(), max_size=3)
)


@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_any_config_is_read_or_refused(changes):
    try:
        found = read_config({**GOOD, **changes})
    except ConfigError:
        return
    job_of(found, read_environment(STREAMS), Path("/tmp"))
