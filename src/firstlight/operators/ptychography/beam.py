"""The light: how it gets to the detector, and what is assumed of the probe before the first round."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import StepFailed
from firstlight.kernels.ptycho.library import Library, NoDevice
from firstlight.kernels.ptycho.propagate import FarField, NearField, Propagator, fresnel_transfer
from firstlight.kernels.ptycho.upsampled import Upsampled, spread_out

from .optics import Optics
from .orientation import NAMES
from .reconstruction import Reconstruction
from .start import defocused, illumination_from_mean, probe_from_mean, read_probe, with_modes, zone_plate_focus

if TYPE_CHECKING:
    from .ptychography import Ptychography


def library_of(step: Ptychography) -> Library:
    """Where the step's engines work.

    Raises:
        StepFailed: Its device can not be used.
    """
    try:
        return Library.of("cpu" if step.device == "auto" else step.device)
    except NoDevice as error:
        raise StepFailed(
            f"The device of the engines can not be used: {error}.",
            field="device",
            value=step.device,
            expected="cpu, or a CUDA device that CuPy can use",
            next_move="Set device to cpu, or pip install 'firstlight[gpu]' where there is a device.",
        ) from error


def optics_of(step: Ptychography, scan: Scan, window: tuple[int, int]) -> Optics:
    """Wavelength and pixel of the object, see `Optics.of`."""
    return Optics.of(
        scan,
        window,
        near=step.regime == "near",
        energy=step.energy,
        distance=step.distance,
        source_distance=step.source_distance,
        detector_pixel=None if step.detector_pixel is None else step.detector_pixel * 1e-6,
        pixel=None if step.pixel is None else step.pixel * 1e-9,
    )


def propagator_of(step: Ptychography, state: Reconstruction) -> Propagator:
    """From the sample to the detector."""
    if step.regime == "far":
        return Upsampled(FarField(), step.upsampling) if step.upsampling > 1 else FarField()
    (distance,) = state.optics.require("distance")
    return free_space(step, state, distance)


def free_space(step: Ptychography, state: Reconstruction, distance: float) -> NearField:
    """Over a distance in metre (Fresnel), as large as the window."""
    (wavelength,) = state.optics.require("wavelength")
    state.optics.require("pixel")
    transfer = fresnel_transfer(
        state.canvas.window,
        wavelength=wavelength,
        distance=distance,
        pixel=state.optics.pixel or (1.0, 1.0),
        dtype=step.complex_type,
    )
    return NearField(transfer)


def gap_curvature(step: Ptychography, state: Reconstruction) -> float:
    """What the probe's far field loses from one slice to the next: ``πλz / 4p²``, in radian at the middle of the detector's edge."""
    (wavelength,) = state.optics.require("wavelength")
    state.optics.require("pixel")
    height, _ = state.optics.pixel or (1.0, 1.0)
    return np.pi * wavelength * (step.slice_gap or 0.0) * 1e-6 / (4 * height**2)


def seeks_focus(step: Ptychography) -> bool:
    """True if the defocus of the probe is to be found from the data."""
    modelled = step.probe is not None or step.outer_zone is not None
    return step.probe_defocus == "auto" and not modelled and step.regime == "far"


def background_of(step: Ptychography, state: Reconstruction) -> Array | None:
    """Counts of each frame that come through neither probe nor object, as told or as found, shape (v, u); None: none known."""
    if isinstance(step.background, float):
        return np.full(state.patterns.window, step.background) if step.background else None
    return state.background


def first_probe(step: Ptychography, state: Reconstruction, mean: Array) -> Array:
    """From a file, from the model of a zone plate, or from mean counts of shape (v, u); defocused as the step says.

    Returns:
        Shape (mode, v, u), of the power of a frame.
    """
    window = state.canvas.window
    if step.probe is not None:
        first = read_probe(step.probe, window, step.probe_orientation)
    elif step.outer_zone is not None:
        state.optics.require("pixel")
        first = zone_plate_focus(
            window,
            state.optics.pixel or (1.0, 1.0),
            outer_zone=step.outer_zone * 1e-9,
            diameter=(step.zone_plate_diameter or 1.0) * 1e-6,
            stop=step.central_stop * 1e-6,
        )
    elif step.regime == "near":
        first = illumination_from_mean(mean, state.patterns.valid)
    else:
        fine = spread_out(np.sqrt(mean), step.upsampling) ** 2 if step.upsampling > 1 else mean
        first = probe_from_mean(fine)
    if step.probe_defocus and step.probe_defocus != "auto":
        (wavelength,) = state.optics.require("wavelength")
        state.optics.require("pixel")
        first = defocused(
            first,
            wavelength=wavelength,
            distance=step.probe_defocus * 1e-6,
            pixel=state.optics.pixel or (1.0, 1.0),
        )
    return with_modes(first, step.modes, float(mean.sum()), step.complex_type)


def last_probe(step: Ptychography, shown: Mapping[str, Array], folder: Path) -> dict[str, Any]:
    """The parameters with which a scan begins with the probe of the one before it, in a file; none if that has none yet.

    Args:
        step: Of the scan before.
        shown: Its outputs, by name.
        folder: For the file.
    """
    probe, way = shown.get("probe"), shown.get("orientation")
    if probe is None or not np.isfinite(probe).all() or not np.abs(probe).any():
        return {}
    if step.orientation == "auto" and way is None:
        return {}
    path = folder / "probe.npy"
    np.save(path, np.asarray(probe))
    known = {} if step.orientation != "auto" or way is None else {"orientation": NAMES[int(np.asarray(way))]}
    model = {"outer_zone": None, "zone_plate_diameter": None, "central_stop": 0.0}
    return {"probe": path, "probe_orientation": "identity", "probe_defocus": 0.0, **model, **known}
