"""holoptycho's tree in a Tiled catalogue: which node holds what."""

from __future__ import annotations

import re
import time
import uuid
from pathlib import Path
from typing import Any

from firstlight.operators.ptychography.crop_bright import CROP_BOX, SPOT_BOX

from .config import Config
from .environment import Environment
from .network import CROP, NAME, PATCHES, modes

HC_KEV_M = 1.239841984e-9
LIVE_EVERY = "2 s"
MARKS = {"specs": ["synaps_project"], "access_tags": ["synaps_project", "hxn_processed"]}
FINISHED = 1024
"""Mosaics of finished scans for which the tree has room."""
MOST_POINTS = 1_000_000
"""Of a grid for which the tree has room from the beginning."""
BATCH = 64
"""Patches of the network that are written together, where all are."""
METRE = 1e-6
"""In a micrometre."""


def with_tree(
    job: dict[str, Any], config: Config, environment: Environment, model: str | None = None
) -> dict[str, Any]:
    """The job with sinks and views that write the tree ``CATALOGUE/{uuid}``, which visualisation programs know.

    Objects and probes have x first there, and so are transposed; patterns are as the detector gives them, oriented and cropped.
    Positions have the shared signs, slow axis first.

    Args:
        job: Of the two streams.
        config: As checked.
        environment: Says where the server is.
        model: Path of the chosen network.
    """
    run = uuid.uuid4().hex
    place = {
        "use": "tiled",
        "url": environment.tiled,
        "container": f"{environment.tiled_catalog.strip('/')}/{run}",
        "metadata": _metadata(config, run, model),
        **MARKS,
    }
    iterative, network = modes(config)
    steps, views, sinks = list(job["steps"]), list(job["views"]), list(job["sinks"])
    if iterative:
        views = _shown_too(views, _live_engine(place))
        sinks += _final(place)
    if network:
        views = _shown_too(views, _live_network(place))
        steps += _segmentation(config)
        sinks += _of_network(place, config)
    sinks += _measured(place, config)
    return {**job, "steps": steps, "views": views, "sinks": sinks}


def _shown_too(views: list[dict[str, Any]], live: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Views into the tree; what the page shows as well goes to both."""
    found = [dict(view) for view in views]
    for new in live:
        there = next((view for view in found if view["of"] == new["of"]), None)
        if there is None:
            found.append(new)
        else:
            there["to"] = ["web", *there.get("to", []), *new["to"]]
    return found


def _live(of: str, **told: Any) -> dict[str, Any]:
    return {"of": of, "every": LIVE_EVERY, "to": [{**told, "rest": LIVE_EVERY}]}


def _live_engine(place: dict[str, Any]) -> list[dict[str, Any]]:
    """``live/object`` and ``live/probe``, amplitude and phase; NaN where no light has been."""
    object_ = {**place, "node": "live/object", "transposed": True}
    shown = {**place, "tells": {"live/object": "iteration", "live/probe": "iteration"}, "telling": "length"}
    return [
        _live("ptychography.amplitude", **object_, half=0),
        _live("ptychography.phase", **object_, half=1),
        _live("ptychography.probe", **place, node="live/probe", layout="amplitude_phase", transposed=True),
        _live("ptychography.error", **shown),
    ]


def _live_network(place: dict[str, Any]) -> list[dict[str, Any]]:
    """``vit/mosaic`` and ``vit/mosaic_amp``, phase and amplitude; NaN where no patch lies."""
    nodes = {"phase": "vit/mosaic", "amplitude": "vit/mosaic_amp"}
    return [
        *(
            _live(f"{NAME}.{name}", **place, node=node, transposed=True, version_as="batch_num")
            for name, node in nodes.items()
        ),
        _live(f"{NAME}.corner", **place, tells=dict.fromkeys(nodes.values(), "canvas_origin_um")),
    ]


def _final(place: dict[str, Any]) -> list[dict[str, Any]]:
    """``final/object`` and ``final/probe``, not cropped; and of each iteration its error, when it ended, and on how many points."""
    complex_ones = {"layout": "amplitude_phase", "transposed": True}
    rounds = {"error": "error", "times": "timestamps", "points": "num_points"}
    return [
        *(
            {**place, "of": f"ptychography.{name}", "node": f"final/{name}", **complex_ones}
            for name in ("object", "probe")
        ),
        *({**place, "of": f"ptychography.{output}", "node": f"final/{node}"} for output, node in rounds.items()),
    ]


def _of_network(place: dict[str, Any], config: Config) -> list[dict[str, Any]]:
    """``vit/mosaic_stack`` and ``…_amp``: mosaics of finished scans; a run has one. ``vit/segmentation_mask``. All patches, if asked for."""
    told = {"rows": "num_mosaics", "shape": "mosaic_stack_shape"}
    stack = {**place, "transposed": True, "stack": FINISHED}
    batches = {**place, "of": PATCHES, "node": "vit/pred", "batch": BATCH}
    return [
        {**stack, "of": f"{NAME}.phase", "node": "vit/mosaic_stack", "told_as": told},
        {**stack, "of": f"{NAME}.amplitude", "node": "vit/mosaic_stack_amp"},
        {**place, "of": "segmentation", "node": "vit/segmentation_mask"},
        *([batches] if config.get("vit_batch_writes", False) else []),
    ]


def _segmentation(config: Config) -> list[dict[str, Any]]:
    """The bright spot of the mean pattern."""
    given = config.get("segmentation_threshold")
    threshold = {} if given is None else {"threshold": given}
    return [
        {"use": "mean", "name": "mean_pattern", "inputs": [CROP]},
        {"use": "bright_spot", "name": "segmentation", "inputs": ["mean_pattern"], **threshold},
    ]


def stride_of(config: Config) -> int:
    """Every so many-th pattern is written; 0: none. As holoptycho, few where the network runs alone."""
    return config.get("frame_write_stride", 1 if modes(config)[0] else 1000)


def _measured(place: dict[str, Any], config: Config) -> list[dict[str, Any]]:
    """What was measured, and what the network says of each of these patterns: ``diffraction/…`` and ``positions_um``."""
    stride = stride_of(config)
    kept = {**place, "stride": max(1, stride)}
    patterns = {
        **kept,
        "of": CROP,
        "node": "diffraction/dp",
        "layout": "root8",
        "told_as": {"rows": "dp_frames_written"},
        "coordinates": {CROP_BOX: "patch_crop_box", SPOT_BOX: "segmentation_box"},
    }
    inference = {**kept, "of": PATCHES, "node": "diffraction/inference"}
    found = [patterns, *([inference] if modes(config)[1] else [])] if stride else []
    y, x = _signs(config)
    points = {**place, "of": "source.positions", "rows": _points(config)}
    return [
        *found,
        {**points, "node": "positions_um", "times": (y, x)},
        # by holoptycho's names the slow axis is x
        {**points, "node": "diffraction/probe_position_x_m", "times": (y * METRE, x * METRE), "column": 0},
        {**points, "node": "diffraction/probe_position_y_m", "times": (y * METRE, x * METRE), "column": 1},
    ]


def _points(config: Config) -> int:
    """Of the grid, as far as it is known."""
    count = config.get("x_num", 0) * config.get("y_num", 0)
    return count if 0 < count <= MOST_POINTS else 0


def _signs(config: Config) -> tuple[float, float]:
    """By what positions as the engine takes them, y and x, become those with the signs that all programs share."""
    found: list[float] = []
    for axis in ("y", "x"):
        own = config.get(f"{axis}_direction", -1)
        found.append(float(own * config.get(f"{axis}_direction_iterative", own)))
    return found[0], found[1]


def _metadata(config: Config, run: str, model: str | None) -> dict[str, Any]:
    """Of the container of the run, by holoptycho's names."""
    energy, distance, pixel = (config.get(name) for name in ("xray_energy_kev", "z_m", "ccd_pixel_um"))
    wavelength = HC_KEV_M / energy
    iterative, network = modes(config)
    found = {
        "run_uid": run,
        "scan_num": config.get("scan_num"),
        "raw_uid": config.get("raw_uid"),
        "scan_id": config.get("scan_id"),
        "started_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "recon_mode": str(config.get("recon_mode", "iterative")).lower(),
        "x_pixel_m": wavelength * distance / (config.get("nx") * pixel * 1e-6),
        "y_pixel_m": wavelength * distance / (config.get("ny") * pixel * 1e-6),
        "x_num": config.get("x_num"),
        "y_num": config.get("y_num"),
        "x_range_um": config.get("x_range"),
        "y_range_um": config.get("y_range"),
        "x_direction": config.get("x_direction", -1),
        "y_direction": config.get("y_direction", -1),
        "xray_energy_kev": energy,
        "wavelength_m": wavelength,
        "distance_m": distance,
        # patterns, positions and the object that they gave: what a network can learn from
        "fine_tunable": iterative and stride_of(config) > 0,
        "complete": False,
        "dp_orient_iterative": config.get("dp_orient_iterative", "rot90_cw") if iterative else None,
        "x_direction_iterative": config.get("x_direction_iterative") if iterative else None,
        "y_direction_iterative": config.get("y_direction_iterative") if iterative else None,
        "dp_stride": stride_of(config) or None,
        "patch_crop_box": _crop_box(config),
        **(_model(model) if network and model is not None else {}),
    }
    return {name: value for name, value in found.items() if value is not None}


def _crop_box(config: Config) -> list[list[int]] | None:
    """First row and column, and those behind the last; None where they are found, and told then."""
    top, left = config.get("batch_y0"), config.get("batch_x0")
    if top is None or left is None or config.get("auto_center_dp", False):
        return None
    return [[top, left], [top + config.get("ny"), left + config.get("nx")]]


def _model(path: str) -> dict[str, str]:
    """Which network it is."""
    stem = Path(path).stem
    match = re.fullmatch(r"(.+)_v(\d+)", stem)
    name, version = match.groups() if match else (stem, None)
    return {"engine_path": path, "model_name": name, **({"model_version": version} if version else {})}
