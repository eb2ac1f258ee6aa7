"""The scans of ``firstlight demo``: what each simulated beamline plays, and the job that watches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ScanName = Literal["tomography", "stem", "stem-merlin", "ptychography"]

TOMOGRAPHY = {"columns": 512, "rows": 384, "angles": 360}
"""Small enough to be live on two cores."""
STEM = {"scan_y": 64, "scan_x": 64, "pixels": 64, "field": 2.0, "aperture": 12.0, "strength": 0.6, "defocus": 10.0}
PTYCHOGRAPHY = {"scan_y": 16, "scan_x": 16, "window": 96, "step": 8.0}
QUEUE = 128
"""Frames that may wait in the network layer: the first time, loops are compiled beside the scan."""
OPEN = "1 h"
"""How long a complete scan stays open to be looked into."""


@dataclass(frozen=True)
class DemoScan:
    """One kind of scan that can be shown."""

    simulator: str
    """Kind of simulator."""
    rate: float
    """Frames per second, if none is given."""
    options: Callable[[Path | None], dict[str, Any]]
    """Of the simulator, for a recorded file or none."""
    job: Callable[[dict[str, Any], Path | None], dict[str, Any]]
    """For what the simulator tells about itself, and the file."""
    turns: bool = False
    """It can go on for ever: the simulator does, and knows when to end."""


def _tomography_options(file: Path | None) -> dict[str, Any]:
    return {"parameters": TOMOGRAPHY} if file is None else {"file": str(file.absolute())}


def _tomography(told: dict[str, Any], file: Path | None) -> dict[str, Any]:
    names = {name: told[name] for name in ("image", "dark", "flat", "theta", "server")}
    source: dict[str, Any] = {"use": "pva", **names, "queue": QUEUE}
    if told.get("frames"):
        source["frames"] = told["frames"]
    return {
        "name": "demo",
        "source": source,
        "steps": [
            {"use": "flat_field"},
            {"use": "minus_log"},
            {"use": "find_center", "emit": "2 s"},
            {"use": "live_slices", "name": "slices", "inputs": ["minus_log"], "center": {"from": "find_center.center"}},
            {"use": "latest", "name": "projection", "inputs": ["minus_log"]},
        ],
        "views": [
            {"of": "slices", "every": "0.1 s", "to": ["web"]},
            {"of": "projection", "every": "0.2 s", "to": ["web"]},
        ],
    }


def _stem_options(file: Path | None) -> dict[str, Any]:
    if file is not None:
        return {"file": str(file.absolute())}
    return {"source": "phantom_stem", "parameters": STEM}


def _merlin_options(file: Path | None) -> dict[str, Any]:
    return _stem_options(file) | {"tell_scan": True}


def _stem(told: dict[str, Any], file: Path | None) -> dict[str, Any]:
    """A detector does not know how the scan was set up: the shape of a file, or what the phantom knows, is given here."""
    lines, points = (STEM["scan_y"], STEM["scan_x"]) if file is None else _shape(file)
    return _stem_job({"use": "dectris", "data": told["data"], "scan_y": lines, "scan_x": points}, file)


def _merlin(told: dict[str, Any], file: Path | None) -> dict[str, Any]:
    """A Merlin tells the shape of the scan."""
    return _stem_job({"use": "merlin", "host": told["host"], "port": told["port"]}, file)


def _stem_job(source: dict[str, Any], file: Path | None) -> dict[str, Any]:
    ring = {"shape": "annulus", "inner": 14.0, "outer": 28.0} if file is None else {}
    known = {} if file is not None else {"calibration": _known_of_the_phantom()}
    return {
        **known,
        "name": "4D-STEM demo",
        "source": source,
        "steps": [
            {"use": "live_patterns", "name": "patterns", "inputs": ["source.data"], **ring},
            {"use": "dpc", "inputs": ["source.data"], "rotation": 0},
        ],
        "views": [
            {"of": "patterns", "every": "0.1 s", "to": ["web"]},
            {"of": "dpc.phase", "every": "0.3 s", "to": ["web"]},
            {"of": "dpc.magnitude", "every": "0.3 s", "to": ["web"]},
        ],
    }


def _known_of_the_phantom() -> dict[str, str]:
    """Steps of the scan, angles and energy, as somebody at a microscope would note them."""
    from firstlight.core import registry
    from firstlight.core.calibration import UNITS

    scan = registry.get("sources", "phantom_stem")(**STEM).scan()
    return {name: f"{found.value} {found.unit}" for name, found in scan.calibration.items() if name in UNITS}


def _shape(file: Path) -> tuple[int, int]:
    """Lines and points of the scan in a .npy file.

    Raises:
        SourceError: It is no 4-D array.
    """
    from firstlight.core.errors import SourceError
    from firstlight.core.npy import open_npy

    wanted = "a .npy file of the shape (scan_y, scan_x, row, col)"
    try:
        found = open_npy(file).shape
    except ValueError as error:
        raise SourceError("This can not be played.", field="file", value=str(file), expected=wanted) from error
    if len(found) != 4:
        raise SourceError("This is no 4-D scan.", field="file", value=found, expected=wanted)
    return int(found[0]), int(found[1])


def _ptychography_options(file: Path | None) -> dict[str, Any]:
    return {"parameters": PTYCHOGRAPHY} if file is None else {"file": str(file.absolute())}


def _ptychography(told: dict[str, Any], file: Path | None) -> dict[str, Any]:
    known = {name: f"{each['value']} {each['unit']}" for name, each in told["calibration"].items()}
    names = {"energy": "energy", "distance": "distance", "detector_pixel": "pixel"}
    optics = {name: known[given] for name, given in names.items() if given in known}
    sources = {
        "data": {"use": "dectris", "data": told["data"]},
        "positions": {"use": "panda", "address": told["positions"], "unit": told["unit"]},
    }
    return {
        "name": "ptychography demo",
        "source": {"use": "together", "sources": sources},
        "steps": [
            {"use": "ptychography", "iterations": 100, **optics},
        ],
        "views": [{"of": "ptychography", "every": "0.5 s", "to": ["web"]}],
    }


SCANS: dict[ScanName, DemoScan] = {
    "tomography": DemoScan("pva", 20.0, _tomography_options, _tomography, turns=True),
    "stem": DemoScan("dectris", 150.0, _stem_options, _stem),
    "stem-merlin": DemoScan("merlin", 150.0, _merlin_options, _merlin),
    "ptychography": DemoScan("hxn", 20.0, _ptychography_options, _ptychography),
}
