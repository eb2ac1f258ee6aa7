"""holoptycho's config keys: what we make of each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["count", "whole", "length", "number", "flag", "sign", "text", "orientation"]


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the flat config."""

    treatment: Literal["used", "mapped", "ignored", "own"]
    """`used`: it means the same here; `mapped`: to what `note` says; `ignored`: with a warning; `own`: we added it."""
    kind: Kind = "text"
    note: str = ""
    unit: str = ""
    """Unit of a plain number."""
    required: bool = False
    positive: bool = False


ALGORITHMS = {
    "epie": "epie",
    "rpie": "rpie",
    "dm": "dm",
    "raar": "raar",
    "lsqml": "lsq",
    "ml_grad": "ml",
    "ml": "ml",
}
"""`alg_flag` in small letters to our algorithm; holoptycho's streaming engine is ML_grad whatever it says."""

REQUIRED = "required, as by holoptycho, and not needed"

KEYS: dict[str, Key] = {
    # ---- what is scanned
    "scan_num": Key("used", "text", "name of the run and of its files", required=True),
    "scan_id": Key("used", "text", "metadata of the results"),
    "raw_uid": Key("used", "text", "metadata of the results"),
    "scan_type": Key("ignored", note="any path of the probe will do"),
    "sign": Key("ignored", note="a tag in names of files"),
    "shm_name": Key("ignored", note="no shared memory"),
    "working_directory": Key("mapped", "text", "folder of the HDF5 files with the results"),
    # ---- geometry
    "nx": Key("used", "count", "columns of the pattern that is used", required=True),
    "ny": Key("used", "count", "rows of the pattern that is used", required=True),
    "xray_energy_kev": Key("used", "length", "photon energy", "keV", required=True, positive=True),
    "lambda_nm": Key("used", "length", "must agree with the energy", "nm", positive=True),
    "z_m": Key("used", "length", "from the sample to the detector", "m", positive=True),
    "ccd_pixel_um": Key("used", "length", "pixel of the detector", "um", required=True, positive=True),
    "x_num": Key("used", "whole", "metadata of the results; the number of points is not needed", required=True),
    "y_num": Key("used", "whole", "metadata of the results; the number of points is not needed", required=True),
    "x_range": Key("used", "length", "metadata of the results; the image grows with the scan", "um", required=True),
    "y_range": Key("used", "length", "metadata of the results; the image grows with the scan", "um", required=True),
    "dr_x": Key("ignored", note="positions are measured"),
    "dr_y": Key("ignored", note="positions are measured"),
    "nz": Key("ignored", note="the number of points is not needed"),
    "x_arr_size": Key("ignored", note="the image grows with the scan"),
    "y_arr_size": Key("ignored", note="the image grows with the scan"),
    "obj_pad": Key("ignored", note="the image grows with the scan"),
    "angle": Key("used", "length", "rotation of the sample", "deg"),
    "angle_correction_flag": Key("used", "flag", "foreshortening of the fast axis"),
    "angle_flip_flag": Key("used", "flag", "turns the fast axis round at −45° and below"),
    "x_direction": Key("used", "sign", "of the fast axis"),
    "y_direction": Key("used", "sign", "of the slow axis"),
    "x_direction_iterative": Key("mapped", "sign", "goes before x_direction"),
    "y_direction_iterative": Key("mapped", "sign", "goes before y_direction"),
    "x_ratio": Key("used", "number", "micrometre per count of the fast axis", "um", required=True),
    "y_ratio": Key("used", "number", "micrometre per count of the slow axis", "um", required=True),
    "pos_x_channel": Key("used", "text", "channel of the PandABox with the fast axis"),
    "pos_y_channel": Key("used", "text", "channel of the PandABox with the slow axis"),
    "panda_upsample": Key("used", "count", "samples for each frame"),
    "position_swap_xy": Key("used", "flag", "exchange y and x"),
    "simulate_positions": Key("mapped", "flag", "refused where true: positions must be measured"),
    # ---- detector
    "batch_x0": Key("used", "whole", "first column of the pattern"),
    "batch_y0": Key("used", "whole", "first row of the pattern"),
    "batch_width": Key("used", "count", "must be nx"),
    "batch_height": Key("used", "count", "must be ny"),
    "det_roix0": Key("ignored", "text", REQUIRED, required=True),
    "det_roiy0": Key("ignored", "text", REQUIRED, required=True),
    "detector_orientation": Key("used", "orientation", "of the whole frame, before the crop; default fliplr"),
    "detectorkind": Key("ignored", note="frames say what they are"),
    "auto_center_dp": Key(
        "mapped", "flag", "the pattern's middle is found in the first 64 frames; default where no crop is given"
    ),
    "auto_center_headroom": Key(
        "used", "number", "pixels around the crop that is given in which the middle is looked for; -1: everywhere"
    ),
    "segmentation_threshold": Key(
        "used",
        "number",
        "part of the brightest pixel, for the crop that is found and vit/segmentation_mask; default 0.02",
        positive=True,
    ),
    "dp_orient": Key("mapped", "orientation", "of the pattern, for the network; default rot90_cw"),
    "dp_orient_iterative": Key(
        "mapped", "orientation", "of the pattern, before a transposition, or `auto`: found; default rot90_cw"
    ),
    "hot_pixel_count_threshold": Key("mapped", "number", "pixels with this count or more do not count", positive=True),
    "flip_image": Key("ignored", note="deprecated there"),
    # ---- reconstruction
    "recon_mode": Key("mapped", "text", "`iterative`, `vit` (the chosen network alone) or `both`; default iterative"),
    "alg_flag": Key("mapped", "text", "algorithm: ePIE, rPIE, DM, RAAR, LSQML, ML_grad; default ePIE"),
    "ml_mode": Key("mapped", "text", "noise: Poisson or Gaussian"),
    "prb_mode_num": Key("used", "count", "modes of the probe; more than 1 will do here"),
    "obj_mode_num": Key("mapped", "count", "incoherent states of the object (ePIE, rPIE)"),
    "multislice_flag": Key("mapped", "flag", "a thick object: slice_num slices, slice_spacing_m apart (ePIE, rPIE)"),
    "slice_num": Key("mapped", "count", "of slices, where multislice_flag is true; default 2"),
    "slice_spacing_m": Key(
        "mapped", "length", "from slice to slice, where multislice_flag is true", "m", positive=True
    ),
    "it_ends_after": Key("used", "whole", "iterations after the last frame; default 30"),
    "start_update_probe": Key("used", "whole", "iterations in which the probe stays as it is; default 2"),
    "distance": Key("mapped", "length", "defocus of the first probe; 0: found from the data", "um", required=True),
    "init_prb_flag": Key("mapped", "flag", "false: the probe begins as prb_path says"),
    "prb_path": Key(
        "used",
        "text",
        "probe to begin with, where init_prb_flag is false: .npy with x first, as holoptycho's, or HDF5 as ours; the network is told it too if it can be",
    ),
    "allow_mid_scan_join": Key(
        "ignored", note="joining late is always possible; frames count from the first that was seen"
    ),
    "n_iterations": Key("ignored", note="the depth of a ring buffer there; it_ends_after says how long to go on"),
    "max_iterations": Key("ignored", note="it_ends_after says how long to go on"),
    "live_num_points_max": Key("ignored", note="no limit"),
    "start_update_object": Key("used", "whole", "iterations in which the object stays as it is; default 0"),
    "gpus": Key("ignored", note="the machine's own devices are used"),
    "gpu_batch_size": Key("ignored", note="chosen by the algorithm"),
    "precision": Key("mapped", "text", "single or double"),
    "clear_region_enabled": Key("ignored", note="not needed"),
    "mask_obj_flag": Key("mapped", "flag", "the object is clamped to amp_min, amp_max, pha_min and pha_max"),
    "amp_max": Key("mapped", "number", "of the object, where mask_obj_flag is true", positive=True),
    "amp_min": Key("mapped", "number", "of the object, where mask_obj_flag is true"),
    "pha_max": Key("mapped", "number", "of the object about its mean, in radian, where mask_obj_flag is true"),
    "pha_min": Key("mapped", "number", "of the object about its mean, in radian, where mask_obj_flag is true"),
    "alg2_flag": Key("mapped", "text", "algorithm that takes over after alg_percentage of the iterations"),
    "alg_percentage": Key("mapped", "number", "part of it_ends_after, 0 to 1; default 0.8"),
    "position_correction_flag": Key("mapped", "flag", "positions are refined by their gradient"),
    "position_correction_start": Key(
        "mapped", "whole", "iterations before that, where position_correction_flag is true"
    ),
    "init_obj_dpc_flag": Key("mapped", "flag", "the object begins as the deflection of the light says"),
    **{
        name: Key("ignored", note="not a parameter of our engines") for name in ("alpha", "beta", "sigma2", "ml_weight")
    },
    # ---- network and mosaic
    "vit_normalization": Key("used", "number", "counts by which patterns are divided; default 1e5", positive=True),
    "vit_scale": Key("used", "number", "by which they are multiplied then; default 1e4", positive=True),
    "patch_flip": Key("mapped", "orientation", "of the network's patches; default identity"),
    "vit_batch_writes": Key(
        "used", "flag", "every patch of the network goes into Tiled too: vit/batches; default False"
    ),
    "inner_crop": Key("mapped", "whole", "pixels at each side of a patch that do not count; default 0"),
    "frame_write_stride": Key(
        "used",
        "whole",
        "into Tiled goes every so many-th pattern; 0: none; default 1, and 1000 where recon_mode is vit",
    ),
    # ---- carried along for the offline program, and ignored by holoptycho too
    **{name: Key("ignored", note="ignored by holoptycho too") for name in ("init_obj_flag", "mode_flag", "nth")},
    **{
        name: Key("ignored", note="ignored by holoptycho too")
        for name in ("display_interval", "processes", "use_NCCL", "use_CUDA_MPI", "dm_version", "start_ave")
    },
    # ---- ours
    "eiger_socket": Key("own", "text", "`sub` (default) from a proxy or replay, `pull` from the detector itself"),
    "panda_curve": Key("own", "flag", "the PandABox's stream speaks CurveZMQ with the same keys; default false"),
    **{
        f"{axis}_{end}": Key(
            "own", "number", f"{which} {axis} that the scan was asked for: beyond, frames are excluded", "um"
        )
        for axis in "xy"
        for end, which in (("low", "smallest"), ("high", "largest"))
    },
    "repeatable": Key(
        "own", "flag", "the image is that of the recorded scan to the last bit, whatever the timing was; default false"
    ),
    "scan_timeout": Key("own", "length", "how long to wait for the scan to begin; default 1 h", "s", positive=True),
    "scan_idle": Key(
        "own", "length", "the scan is over after this time without a frame; default 30 s", "s", positive=True
    ),
}

IGNORED_PREFIXES = (
    "multislice_",
    "position_correction_",
    "pc_",
    "bragg_",
    "refine_data_",
    "save_",
    "mosaic_",
    "vit_",
)
"""Beginnings of further keys of the offline program and of the network."""

SECRET = ("secret", "api_key", "apikey", "password", "token", "private_key")
"""Parts of names that a secret would have: such a key is refused, and its value is never repeated or kept."""


def key_of(name: str) -> Key | None:
    """What we make of a key; None if nobody knows it."""
    found = KEYS.get(name)
    if found is None and name.startswith(IGNORED_PREFIXES):
        return Key("ignored", note="of the offline program or of the network")
    return found
