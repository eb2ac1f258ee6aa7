"""From counts to what a network takes, and from what it gives to patches of the object."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import StepFailed
from firstlight.operators.ptychography.orientation import Orientation, oriented
from firstlight.operators.ptychography.patterns import amplitudes_of
from firstlight.operators.ptychography.start import read_probe

from .session import Device, Network, load_network

WindowName = Literal["auto", "probe", "hann", "flat"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """How a network is fed, and its patches read."""

    network: Network
    normalization: float | None
    """Counts that become `scale`; None: each frame by its own mean."""
    scale: float
    orientation: Orientation
    patch_orientation: Orientation
    corner: bool
    """True if the zero frequency is the first pixel of a frame."""
    saturation: float | None

    def patches(self, counts: Array) -> Array:
        """Patches of the object, shape (frame, v, u), complex64; their phase is known up to a constant for each.

        Pixels that do not measure count as dark. Where frames are normalised one by one, what a frame let through is put back into
        the amplitude of its patch.

        Args:
            counts: Shape (frame, row, col).
        """
        amplitudes = amplitudes_of(counts)
        if self.saturation is not None:
            amplitudes[counts >= self.saturation] = 0
        np.nan_to_num(amplitudes, copy=False, posinf=0.0)
        if self.corner:
            amplitudes = np.fft.fftshift(amplitudes, axes=(1, 2))
        amplitudes = oriented(amplitudes, self.orientation, corner=False)
        if self.normalization is None:
            strength = np.sqrt(np.mean(np.square(amplitudes, dtype=np.float64), axis=(1, 2), keepdims=True))
            found = self.network.predict(_float(amplitudes / np.where(strength > 0, strength, 1)))
            found *= strength.astype(np.float32)
        else:
            found = self.network.predict(_float(amplitudes * np.sqrt(self.scale / self.normalization)))
        return oriented(found, self.patch_orientation, corner=False)


def _float(amplitudes: Array) -> Array:
    return np.ascontiguousarray(amplitudes, np.float32)


def network_with(path: Path, device: Device, probe: Path | None = None, way: Orientation = "identity") -> Network:
    """A network, told the probe of a file if one is given; the same files are read once in a process.

    Args:
        path: ONNX file.
        device: What runs it.
        probe: File with a probe (``.npy``, or HDF5), of several modes the first; None: the network's own.
        way: How that probe is turned and mirrored.

    Raises:
        StepFailed: A file can not be read, or the probe is none for this network.
    """
    if probe is None:
        return load_network(path, device)
    return _told(path, device, probe, way, _changed(path), _changed(probe))


def _changed(path: Path) -> int:
    """When a file was written; what can not be read is told by who reads it."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=8)
def _told(path: Path, device: Device, probe: Path, way: Orientation, *changed: int) -> Network:
    network = load_network(path, device)
    found = read_probe(probe, network.window, way)
    return network.knowing(found if found.ndim == 2 else found[0])


def normalization_of(network: Network, given: float | Literal["frame"] | None) -> float | None:
    """The counts by which frames are divided, or None for each frame's own mean; the file says so where the user does not.

    Raises:
        StepFailed: Neither does.
    """
    said = network.about.get("normalization") if given is None else given
    try:
        found = None if said == "frame" else float(said or np.nan)
    except ValueError:
        found = np.nan
    if found is not None and not (np.isfinite(found) and found > 0):
        raise StepFailed(
            "The network does not say how its input is normalised.",
            field="normalization",
            value=said,
            expected="counts, such as the largest of a scan, or 'frame': each frame by its own mean",
            next_move="Give normalization as it was in the training.",
        )
    return found


def weights_of(network: Network, window: WindowName, inner: int | None, way: Orientation) -> Array:
    """How far each pixel of a patch is trusted, shape (v, u), float32, at most 1.

    Args:
        network: Its probe, where it has one, tells where light was.
        window: `probe`: the probe's intensity; `hann`: a bell; `flat`; `auto`: the probe's where it is known, else a bell.
        inner: Rows and columns around the middle that count; None: all.
        way: How patches are turned after the network.

    Raises:
        StepFailed: The network has no probe, or is smaller than `inner`.
    """
    rows, cols = network.window
    if window == "probe" and network.probe is None:
        raise StepFailed("The network does not hold its probe.", field="window", value=window, expected="hann or flat")
    if inner is not None and inner > min(rows, cols):
        raise StepFailed(
            "The part of the patches that counts is larger than they are.",
            field="inner",
            value=inner,
            expected=f"at most {min(rows, cols)}",
        )
    if network.probe is not None and window in ("auto", "probe"):
        found = np.abs(network.probe) ** 2
        found = oriented(found / found.max(), way, corner=False)
    elif window == "flat":
        found = np.ones((rows, cols))
    else:
        found = np.outer(*(np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 for n in (rows, cols)))
    if inner is not None:
        kept = np.zeros((rows, cols))
        top, left = (rows - inner) // 2, (cols - inner) // 2
        kept[top : top + inner, left : left + inner] = 1
        found = found * kept
    return found.astype(np.float32)


def leveled(image: Array, spread: Array, light: Array, *, relative: bool) -> tuple[Array, Array]:
    """The image with a mean phase of zero, and with a mean intensity of 1 where it is known up to a factor only.

    Args:
        image: Shape (y, x), complex64.
        spread: Likewise: how far patches differ.
        light: Likewise: what means are weighted with; the image is 1 where there is none.
        relative: True if the amplitude is known up to a factor.
    """
    total = float(light.sum())
    if not total:
        return image, spread
    image = image * np.exp(-1j * np.angle((image * light).sum())).astype(np.complex64)
    strength = float(np.sqrt((np.abs(image) ** 2 * light).sum() / total)) if relative else 1.0
    if not strength > 0:
        return image, spread
    return np.where(light > 0, image / strength, 1).astype(np.complex64), (spread / strength).astype(np.float32)
