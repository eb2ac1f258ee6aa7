"""The steps that run holoptycho's network, from its config."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from firstlight.core.errors import FirstlightError
from firstlight.operators.learn.session import Network, load_network
from firstlight.operators.ptychography.orientation import opposite

from .config import Config, ConfigError
from .orientation import reduced

NAME = "ptychography_network"
PATCHES = "inference"
MIDDLE = "network_frames"
CROP = "crop"
"""Name of the step that cuts frames, given or around the light."""
VIEWS = ("phase", "amplitude", "coverage", "spread")
DEFAULT_NORMALIZATION, DEFAULT_SCALE = 1e5, 1e4
"""Of holoptycho's networks: amplitudes are √(I / normalization · scale)."""


def modes(config: Config) -> tuple[bool, bool]:
    """Whether the iterative engine runs, and whether the network does."""
    asked = str(config.get("recon_mode", "iterative")).lower()
    return asked != "vit", asked in ("vit", "both")


def network_steps(config: Config, model: str, inputs: list[str]) -> list[dict[str, Any]]:
    """What the network makes of each frame, and the image that this makes; as plain values.

    Its network sees patterns as `dp_orient` turns them, and gives patches with the fast axis first, which ours has last. A network for
    smaller patterns sees their middle: its image has larger pixels.

    Args:
        config: As checked.
        model: Path of the chosen network.
        inputs: Names of frames, cropped, before they are turned for the iterative engine; and of positions.

    Raises:
        ConfigError: The network takes larger patterns.
    """
    frames, *positions = inputs
    middle = _middle(config, model, frames)
    inner, saturation = config.get("inner_crop"), config.get("hot_pixel_count_threshold")
    known = {
        "model_file": model,
        "normalization": config.get("vit_normalization", DEFAULT_NORMALIZATION),
        **_probe(config, model),
    }
    patches = {
        "use": "network_patches",
        "name": PATCHES,
        "inputs": [middle[0]["name"] if middle else frames],
        **known,
        "scale": config.get("vit_scale", DEFAULT_SCALE),
        "orientation": config.get("dp_orient", "rot90_cw"),
        **({"saturation": saturation} if saturation else {}),
    }
    mosaic = {
        "use": "patch_mosaic",
        "name": NAME,
        "inputs": [PATCHES, *positions],
        **known,
        "patch_orientation": reduced(f"{config.get('patch_flip', 'identity')}, transpose"),
        "signs": signs(config),
        "energy": config.get("xray_energy_kev"),
        "distance": config.get("z_m"),
        "detector_pixel": config.get("ccd_pixel_um"),
        **({} if inner is None else {"inner": _side(config, inner)}),
    }
    return [*middle, patches, mosaic]


def _middle(config: Config, model: str, frames: str) -> list[dict[str, Any]]:
    """The step that cuts patterns to what the network takes, where they are larger."""
    network = _network(model)
    have = config.get("ny"), config.get("nx")
    if network is None or have == network.window:
        return []
    name, (rows, cols) = network.path.stem, network.window
    if have[0] < rows or have[1] < cols:
        raise ConfigError(
            f"The network '{name}' takes patterns of {rows} × {cols} pixels.",
            field="ny, nx",
            value=have,
            expected=f"at least {rows} and {cols}",
            next_move="Choose a network for such patterns (hp model set NAME), or larger patterns.",
        )
    top, left = (have[0] - rows) // 2, (have[1] - cols) // 2
    return [
        {
            "use": "crop",
            "name": MIDDLE,
            "inputs": [frames],
            "rows": [top, top + rows],
            "columns": [left, left + cols],
        }
    ]


def _network(model: str) -> Network | None:
    """The network; None of a file that can not be used, of which the run tells."""
    try:
        return load_network(Path(model))
    except FirstlightError:
        return None


def _probe(config: Config, model: str) -> dict[str, str]:
    """The probe of `prb_path`, as the network sees patterns; nothing where it computes without one.

    That file has the pattern as the iterative engine sees it; one of ours, which is HDF5, has rows along the slow axis instead.
    """
    engine = config.get("dp_orient_iterative", "rot90_cw")
    if config.get("init_prb_flag") is not False or engine == "auto":
        return {}
    network = _network(model)
    if network is None or not network.takes_probe or network.window != (config.get("ny"), config.get("nx")):
        return {}
    path = config.get("prb_path")
    ours = [] if is_numpy(path) else ["transpose"]
    way = reduced(", ".join([*ours, opposite(engine), config.get("dp_orient", "rot90_cw")]))
    return {"probe": path, "probe_orientation": way}


def is_numpy(path: str) -> bool:
    """True of a file as holoptycho writes it."""
    return path.endswith(".npy")


def _side(config: Config, inner: int) -> int:
    """Rows and columns that are left where so many are cut off at each side."""
    return max(1, min(config.get("nx"), config.get("ny")) - 2 * inner)


def signs(config: Config) -> list[int]:
    """By what positions as the iterative engine takes them, y and x, become those of the network."""
    found: list[int] = []
    for axis in ("y", "x"):
        own = config.get(f"{axis}_direction", -1)
        found.append(int(math.copysign(1, own * config.get(f"{axis}_direction_iterative", own))))
    return found
