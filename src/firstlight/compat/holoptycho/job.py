"""From holoptycho's config to a job of ours."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from .config import Config, ConfigError
from .environment import Environment
from .keys import ALGORITHMS
from .network import CROP, NAME, is_numpy, modes, network_steps
from .network import VIEWS as NETWORK_VIEWS
from .orientation import for_rows
from .tree import with_tree

QUEUE = 20_000
"""Messages that may wait in the network layer, as in holoptycho."""
FARTHEST = 1e9
"""Micrometre: beyond any stage, for a side on which a scan has no limit. A job in JSON has no infinity."""
VIEWS = ("phase", "amplitude", "probe", "error", "positions", "pattern", "coverage")


def job_of(config: Config, environment: Environment, folder: Path, model: str | None = None) -> dict[str, Any]:
    """The job as plain values: two streams joined by number, orientation, crop, reconstruction, HDF5 files.

    As `recon_mode` says, the reconstruction is the iterative engine, the network, or both on the same frames.

    Args:
        config: As checked.
        environment: Where the streams come from.
        folder: For the results, where `working_directory` names no other.
        model: Path of the chosen network.

    Raises:
        ConfigError: The network shall run, and none is chosen.
    """
    frames, places = _frames(config), _limits(config)
    iterative, network = modes(config)
    if network and model is None:
        raise ConfigError(
            "No network is chosen.", field="recon_mode", value=config.get("recon_mode"), next_move="hp model set NAME"
        )
    joined = [each["name"] for each in places] or ["source.positions"]
    reconstructions: list[dict[str, Any]] = []
    if iterative:
        first = _reconstruction(config)
        if environment.inputs is not None:
            first["inputs_folder"] = str(environment.inputs)
        first["inputs"] = [frames[-1]["name"], *(each["name"] for each in places)]
        reconstructions.append(first)
    if network and model is not None:
        reconstructions += network_steps(config, model, [CROP, *joined])
    shown = [
        *([f"ptychography.{output}" for output in VIEWS] if iterative else []),
        *([f"{NAME}.{output}" for output in NETWORK_VIEWS] if network else []),
    ]
    written = [
        *(["ptychography.object", "ptychography.probe"] if iterative else []),
        *([f"{NAME}.object"] if network else []),
    ]
    target = Path(config.get("working_directory", folder))
    name = f"scan_{config.get('scan_num')}"
    stamp = time.strftime("%Y%m%d-%H%M%S")
    job = {
        "name": name,
        "source": {
            "use": "together",
            "sources": {"data": _eiger(config, environment), "positions": _panda(config, environment)},
        },
        "steps": [*frames, *places, *reconstructions],
        "views": [{"of": output, "every": "0.5 s"} for output in shown],
        "sinks": [
            {"use": "hdf5", "of": output, "path": str(target / f"{name}_{stamp}_{_file_part(output)}.h5")}
            for output in written
        ],
        "runner": {"further_scans": True},
    }
    return job if environment.tiled is None else with_tree(job, config, environment, model)


def _file_part(output: str) -> str:
    step, _, name = output.partition(".")
    return name if step == "ptychography" else "network"


def _eiger(config: Config, environment: Environment) -> dict[str, Any]:
    curve = {"server_key": environment.server_key, "secret_key": environment.secret_key}
    return {
        "use": "dectris",
        "data": environment.eiger,
        "socket": str(config.get("eiger_socket", "sub")).lower(),
        "join": True,
        "queue": QUEUE,
        **_patience(config),
        **(curve if environment.server_key else {}),
    }


def _patience(config: Config) -> dict[str, Any]:
    return {"timeout": config.get("scan_timeout", 3600.0), "idle": config.get("scan_idle", 30.0)}


def _panda(config: Config, environment: Environment) -> dict[str, Any]:
    angle = config.get("angle", 0.0)
    x_direction = config.get("x_direction_iterative", config.get("x_direction", -1))
    y_direction = config.get("y_direction_iterative", config.get("y_direction", -1))
    if config.get("angle_flip_flag", False) and angle <= -45:
        x_direction = -x_direction
    curve = {"server_key": environment.server_key, "secret_key": environment.secret_key}
    given = {
        "x_channel": config.get("pos_x_channel"),
        "y_channel": config.get("pos_y_channel"),
        "angle": angle if config.get("angle_correction_flag", True) else None,
        **(curve if config.get("panda_curve", False) else {}),
    }
    return {
        "use": "panda",
        "address": environment.panda,
        "x_scale": config.get("x_ratio"),
        "y_scale": config.get("y_ratio"),
        "x_direction": x_direction,
        "y_direction": y_direction,
        "swap": config.get("position_swap_xy", False),
        "unit": "um",
        "upsample": config.get("panda_upsample", 1),
        **_patience(config),
        **{name: value for name, value in given.items() if value is not None},
    }


def _frames(config: Config) -> list[dict[str, Any]]:
    """Orientation of the detector, crop, orientation of the pattern; what changes nothing is left out."""
    before, after = config.get("detector_orientation", "fliplr"), _orientation(config)
    return [
        *([{"use": "orient", "name": "mounted", "to": before}] if before != "identity" else []),
        _crop(config),
        *([{"use": "orient", "name": "oriented", "to": after}] if after != "identity" else []),
    ]


def _crop(config: Config) -> dict[str, Any]:
    """The part of a frame that is used: given, or found around the light."""
    top, left, rows, cols = (config.get(name) for name in ("batch_y0", "batch_x0", "ny", "nx"))
    found: dict[str, Any] = {"use": "crop_bright", "name": CROP, "size": [rows, cols]}
    threshold, room = config.get("segmentation_threshold"), int(config.get("auto_center_headroom", cols // 4))
    if threshold is not None:
        found["threshold"] = threshold
    if top is None or left is None:
        return found
    if not config.get("auto_center_dp", False):
        return {"use": "crop", "name": CROP, "rows": [top, top + rows], "columns": [left, left + cols]}
    # as holoptycho: around the crop that is given
    near = {"rows": [top - room, top + rows + room], "columns": [left - room, left + cols + room]}
    return {**found, **near} if room >= 0 else found


def _limits(config: Config) -> list[dict[str, Any]]:
    """Positions beyond what the scan was asked for are left out, where the config says what that was."""
    if not any(f"{axis}_{end}" in config.values for axis in "xy" for end in ("low", "high")):
        return []
    low = [config.get(f"{axis}_low", -FARTHEST) for axis in "yx"]
    high = [config.get(f"{axis}_high", FARTHEST) for axis in "yx"]
    inputs = ["source.positions"]
    return [{"use": "exclude_outside", "name": "asked_for", "inputs": inputs, "low": low, "high": high}]


def _orientation(config: Config) -> str:
    """What is done to patterns before the solver, which looks for it itself where it shall be found."""
    given = config.get("dp_orient_iterative", "rot90_cw")
    return "identity" if given == "auto" else for_rows(given)


def _reconstruction(config: Config) -> dict[str, Any]:
    defocus, warm = config.get("distance"), config.get("init_prb_flag") is False
    return {
        "use": "ptychography",
        "algorithm": ALGORITHMS.get(str(config.get("alg_flag", "ePIE")).lower(), "epie"),
        "iterations": config.get("it_ends_after", 30),
        "modes": config.get("prb_mode_num", 1),
        "noise": str(config.get("ml_mode", "poisson")).lower(),
        "probe_after": config.get("start_update_probe", 2),
        "energy": config.get("xray_energy_kev"),
        "distance": config.get("z_m"),
        "detector_pixel": config.get("ccd_pixel_um"),
        **({"probe_defocus": defocus} if defocus or warm else {}),
        **(_probe(config.get("prb_path")) if warm else {}),
        **_choices(config),
    }


def _probe(path: str) -> dict[str, Any]:
    """A probe to begin with; holoptycho's own has the fast axis first."""
    return {"probe": path, **({"probe_orientation": "transpose"} if is_numpy(path) else {})}


def _choices(config: Config) -> dict[str, Any]:
    """What is set only where the config asks for it."""
    second = ALGORITHMS.get(str(config.get("alg2_flag", "")).lower())
    clamped = config.get("mask_obj_flag", False)
    thick, moving = config.get("multislice_flag", False), config.get("position_correction_flag", False)
    found = {
        "object_after": config.get("start_update_object"),
        "object_modes": config.get("obj_mode_num"),
        "slices": config.get("slice_num", 2) if thick else None,
        "slice_gap": config.get("slice_spacing_m") * 1e6 if thick else None,
        "precision": None if config.get("precision") is None else str(config.get("precision")).lower(),
        "saturation": config.get("hot_pixel_count_threshold"),
        "first_object": "deflection" if config.get("init_obj_dpc_flag") else None,
        "refine_after": config.get("position_correction_start") if moving else None,
        "least_phase": config.get("pha_min") if clamped else None,
        "largest_phase": config.get("pha_max") if clamped else None,
        "algorithm2": second,
        "switch_after": config.get("alg_percentage") if second else None,
        "refine_positions": "gradient" if config.get("position_correction_flag") else None,
        "least_magnitude": config.get("amp_min") if clamped else None,
        "largest_magnitude": config.get("amp_max") if clamped else None,
        "repeatable": config.get("repeatable"),
        "orientation": "auto" if config.get("dp_orient_iterative") == "auto" else None,
    }
    return {name: value for name, value in found.items() if value is not None}
