"""A good default job for diffraction patterns at known positions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core.chunk import Scan
from firstlight.core.errors import SourceError
from firstlight.core.source import RandomAccess

STEP = "ptychography"
_WHOLE = {"cxi": ("object", "probe", "positions"), "ptychodus": ("object", "probe", "positions", "error")}
"""What sinks that put a whole reconstruction into one file take of it, in this order."""


def is_diffraction(scan: Scan) -> bool:
    """True for frames that come with positions on the sample."""
    return "positions" in scan.streams and {"row", "col"} <= set(scan.main.frame_axes)


def diffraction_steps(
    source: RandomAccess, scan: Scan, overrides: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[str]]:
    """The step for a scan, and what was assumed.

    Args:
        source: The open source.
        scan: Its scan.
        overrides: What the user sets, such as ``{"ptychography.regime": "near"}``.

    Raises:
        SourceError: A near-field scan whose magnification nobody knows.
    """
    regime = overrides.get(f"{STEP}.regime", "far")
    step: dict[str, Any] = {"use": STEP, "regime": regime}
    told: list[str] = []
    if f"{STEP}.regime" not in overrides:
        told.append(
            "frames are far-field diffraction patterns (in the near field: --set ptychography.regime=near, and "
            "--set ptychography.source_distance='3 mm' for a beam that diverges from a focus so far before the sample)"
        )
    probe = _offered(source)
    if probe is not None and f"{STEP}.probe" not in overrides:
        step["probe"] = str(probe)
        told.append(
            f"the probe begins as the one in {probe.name} (--set ptychography.probe=null: from the mean pattern)"
        )
    if regime == "near" and not {f"{STEP}.source_distance", f"{STEP}.pixel"} & set(overrides):
        _demand_magnification(source, scan)
    return [step], told


def _offered(source: RandomAccess) -> Path | None:
    """File with a probe to begin with, where the source has one."""
    offer = getattr(source, "first_probe", None)
    return None if offer is None else offer()


def diffraction_sinks(sink: Mapping[str, Any], out: str) -> list[dict[str, Any]]:
    """The object goes where the user says, the probe beside it (some files hold both, and more); images that can not be complex get the phase."""
    if sink["use"] == "tiff":
        return [{**sink, "of": f"{STEP}.phase"}]
    if sink["use"] in _WHOLE:
        return [{**sink, "of": f"{STEP}.{role}", "role": role} for role in _WHOLE[sink["use"]]]
    place = Path(out)
    beside = out if "://" in out else str(place.with_name(f"{place.stem}-probe{place.suffix}"))
    probes = [] if "://" in out else [{**sink, "of": f"{STEP}.probe", "path": beside}]
    return [{**sink, "of": f"{STEP}.object"}, *probes]


def _demand_magnification(source: RandomAccess, scan: Scan) -> None:
    """In a parallel beam the pixel of the object is the detector's: then the scan must be many of them wide."""
    pixel = scan.pixel("m")
    unit = scan.streams["positions"].unit
    if "source_distance" in scan.calibration or pixel is None or unit in (None, "px"):
        return
    places = np.asarray(source.read({}, "positions"), np.float64)
    extent = float(np.ptp(places, axis=0).max())
    if unit == "m" and extent < 4 * pixel:
        raise SourceError(
            f"The scan is {extent * 1e6:.3g} um wide, the detector's pixel {pixel * 1e6:.3g} um: the beam must have been "
            "magnified, and the file does not say how much.",
            field=f"{STEP}.source_distance",
            value=None,
            expected="the distance from the focus to the sample, or the pixel of the object",
            next_move="Give --set ptychography.source_distance='3.65 mm', or --set ptychography.pixel='180 nm'.",
        )
