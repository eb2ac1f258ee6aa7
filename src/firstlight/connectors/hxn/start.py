"""Starting holoptycho's service (or ours) on what is about to be replayed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from firstlight.core.errors import SourceError
from firstlight.core.units import Quantity, factor

from .client import HoloptychoError, ask

_AGAIN = 6
"""Times to ask again while an earlier run is still shutting down."""
_PAUSE = 5.0
_STARTED = ("starting", "running", "finished", "error")
"""States in which holoptycho takes /restart and refuses /run."""


def config_of(told: Mapping[str, Any], shape: tuple[int, int, int], scan: str) -> dict[str, str]:
    """Holoptycho's config for a replay: flat, all values strings.

    Args:
        told: `unit` and `range` of the positions and `calibration`, as the simulator has them.
        shape: Frames, rows, columns.
        scan: Number of the scan.

    Raises:
        SourceError: Positions are not in a unit of length, or the scan does not tell energy, distance or pixel.
    """
    micrometre = _micrometre(told)
    extent = [high - low for low, high in zip(told["range"]["low"], told["range"]["high"], strict=True)]
    known = {name: Quantity(each["value"], each["unit"]) for name, each in told["calibration"].items()}
    missing = [name for name in ("energy", "distance", "pixel") if name not in known]
    if missing:
        raise SourceError(f"The scan does not tell its {', '.join(missing)}.", field="hp_start", value=True)
    count, rows, cols = shape
    return {
        "scan_num": scan,
        "nx": str(cols),
        "ny": str(rows),
        "batch_x0": "0",
        "batch_y0": "0",
        "det_roix0": "0",
        "det_roiy0": "0",
        "x_range": repr(extent[1] * micrometre),
        "y_range": repr(extent[0] * micrometre),
        "x_num": str(count),
        "y_num": "1",
        "x_ratio": repr(micrometre),
        "y_ratio": repr(micrometre),
        "x_direction": "1",
        "y_direction": "1",
        "xray_energy_kev": repr(known["energy"].to("keV")),
        "z_m": repr(known["distance"].to("m")),
        "ccd_pixel_um": repr(known["pixel"].to("um")),
        "distance": "0",
        "angle": "0",
        # what is replayed stands upright already: ours has rows first, holoptycho's engine columns
        "detector_orientation": "identity",
        "dp_orient_iterative": "transpose",
    }


def limits_of(told: Mapping[str, Any]) -> dict[str, str]:
    """Keys of our own that leave out positions beyond what the scan was asked for, with a margin of a hundredth.

    Raises:
        SourceError: Positions are not in a unit of length.
    """
    found: dict[str, str] = {}
    for axis, low, high in zip("yx", told["range"]["low"], told["range"]["high"], strict=True):
        margin = 0.01 * (high - low)
        found[f"{axis}_low"] = repr(round((low - margin) * _micrometre(told), 6))
        found[f"{axis}_high"] = repr(round((high + margin) * _micrometre(told), 6))
    return found


def _micrometre(told: Mapping[str, Any]) -> float:
    """Micrometres in the unit of the positions."""
    dimension, size = factor(told["unit"] or "px")
    if dimension == "pixels":
        raise SourceError("The positions of this scan are in pixels, holoptycho takes lengths.", field="hp_start")
    return size * 1e6


def start(url: str, config: Mapping[str, str], stop: threading.Event) -> dict[str, Any]:
    """Clear the log, and run or restart; returns when the service listens to the streams.

    Raises:
        SourceError: The service is not there, or refuses.
    """
    try:
        ask(url, "/logs/clear", {}, post=True)
        for left in reversed(range(_AGAIN)):
            status = ask(url, "/status").get("status")
            try:
                return ask(url, "/restart" if status in _STARTED else "/run", {"config": dict(config)}, post=True)
            except HoloptychoError as error:
                if "still shutting down" not in error.detail or not left or stop.wait(_PAUSE):
                    raise
    except HoloptychoError as error:
        raise SourceError(f"The reconstruction could not be started: {error}", field="hp_url", value=url) from None
    raise SourceError("The reconstruction could not be started.", field="hp_url", value=url)
