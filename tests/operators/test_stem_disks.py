"""Disks at known places, lattices of known strain, holograms of known waves."""

import numpy as np
import pytest

from firstlight.operators.stem.find_disks import find_disks
from firstlight.operators.stem.hologram import hologram
from firstlight.operators.stem.strain import strain

ROWS, COLS = np.mgrid[:96, :96]


def pattern(places, radius, rng):
    mean = np.full(ROWS.shape, 3.0)
    for number, (row, col) in enumerate(places):
        mean += np.clip(radius + 0.5 - np.hypot(ROWS - row, COLS - col), 0, 1) * (400 if number == 0 else 100)
    return rng.poisson(mean).astype(np.uint16)


def lattice(deformation):
    """Places of nine disks for a crystal with a deformation gradient (y, x)."""
    base = np.array([[24.0, 3.0], [-3.0, 24.0]]) @ np.linalg.inv(np.eye(2) + deformation)
    index = np.array([(i, j) for i in (0, -1, 1) for j in (0, -1, 1)])
    return np.array([48.2, 47.6]) + index @ base


def test_disks_are_found_to_a_fraction_of_a_pixel():
    rng = np.random.default_rng(0)
    wanted = lattice(np.zeros((2, 2)))
    places, heights = find_disks(pattern(wanted, 6.0, rng)[None], radius=6.0, count=12)
    assert np.isfinite(places[0]).all(axis=1).sum() == 9
    assert np.isnan(heights[0, 9:]).all()
    nearest = np.linalg.norm(places[0, :9, None] - wanted[None], axis=2).min(axis=0)
    assert nearest.max() < 0.12
    assert heights[0, 0] == pytest.approx(400, rel=0.1)


@pytest.mark.parametrize("given", [(0.02, 0.0, 0.0, 0.0), (0.0, -0.015, 0.01, 0.0), (0.01, 0.01, 0.0, 0.02)])
def test_strain_of_known_lattices(given):
    yy, xx, xy, turn = given
    deformation = np.array([[yy, xy + turn], [xy - turn, xx]])
    exact = strain(lattice(deformation)[None], first=(24.0, 3.0), second=(-3.0, 24.0), center=(48.0, 48.0))
    np.testing.assert_allclose([exact[name][0] for name in ("yy", "xx", "xy", "turn")], given, atol=1e-9)
    places, _ = find_disks(pattern(lattice(deformation), 6.0, np.random.default_rng(1))[None], radius=6.0)
    seen = strain(places, first=(24.0, 3.0), second=(-3.0, 24.0), center=(48.0, 48.0))
    np.testing.assert_allclose([seen[name][0] for name in ("yy", "xx", "xy", "turn")], given, atol=0.003)


def test_a_crystal_that_turns_shows_no_strain():
    away = lattice(np.zeros((2, 2))) - np.array([48.2, 47.6])
    angle = 0.01  # from columns towards rows
    turned = away @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = strain(turned[None] + 48.0, first=(24.0, 3.0), second=(-3.0, 24.0), center=(48.0, 48.0))
    assert found["turn"][0] == pytest.approx(angle, rel=1e-3)
    np.testing.assert_allclose([found[name][0] for name in ("yy", "xx", "xy")], 0, atol=1e-4)


def test_too_few_disks_have_no_strain():
    places = np.full((1, 4, 2), np.nan)
    places[0, :2] = [(48, 48), (72, 51)]
    assert np.isnan(strain(places, first=(24.0, 3.0), second=(-3.0, 24.0), center=(48.0, 48.0))["xx"]).all()


def test_the_wave_of_a_hologram():
    y, x = ROWS / 96, COLS / 96
    phase = 0.8 * np.cos(2 * np.pi * y) + 0.5 * np.sin(2 * np.pi * 2 * x)
    amplitude = 1 - 0.2 * np.cos(2 * np.pi * x)
    # fringes of no whole number of periods would run over the border: here the wave is periodic
    fringes = (20.0, -24.0)
    wave = amplitude * np.exp(1j * (phase + 2 * np.pi * (fringes[0] * y + fringes[1] * x)))
    frame = np.abs(1 + wave)[None] ** 2
    found, strength = hologram(frame, fringes=fringes, cut=10.0)
    np.testing.assert_allclose(found[0], phase, atol=1e-3)
    np.testing.assert_allclose(strength[0], amplitude, atol=1e-3)
    other, _ = hologram(frame, fringes=(-20.0, 24.0), cut=10.0)
    np.testing.assert_allclose(other[0], -phase, atol=1e-3)
