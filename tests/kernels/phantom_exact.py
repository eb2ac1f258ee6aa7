"""Shepp-Logan phantom with exact line integrals, averaged over the area of the pixels, for the accuracy tests."""

import numpy as np
from numpy.typing import NDArray

# (density, half axes, centre, tilt in degree), lengths in half widths; the skull's density is 1
ELLIPSES = [
    (1.0, 0.69, 0.92, 0.0, 0.0, 0.0),
    (-0.8, 0.6624, 0.8740, 0.0, -0.0184, 0.0),
    (-0.2, 0.11, 0.31, 0.22, 0.0, -18.0),
    (-0.2, 0.16, 0.41, -0.22, 0.0, 18.0),
    (0.1, 0.21, 0.25, 0.0, 0.35, 0.0),
    (0.1, 0.046, 0.046, 0.0, 0.1, 0.0),
    (0.1, 0.046, 0.046, 0.0, -0.1, 0.0),
    (0.1, 0.046, 0.023, -0.08, -0.605, 0.0),
    (0.1, 0.023, 0.023, 0.0, -0.606, 0.0),
    (0.1, 0.023, 0.046, 0.06, -0.605, 0.0),
]
LARGE = [0, 1, 2, 3, 4]


def ellipse_level(size: int, index: int, dx: float = 0.0, dy: float = 0.0) -> NDArray[np.float64]:
    """Elliptic radius of every pixel centre moved by (dx, dy) pixels: 1 on the rim of the ellipse."""
    _, a, b, x0, y0, tilt = ELLIPSES[index]
    c, s = np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt))
    place = np.arange(size) - (size - 1) / 2
    x = ((place + dx) * 2 / size)[None, :] - x0
    y = (-(place + dy) * 2 / size)[:, None] - y0
    return np.hypot((x * c + y * s) / a, (-x * s + y * c) / b)


def phantom(size: int, points: int = 4) -> NDArray[np.float32]:
    """Attenuation per pixel (y, x), averaged over points x points places in each pixel."""
    picture = np.zeros((size, size), np.float32)
    offsets = (np.arange(points) + 0.5) / points - 0.5
    for dy in offsets:
        for dx in offsets:
            for index, ellipse in enumerate(ELLIPSES):
                picture += np.float32(ellipse[0]) * (ellipse_level(size, index, dx, dy) <= 1)
    return picture / points**2


def sinogram(
    columns: int,
    angles_degrees: NDArray[np.float64],
    *,
    center: float | None = None,
    rays: int = 4,
    scale: int | None = None,
) -> NDArray[np.float32]:
    """Exact line integrals (angle, col) in pixels, averaged over `rays` rays in each detector pixel."""
    scale = columns if scale is None else scale
    center = (columns - 1) / 2 if center is None else center
    theta = np.deg2rad(angles_degrees)[:, None]
    total = np.zeros((theta.size, columns))
    for offset in (np.arange(rays) + 0.5) / rays - 0.5:
        place = (np.arange(columns) + offset - center)[None, :] * 2 / scale
        for density, a, b, x0, y0, tilt in ELLIPSES:
            distance = place - (x0 * np.cos(theta) + y0 * np.sin(theta))
            turned = theta - np.deg2rad(tilt)
            width = (np.cos(turned) * a) ** 2 + (np.sin(turned) * b) ** 2
            total += density * 2 * a * b * np.sqrt(np.clip(width - distance**2, 0, None)) / width
    return (total / rays * scale / 2).astype(np.float32)


def circle(size: int, radius: float = 0.45) -> NDArray[np.bool_]:
    """Pixels nearer to the middle than `radius` widths."""
    place = np.arange(size) - (size - 1) / 2
    return np.hypot(place[:, None], place[None, :]) <= radius * size


def rrms(picture: NDArray[np.floating], truth: NDArray[np.floating], inside: NDArray[np.bool_]) -> float:
    """Root mean square difference over root mean square of the truth."""
    difference = picture[inside].astype(np.float64) - truth[inside]
    return float(np.sqrt(np.mean(difference**2) / np.mean(truth[inside].astype(np.float64) ** 2)))
