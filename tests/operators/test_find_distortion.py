"""A grid of dots seen through a known distortion: the distortion is found, and undone."""

import numpy as np
import pytest
import scipy.special

from firstlight.core.errors import FirstlightError
from firstlight.kernels.dots import grid_places, locate_dots
from firstlight.operators.correct.find_distortion import FindDistortion
from firstlight.operators.correct.undistort import undistort

from .scenes import chunks_of, fold_all, scan_of

SHAPE = (300, 360)
CENTER = (140.0, 190.0)
COEFFICIENTS = (1.0, 3e-4, -3e-6)


def grid(turned=3.0, pitch=24.0):
    """Places of the dots of a straight grid, (dot, 2)."""
    steps = np.stack(np.meshgrid(np.arange(-9, 10), np.arange(-9, 10), indexing="ij"), -1).reshape(-1, 2)
    c, s = np.cos(np.deg2rad(turned)), np.sin(np.deg2rad(turned))
    return steps @ (pitch * np.array([[c, -s], [s, c]])) + [151.3, 178.7]


def seen(straight):
    """Where the lens shows them."""
    away = straight - CENTER
    radius = np.hypot(*away.T)[:, None]
    return CENTER + away * sum(k * radius**n for n, k in enumerate(COEFFICIENTS))


def picture(dots, *, bright=False, noise=0.02):
    row = np.arange(SHAPE[0])[:, None]
    image = np.zeros(SHAPE)
    for y, x in dots[np.all((dots > 0) & (dots < SHAPE), axis=1)]:
        top, left = max(int(y) - 12, 0), max(int(x) - 12, 0)
        part = image[top : top + 26, left : left + 26]
        i, j = np.ogrid[: part.shape[0], : part.shape[1]]
        part += scipy.special.expit((5.0 - np.hypot(top + i - y, left + j - x)) / 0.5)
    image = image if bright else 1 - 0.8 * image
    image = image * (1 + 0.2 * row / SHAPE[0]) + np.random.default_rng(1).normal(0, noise, SHAPE)
    return (image * 1000 + 500).astype(np.float32)


def found(image, **parameters):
    fold = FindDistortion(**parameters)
    frames = np.stack([image, image])
    return fold.result(fold_all(fold, scan_of(frames), chunks_of(frames)))


@pytest.mark.parametrize("bright", [False, True])
def test_the_planted_distortion_is_found_and_undone(bright):
    straight = grid()
    image = picture(seen(straight), bright=bright)
    result = found(image, terms=2)
    assert result["error"] < 0.08
    # what matters is where pixels go: far from the center the model must agree to a twentieth of a pixel
    mended = undistort(
        image[None],
        row=float(result["row"]),
        column=float(result["column"]),
        coefficients=tuple(result["coefficients"]),
        interpolation="cubic",
    )[0]
    points, places = grid_places(locate_dots(mended))
    inner = np.all((points > 12) & (points < np.array(SHAPE) - 12), axis=1)
    points, places = points[inner], places[inner]
    model = np.column_stack([places, np.ones(len(places))])
    bent = points - model @ np.linalg.lstsq(model, points, rcond=None)[0]
    before, where = grid_places(locate_dots(image))
    basis = np.column_stack([where, np.ones(len(where))])
    crooked = before - basis @ np.linalg.lstsq(basis, before, rcond=None)[0]
    assert np.hypot(*crooked.T).max() > 1.5
    assert np.sqrt(np.mean(bent**2)) < 0.05
    assert np.abs(np.array([result["row"], result["column"]]) - CENTER).max() < 3


def test_a_straight_grid_has_no_distortion():
    result = found(picture(grid(turned=-12.0), noise=0.005), terms=2)
    radius = 180.0
    assert abs(sum(k * radius**n for n, k in enumerate(result["coefficients"])) - 1) * radius < 0.15


def test_dots_are_located_to_a_part_of_a_pixel():
    straight = grid()
    inside = np.all((straight > 12) & (straight < np.array(SHAPE) - 12), axis=1)
    located = locate_dots(picture(straight, noise=0.01))
    for dot in straight[inside]:
        assert np.hypot(*(located - dot).T).min() < 0.1


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((40, 50), np.float32),
        np.random.default_rng(2).normal(size=(60, 60)).astype(np.float32),
        picture(grid()[:5]),
    ],
    ids=["nothing", "noise", "five dots"],
)
def test_no_grid_is_told(image):
    with pytest.raises(FirstlightError, match="No distortion was found"):
        found(image)


def test_before_the_first_frame_nothing_is_known():
    fold = FindDistortion()
    state = fold.empty(scan_of(np.zeros((2, 40, 50), np.float32)))
    assert not fold.ready(state)
    assert np.isnan(fold.result(state)["row"])
