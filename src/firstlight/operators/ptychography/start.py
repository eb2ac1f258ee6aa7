"""What is assumed of the probe before the first round."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import StepFailed
from firstlight.core.npy import open_npy
from firstlight.kernels.ptycho.propagate import NearField, fresnel_transfer

from .orientation import Orientation, exchanges, oriented


def probe_from_mean(mean: Array) -> Array:
    """A focus: the far field has the mean measured amplitudes, and the phase is flat. Shape (v, u), complex128.

    Args:
        mean: Mean counts, shape (v, u), zero frequency at the corner; zero where nothing measures.
    """
    return np.fft.fftshift(np.fft.ifft2(np.sqrt(mean), norm="ortho"))


def illumination_from_mean(mean: Array, valid: Array) -> Array:
    """Near field: the mean measured amplitude with a flat phase. Shape (v, u), complex128.

    Args:
        mean: Mean counts, shape (v, u).
        valid: Shape (v, u): pixels that measure; the others are taken as bright as the mean.
    """
    amplitude = np.sqrt(mean)
    return np.where(valid, amplitude, amplitude[valid].mean()).astype(np.complex128)


def zone_plate_focus(
    window: tuple[int, int],
    pixel: tuple[float, float],
    *,
    outer_zone: float,
    diameter: float,
    stop: float = 0.0,
) -> Array:
    """The focus of a zone plate; shape (v, u), complex128.

    A plate of diameter D and outermost zone Δr has the numerical aperture λ / 2Δr, so that its focus has all spatial frequencies
    up to 1 / 2Δr, less those of the central stop: an Airy disk whose first dark ring has the radius 1.22 Δr.

    Args:
        window: Rows and columns.
        pixel: Height and width of a pixel in metre.
        outer_zone: Width of the outermost zone in metre.
        diameter: Of the plate in metre.
        stop: Diameter of the central stop in metre.
    """
    rows, cols = (np.fft.fftfreq(n, p) for n, p in zip(window, pixel, strict=True))
    radius = np.hypot(rows[:, None], cols[None, :])
    edge = 1 / (2 * outer_zone)
    # an edge of one pixel of the far field, which is 1 / (N p) wide, so that a round aperture is round
    width = 1 / min(n * p for n, p in zip(window, pixel, strict=True))
    aperture = np.clip((edge - radius) / width + 0.5, 0, 1)
    if stop > 0:
        aperture = aperture * np.clip((radius - edge * stop / diameter) / width + 0.5, 0, 1)
    return np.fft.fftshift(np.fft.ifft2(aperture, norm="ortho"))


def defocused(probe: Array, *, wavelength: float, distance: float, pixel: tuple[float, float]) -> Array:
    """The probe a distance further down the beam (Fresnel); lengths in metre."""
    transfer = fresnel_transfer(
        (probe.shape[-2], probe.shape[-1]),
        wavelength=wavelength,
        distance=distance,
        pixel=pixel,
        dtype="complex128",
    )
    return NearField(transfer).forward(probe.copy())


def with_modes(probe: Array, modes: int, power: float, dtype: str = "complex64") -> Array:
    """The first mode, and weaker copies of it with a ramp of phase, each 5 % of the power; shape (mode, v, u).

    Args:
        probe: Shape (v, u) or (mode, v, u); modes that are given are kept.
        modes: How many there shall be.
        power: Photons of a frame: Σ|probe|² of the result.
        dtype: Of the result.
    """
    known = (probe if probe.ndim == 3 else probe[None])[:modes]
    rows, cols = known.shape[-2:]
    found = [*known]
    for number in range(len(found), modes):
        turn = (number + 1) // 2 * (1 if number % 2 else -1)
        axis = np.arange(cols)[None, :] / cols if number % 4 < 2 else np.arange(rows)[:, None] / rows
        found.append(0.22 * known[0] * np.exp(2j * np.pi * turn * axis))
    together = np.stack(found)
    return (together * np.sqrt(power / np.sum(np.abs(together) ** 2))).astype(dtype)


def read_probe(path: Path, window: tuple[int, int], way: Orientation = "identity") -> Array:
    """A probe from a file, such as the last scan's: ``.npy``, or an HDF5 file that holds one.

    Args:
        path: The file.
        window: Rows and columns that it shall have, after it is turned.
        way: How it is turned and mirrored, about the middle of its window.

    Raises:
        StepFailed: It can not be read, or has another shape.
    """
    held = (window[1], window[0]) if exchanges(way) else window
    try:
        found = np.array(open_npy(path)) if path.suffix == ".npy" else _from_hdf5(path, held)
    except (OSError, ValueError, KeyError) as error:
        raise StepFailed(
            f"The probe can not be read: {error}",
            field="probe",
            value=str(path),
            expected="an .npy file, or an HDF5 file with a complex dataset of this shape",
        ) from error
    if found.ndim not in (2, 3) or found.shape[-2:] != held or found.dtype.kind not in "cf":
        raise StepFailed(
            "The probe does not fit the frames.",
            field="probe",
            value=f"{found.dtype} {found.shape}",
            expected=f"complex, shape {held} or (mode, {held[0]}, {held[1]})",
        )
    # about the middle, so that the probe stays where it is
    cornered = np.fft.ifftshift(found.astype(np.complex128), axes=(-2, -1))
    return np.fft.fftshift(oriented(cornered, way, corner=True), axes=(-2, -1))


def _from_hdf5(path: Path, window: tuple[int, int]) -> Array:
    """The complex dataset of a window's rows and columns; of several, one that is named probe."""
    import h5py

    found: list[str] = []

    def look(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "c" and item.shape[-2:] == window and item.ndim <= 4:
            found.append(name)

    with h5py.File(path, "r") as file:
        file.visititems(look)
        if not found:
            raise ValueError(f"it has no complex dataset of {window[0]} × {window[1]} pixels")
        best = sorted(found, key=lambda name: ("probe" not in name.lower(), len(name), name))[0]
        values: Array = np.asarray(file[best])
    return values.reshape(-1, *window)
