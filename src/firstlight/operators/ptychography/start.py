"""What is assumed of the probe before the first round."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import StepFailed
from firstlight.kernels.ptycho.propagate import NearField, fresnel_transfer


def probe_from_mean(amplitudes: Array, valid: Array) -> Array:
    """A focus: the far field has the mean measured amplitudes, and the phase is flat. Shape (v, u), complex64.

    Args:
        amplitudes: Shape (position, v, u), zero frequency at the corner.
        valid: Shape (v, u): pixels that measure; the others are taken as dark.
    """
    mean = np.sqrt((amplitudes.astype(np.float64) ** 2).mean(axis=0)) * valid
    return np.fft.fftshift(np.fft.ifft2(mean, norm="ortho")).astype(np.complex64)


def illumination_from_mean(amplitudes: Array, valid: Array) -> Array:
    """Near field: the mean measured amplitude with a flat phase. Shape (v, u), complex64."""
    mean = np.sqrt((amplitudes.astype(np.float64) ** 2).mean(axis=0))
    return np.where(valid, mean, mean[valid].mean()).astype(np.complex64)


def defocused(probe: Array, *, wavelength: float, distance: float, pixel: tuple[float, float]) -> Array:
    """The probe a distance further down the beam (Fresnel); lengths in metre."""
    transfer = fresnel_transfer(
        (probe.shape[-2], probe.shape[-1]), wavelength=wavelength, distance=distance, pixel=pixel
    )
    return NearField(transfer).forward(probe.copy())


def with_modes(probe: Array, modes: int, power: float) -> Array:
    """The first mode, and weaker copies of it with a ramp of phase, each 5 % of the power; shape (mode, v, u).

    Args:
        probe: Shape (v, u) or (mode, v, u); modes that are given are kept.
        modes: How many there shall be.
        power: Photons of a frame: Σ|probe|² of the result.
    """
    known = (probe if probe.ndim == 3 else probe[None])[:modes]
    rows, cols = known.shape[-2:]
    found = [*known]
    for number in range(len(found), modes):
        turn = (number + 1) // 2 * (1 if number % 2 else -1)
        axis = np.arange(cols)[None, :] / cols if number % 4 < 2 else np.arange(rows)[:, None] / rows
        found.append(0.22 * known[0] * np.exp(2j * np.pi * turn * axis))
    together = np.stack(found)
    return (together * np.sqrt(power / np.sum(np.abs(together) ** 2))).astype(np.complex64)


def read_probe(path: Path, window: tuple[int, int]) -> Array:
    """A probe from a file.

    Raises:
        StepFailed: It can not be read, or has another shape.
    """
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise StepFailed(
            f"The probe can not be read: {error}", field="probe", value=str(path), expected="an .npy file"
        ) from error
    if found.ndim not in (2, 3) or found.shape[-2:] != window or found.dtype.kind not in "cf":
        raise StepFailed(
            "The probe does not fit the frames.",
            field="probe",
            value=f"{found.dtype} {found.shape}",
            expected=f"complex, shape {window} or (mode, {window[0]}, {window[1]})",
        )
    return found.astype(np.complex64)
