"""Every key that holoptycho documents: its value shows in the job, or is told to have no effect."""

import pytest

from firstlight.compat.holoptycho.config import read_config
from firstlight.compat.holoptycho.keys import KEYS, key_of

from .holoptycho_jobs import GOOD, crop, eiger, job_with, limits, network, panda, patches, solver

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
