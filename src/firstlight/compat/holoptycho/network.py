"""The step that runs holoptycho's network, from its config."""

from __future__ import annotations

import math
from typing import Any

from .config import Config
from .orientation import reduced

NAME = "ptychography_network"
VIEWS = ("phase", "amplitude", "coverage", "spread")
DEFAULT_NORMALIZATION, DEFAULT_SCALE = 1e5, 1e4
"""Of holoptycho's networks: amplitudes are √(I / normalization · scale)."""


def modes(config: Config) -> tuple[bool, bool]:
    """Whether the iterative engine runs, and whether the network does."""
    asked = str(config.get("recon_mode", "iterative")).lower()
    return asked != "vit", asked in ("vit", "both")


def network_step(config: Config, model: str, inputs: list[str]) -> dict[str, Any]:
    """The step as plain values.

    Its network sees patterns as `dp_orient` turns them, and gives patches with the fast axis first, which ours has last.

    Args:
        config: As checked.
        model: Path of the chosen network.
        inputs: Names of frames, cropped, before they are turned for the iterative engine; and of positions.
    """
    inner, saturation = config.get("inner_crop"), config.get("hot_pixel_count_threshold")
    return {
        "use": NAME,
        "name": NAME,
        "inputs": inputs,
        "model_file": model,
        "normalization": config.get("vit_normalization", DEFAULT_NORMALIZATION),
        "scale": config.get("vit_scale", DEFAULT_SCALE),
        "orientation": config.get("dp_orient", "rot90_cw"),
        "patch_orientation": reduced(f"{config.get('patch_flip', 'identity')}, transpose"),
        "signs": signs(config),
        "energy": config.get("xray_energy_kev"),
        "distance": config.get("z_m"),
        "detector_pixel": config.get("ccd_pixel_um"),
        **({} if inner is None else {"inner": _side(config, inner)}),
        **({"saturation": saturation} if saturation else {}),
    }


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
