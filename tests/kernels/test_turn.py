"""Half a turn or a whole one: phantoms of known angles, and the real neutron sinogram."""

import numpy as np
import pytest
import tifffile

from firstlight.kernels.turn import turn_of


def projections(angles, *, center=70.0, columns=150, noise=0.0, rows=3, seed=0):
    """Disks off the axis: exact line integrals."""
    s = np.arange(columns) - center
    frames = np.zeros((len(angles), rows, columns))
    for row in range(rows):
        for x, y, radius, weight in ((20, 5 * row, 12, 0.02), (-15, 25, 8, 0.05), (0, 0, 45, 0.01)):
            at = x * np.cos(np.deg2rad(angles)) + y * np.sin(np.deg2rad(angles))
            frames[:, row] += 2 * weight * np.sqrt(np.clip(radius**2 - (s - at[:, None]) ** 2, 0, None))
    return frames + np.random.default_rng(seed).normal(0, noise, frames.shape)


def answer(frames, k):
    places = np.linspace(0, len(frames) - 2 * k, 12).astype(int)
    pairs = np.stack([[frames[p : p + k].mean(0), frames[p + k : p + 2 * k].mean(0)] for p in places])
    return turn_of(frames[:k].mean(0), frames[-k:].mean(0), pairs)


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("center", [60.0, 74.5, 90.0])
@pytest.mark.parametrize("turn", [180, 360])
def test_phantoms(turn, center, noise):
    for count in (90, 361):
        angles = np.arange(count) * turn / count
        assert answer(projections(angles, center=center, noise=noise), max(1, count // 120)) == turn


def test_what_is_neither_and_what_is_both_is_not_told():
    assert answer(projections(np.arange(100) * 1.4), 1) is None
    disk = np.tile(projections(np.zeros(1), center=74.5), (100, 1, 1))
    disk = disk + disk[..., ::-1] + np.random.default_rng(1).normal(0, 0.01, disk.shape)
    assert answer(disk, 1) is None
    assert turn_of(np.zeros((2, 8)), np.zeros((2, 8)), np.zeros((3, 2, 2, 8))) is None


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        turn_of(np.zeros((2, 8)), np.zeros((2, 9)), np.zeros((3, 2, 2, 8)))


def test_the_neutron_sinogram_is_a_whole_turn(data_folder):
    sinogram = tifffile.imread(data_folder / "tomography" / "neutompy_sinogram.tiff")[:, None]
    assert answer(sinogram, 9) == 360
    assert answer(sinogram[:563], 5) == 180
