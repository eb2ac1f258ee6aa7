"""holoptycho's tree in a Tiled catalogue: which node holds what."""

from __future__ import annotations

import time
import uuid
from typing import Any

from .config import Config
from .environment import Environment
from .network import NAME, modes

HC_KEV_M = 1.239841984e-9
LIVE_EVERY = "2 s"
MARKS = {"specs": ["synaps_project"], "access_tags": ["synaps_project", "hxn_processed"]}


def with_tree(job: dict[str, Any], config: Config, environment: Environment) -> dict[str, Any]:
    """The job with sinks and views that write the tree ``CATALOGUE/{uuid}``, which visualisation programs know.

    ``live/object`` and ``live/probe`` follow the reconstruction, ``final/…`` come at the end, ``diffraction/dp`` and
    ``positions_um`` while frames arrive. Objects and probes have x first there, and so are transposed; patterns are as the
    detector gives them, oriented and cropped; where the solver crops, which then knows the middle alone, they are left out.
    Of the network ``vit/mosaic`` and ``vit/mosaic_amp``, phase and amplitude, follow it; NaN where no patch lies.
    """
    run = uuid.uuid4().hex
    place = {
        "use": "tiled",
        "url": environment.tiled,
        "container": f"{environment.tiled_catalog.strip('/')}/{run}",
        "metadata": _metadata(config, run),
        **MARKS,
    }
    complex_ones = {"layout": "amplitude_phase", "transposed": True}
    iterative, network = modes(config)
    engine = ("object", "probe") if iterative else ()
    mosaics = {"phase": "vit/mosaic", "amplitude": "vit/mosaic_amp"} if network else {}
    live = [
        *(
            {
                "of": f"ptychography.{name}",
                "every": LIVE_EVERY,
                "to": [{**place, "node": f"live/{name}", **complex_ones}],
            }
            for name in engine
        ),
        *(
            {"of": f"{NAME}.{name}", "every": LIVE_EVERY, "to": [{**place, "node": node, "transposed": True}, "web"]}
            for name, node in mosaics.items()
        ),
    ]
    kept = [
        *({**place, "of": f"ptychography.{name}", "node": f"final/{name}", **complex_ones} for name in engine),
        *([{**place, "of": "ptychography.error", "node": "final/error"}] if iterative else []),
        *(
            {**place, "of": step["name"], "node": "diffraction/dp", "layout": "root8"}
            for step in job["steps"]
            if step["use"] == "crop"
        ),
        {**place, "of": "source.positions", "node": "positions_um"},
    ]
    shown = {"ptychography.probe", *(f"{NAME}.{name}" for name in mosaics)}
    views = [view for view in job["views"] if view["of"] not in shown]
    for view in live:
        if view["of"] == "ptychography.probe":
            view["to"].append("web")
    return {**job, "views": [*views, *live], "sinks": [*job["sinks"], *kept]}


def _metadata(config: Config, run: str) -> dict[str, Any]:
    """Of the container of the run, by holoptycho's names."""
    energy, distance, pixel = (config.get(name) for name in ("xray_energy_kev", "z_m", "ccd_pixel_um"))
    wavelength = HC_KEV_M / energy
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
        "fine_tunable": False,
        "complete": False,
    }
    return {name: value for name, value in found.items() if value is not None}
