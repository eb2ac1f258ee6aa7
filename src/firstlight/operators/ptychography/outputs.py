"""What a reconstruction shows: images, probe, positions, and how well it fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from firstlight.core.arrays import Array
from firstlight.kernels.ptycho.modes import orthogonal
from firstlight.kernels.ptycho.quality import power_spectrum

from .beam import background_of, propagator_of
from .orientation import NAMES
from .reconstruction import Reconstruction
from .rounds import image_of

if TYPE_CHECKING:
    from .ptychography import Ptychography

SIGNATURE = (
    "[position] row col, [position] yx -> object: y x, phase: y x, amplitude: y x, layers: layer y x, coverage: y x, "
    "probe: mode v u, shares: mode, spectrum: v u, positions: point yx, pattern: line pixel, background: line pixel, middle: yx, orientation: , "
    "error: iteration, r_factor: iteration, times: iteration, points: iteration, agreement: ring"
)
TYPES = {
    "object": "complex64",
    "layers": "complex64",
    "probe": "complex64",
    "phase": "float32",
    "amplitude": "float32",
    "coverage": "float32",
    "spectrum": "float32",
    "pattern": "float32",
    "background": "float32",
}
"""Of those that are not float64."""
UNITS = {"phase": "rad", "coverage": "counts", "spectrum": "counts", "pattern": "counts", "background": "counts"}


def outputs_of(step: Ptychography, state: Reconstruction) -> dict[str, Array]:
    """All outputs as they are now, where windows were; NaN where no light has been. Nothing aliases the state."""
    patterns, seen = state.patterns, state.canvas.covered(state.patterns.corners)
    fallen = state.fallen[seen]
    lit = fallen > 0.01 * fallen.max(initial=0.0)
    layers = np.stack([_level(layer[seen], lit) for layer in state.canvas.stack]).astype(np.complex64)
    image = image_of(layers, step.object_modes > 1).copy()
    dark = np.float32(np.nan)
    empty = np.zeros((step.modes, 1, 1), np.complex64)
    probe, shares = orthogonal(empty if state.probe is None else state.probe)
    return {
        "object": image,
        "phase": np.where(lit, np.angle(image), dark),
        "amplitude": np.where(lit, np.abs(image), dark),
        "layers": layers,
        "coverage": fallen,
        "probe": probe.astype(np.complex64),
        "shares": shares,
        "spectrum": _spectrum(step, state),
        "positions": patterns.refined[patterns.by_id()] * state.pixel,
        "pattern": _pattern(step, state),
        "background": _background(step, state),
        "middle": np.asarray(_middle(state), np.float64),
        "orientation": np.array(float(NAMES.index(state.way))),
        "error": np.asarray(state.errors, np.float64),
        "r_factor": np.asarray(state.factors, np.float64),
        "times": np.asarray(state.times, np.float64),
        "points": np.asarray(state.points, np.float64),
        "agreement": np.full(1, np.nan) if state.agreement is None else state.agreement.copy(),
    }


def _level(image: Array, lit: Array) -> Array:
    """The image with a mean phase of zero where there is light."""
    mean = image[lit].sum() if lit.any() else 1.0
    return image * np.exp(-1j * np.angle(mean)).astype(image.dtype)


def _middle(state: Reconstruction) -> tuple[int, int]:
    rows, cols = state.patterns.window
    known = None if state.window is None else state.window.middle
    return (rows // 2, cols // 2) if known is None else known


def _spectrum(step: Ptychography, state: Reconstruction) -> Array:
    """Photons of a frame that the probe alone puts on each pixel of the detector; zero frequency in the middle."""
    if state.probe is None:
        return np.zeros(state.patterns.window, np.float32)
    return _shown(step, power_spectrum(state.probe, propagator_of(step, state)))


def _pattern(step: Ptychography, state: Reconstruction) -> Array:
    """Counts of the last frame by id, zero frequency in the middle; NaN where a pixel does not measure."""
    if not len(state.patterns):
        return np.zeros(state.patterns.window, np.float32)
    counts = state.patterns.stored()[-1:][0] ** 2
    return _shown(step, np.where(state.patterns.valid, counts, np.float32(np.nan)))


def _background(step: Ptychography, state: Reconstruction) -> Array:
    """Counts of each frame that come through neither probe nor object, zero frequency in the middle."""
    found = background_of(step, state)
    return _shown(step, np.zeros(state.patterns.window) if found is None else found)


def _shown(step: Ptychography, image: Array) -> Array:
    found = np.fft.fftshift(image) if step.regime == "far" else image
    return np.asarray(found, np.float32)
