"""What is known of object and probe beforehand, put in after a round: limits, sparsity, smoothness, support, a centred probe."""

from __future__ import annotations

from typing import Any

import numpy as np

from .waves import namespace

Array = Any

_TAU = 0.248
"""Step of the projection for the total variation: less than a quarter converges (Chambolle 2004)."""


def clamp_magnitude(image: Array, low: float, high: float) -> None:
    """Bring the magnitude of the object between two limits and leave its phase, in place.

    Args:
        image: The object, shape (y, x), complex.
        low: Smallest magnitude.
        high: Largest magnitude.
    """
    xp = namespace(image)
    magnitude = xp.abs(image)
    image *= xp.clip(magnitude, low, high) / magnitude.clip(np.finfo(magnitude.dtype).tiny)


def clamp_phase(image: Array, low: float, high: float) -> None:
    """Bring the phase of the object, counted from that of its mean, between two limits, in place.

    Args:
        image: The object, shape (y, x), complex.
        low: Smallest phase in radian.
        high: Largest phase in radian.
    """
    xp = namespace(image)
    mean = xp.exp(1j * xp.angle(image.mean()))
    phase = xp.angle(image * mean.conj())
    image *= xp.exp(1j * (xp.clip(phase, low, high) - phase)).astype(image.dtype)


def soften(image: Array, threshold: float) -> None:
    """Proximal step of ``threshold · Σ|O − Ō|``: what differs from the mean by less than the threshold becomes the mean.

    Args:
        image: The object, shape (y, x), complex; changed.
        threshold: As a magnitude of the object.
    """
    xp = namespace(image)
    mean = image.mean()
    image -= mean
    magnitude = xp.abs(image)
    image *= (1 - threshold / magnitude.clip(threshold or np.finfo(magnitude.dtype).tiny)).clip(0, None)
    image += mean


def smooth_variation(image: Array, weight: float, rounds: int = 20) -> None:
    """Proximal step of the total variation, ``½ Σ|O' − O|² + weight · Σ|∇O'|``, in place.

    Chambolle, J. Math. Imaging Vis. 20, 89 (2004); |∇O'| is the length of the gradient of both parts of the complex object.

    Args:
        image: The object, shape (y, x), complex; changed.
        weight: Of the total variation.
        rounds: Of the projection.
    """
    if weight <= 0:
        return
    down, right = 0 * image, 0 * image
    for _ in range(rounds):
        field = _divergence(down, right) - image / weight
        to_down, to_right = _gradient(field)
        length = 1 + _TAU * (abs(to_down) ** 2 + abs(to_right) ** 2) ** 0.5
        down = (down + _TAU * to_down) / length
        right = (right + _TAU * to_right) / length
    image -= weight * _divergence(down, right)


def variation(image: Array) -> float:
    """Σ|∇O|, forward differences."""
    down, right = _gradient(image)
    return float(((abs(down) ** 2 + abs(right) ** 2) ** 0.5).sum())


def support(probe: Array, radius: float) -> None:
    """Darken the probe outside a disk, in place.

    Args:
        probe: Shape (mode, v, u), complex.
        radius: As a part of half the window.
    """
    rows, cols = (np.abs(np.arange(n) - (n - 1) / 2) / (n / 2) for n in probe.shape[-2:])
    inside = np.hypot(rows[:, None], cols[None, :]) <= radius
    probe *= namespace(probe).asarray(inside)


def off_center(probe: Array) -> tuple[int, int]:
    """How far the light of the probe lies below and right of the middle of its window, in whole pixels.

    The mean is taken around the circle of each axis, so that a probe that is wrapped around an edge has a middle too.
    """
    power = (probe.real**2 + probe.imag**2).sum(axis=0)
    found = []
    for axis in (0, 1):
        line = power.sum(axis=1 - axis)
        line = line if isinstance(line, np.ndarray) else line.get()
        turn = np.exp(2j * np.pi * np.arange(len(line)) / len(line))
        place = np.angle((line * turn).sum()) / (2 * np.pi) * len(line) % len(line)
        found.append(int(np.rint(place - len(line) // 2)))
    return found[0], found[1]


def _gradient(image: Array) -> tuple[Array, Array]:
    down, right = 0 * image, 0 * image
    down[:-1] = image[1:] - image[:-1]
    right[:, :-1] = image[:, 1:] - image[:, :-1]
    return down, right


def _divergence(down: Array, right: Array) -> Array:
    """The adjoint of the gradient, with the other sign."""
    found = down + right
    found[1:] -= down[:-1]
    found[:, 1:] -= right[:, :-1]
    return found
