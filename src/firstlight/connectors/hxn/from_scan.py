"""Holoptycho's config for a scan that is there already: from a file, or from the documents of a run on a Tiled server."""

from __future__ import annotations

import configparser
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core import registry
from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import SourceError

from ..recorded.recognised import recognising
from .start import config_of

LARGEST_TEXT = 2**20
"""Bytes of a file with a config."""
SECTION = "GUI"
"""Section of an INI file in which ptycho_gui and holoptycho keep their keys."""
WINDOW = 256
"""Rows and columns of the pattern that are used, as at HXN."""


def config_from_file(path: Path) -> dict[str, str]:
    """The config for a scan in a file, as ``firstlight sim hxn FILE`` replays it; or the one that a file holds (INI, JSON).

    Raises:
        SourceError: The file holds no config, no source knows it, or the scan does not tell energy, distance or pixel.
    """
    kept = _kept(path)
    if kept is not None:
        return kept
    name = recognising(path)
    if name is None:
        raise SourceError(
            "This is neither a scan nor a config.",
            field="file",
            value=str(path),
            expected="a CXI, .ptyd, HXN or ptychodus file; or INI with a section [GUI]; or a JSON object",
        )
    source: Any = registry.get("sources", name)(path=path)
    scan: Scan = source.open()
    try:
        if "positions" not in scan.streams:
            raise SourceError("This is no ptychographic scan.", field="file", value=str(path))
        places = np.asarray(source.read({}, "positions"), np.float64)
    finally:
        source.close()
    told = {
        "unit": scan.streams["positions"].unit,
        "range": {"low": np.nanmin(places, axis=0).tolist(), "high": np.nanmax(places, axis=0).tolist()},
        "calibration": {name: {"value": each.value, "unit": each.unit} for name, each in scan.calibration.items()},
    }
    return config_of(told, (scan.main.frames or 0, scan.main.size("row"), scan.main.size("col")), _number(path.stem))


def _number(stem: str) -> str:
    """The number in a name such as scan_411993; 0 if there is none."""
    digits = "".join(character if character.isdecimal() else " " for character in stem).split()
    return max(digits, key=len, default="0")[:20]


def _kept(path: Path) -> dict[str, str] | None:
    """The config in a text file; None for anything else.

    Raises:
        SourceError: It looks like one and can not be read.
    """
    if path.suffix.lower() not in (".ini", ".txt", ".cfg", ".json"):
        return None
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_TEXT + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"The config can not be read: {error}.", field="file", value=str(path)) from error
    if len(text) > LARGEST_TEXT:
        raise SourceError("The config is too long.", field="file", value=str(path), expected=f"{LARGEST_TEXT} byte")
    try:
        found: Any = json.loads(text) if text.lstrip().startswith("{") else _ini(text)
    except (ValueError, RecursionError, configparser.Error) as error:
        raise SourceError(f"The config can not be read: {error}.", field="file", value=str(path)) from error
    return {str(name): value if isinstance(value, str) else str(value) for name, value in found.items()}


def _ini(text: str) -> Mapping[str, str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(text)
    if SECTION not in parser:
        raise ValueError(f"it has no section [{SECTION}]")
    return parser[SECTION]


def config_from_tiled(
    url: str, *, uid: str | None = None, scan_id: int | None = None, key: str = "TILED_API_KEY", mode: str = "iterative"
) -> dict[str, str]:
    """The config for live scans like one that is on a Tiled server.

    Args:
        url: Of the server, a catalogue, or the run.
        uid: Of the run.
        scan_id: Of the run; of several the newest.
        key: Name of the environment variable with the API key.
        mode: ``recon_mode``.

    Raises:
        MissingExtra: Tiled's client is not installed.
        SourceError: There is no such run, or it lacks frames, positions, energy or distance.
    """
    given = {"url": url, "uid": uid, "scan_id": scan_id, "key": key}
    source: Any = registry.get("sources", "tiled")(**given)
    scan: Scan = source.open()
    try:
        places = np.asarray(source.read({}, "positions"), np.float64)
    finally:
        source.close()
    start = json.loads(scan.metadata["start"])
    return _of_run(scan, start, places, mode)


def _of_run(scan: Scan, start: Mapping[str, Any], places: Array, mode: str) -> dict[str, str]:
    known = scan.calibration
    missing = [name for name in ("energy", "distance", "pixel") if name not in known]
    if missing:
        raise SourceError(f"The run does not tell its {', '.join(missing)}.", field="uid", value=start.get("uid"))
    frames, rows, cols = scan.main.frames or 0, scan.main.size("row"), scan.main.size("col")
    x_num, y_num, x_range, y_range = _grid(start, places, frames)
    return {
        "scan_num": str(start.get("scan_id", "0")),
        "scan_id": str(start.get("scan_id", "0")),
        "raw_uid": str(start.get("uid", "")),
        "scan_type": str(start.get("plan_name", "")),
        "nx": str(min(WINDOW, cols)),
        "ny": str(min(WINDOW, rows)),
        "det_roix0": "0",
        "det_roiy0": "0",
        "auto_center_dp": "True",
        "x_num": str(x_num),
        "y_num": str(y_num),
        "x_range": repr(x_range),
        "y_range": repr(y_range),
        "x_ratio": repr(-float(start.get("x_scale_factor") or 1.0) / 1e4),
        "y_ratio": repr(-float(start.get("z_scale_factor") or 1.0) / 1e4),
        "x_direction": "-1",
        "y_direction": "-1",
        "xray_energy_kev": repr(known["energy"].to("keV")),
        "z_m": repr(known["distance"].to("m")),
        "ccd_pixel_um": repr(known["pixel"].to("um")),
        "angle": scan.metadata.get("angle", "0.0"),
        "panda_upsample": scan.metadata.get("samples", "1"),
        "distance": "0",
        "recon_mode": mode,
    }


def _grid(start: Mapping[str, Any], places: Array, frames: int) -> tuple[int, int, float, float]:
    """Points and range of the fast and the slow axis: as commanded, or as measured."""
    scan = start.get("scan")
    given = scan.get("scan_input") if isinstance(scan, Mapping) else None
    try:
        x0, x1, nx, y0, y1, ny = (float(each) for each in given or ())
        if nx >= 1 and ny >= 1:
            return int(nx), int(ny), abs(x1 - x0), abs(y1 - y0)
    except (TypeError, ValueError):
        pass  # a path that is no raster, or a plan of another kind
    low, high = np.nanmin(places, axis=0), np.nanmax(places, axis=0)
    return frames, 1, float(high[1] - low[1]), float(high[0] - low[0])
