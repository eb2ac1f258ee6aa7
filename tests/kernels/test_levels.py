"""Passes over frames against numpy: levels, percentiles, disks, quarter turns, means of lines, and increments of images."""

import numpy as np
import pytest

from firstlight.kernels import increments
from firstlight.kernels.averages import frame_moments, mean_of_groups
from firstlight.kernels.elementwise import fuse
from firstlight.kernels.levels import DIFFERENCE, SCALE_AND_SHIFT, finite_means
from firstlight.kernels.masks import disk, keep_disk
from firstlight.kernels.quarter_turns import transposed_frames
from firstlight.kernels.ranks import percentiles

RNG = np.random.default_rng(4)
TYPES = [">u2", "float16", "float32"]


@pytest.mark.parametrize("kind", TYPES)
def test_levels_of_every_type(kind):
    frames = (RNG.random((3, 5, 7)) * 200).astype(kind)
    image, factors = RNG.random((5, 7)).astype(np.float32), RNG.random(3).astype(np.float32)
    plain = frames.astype(np.float64)
    found = fuse([DIFFERENCE])(frames, [image])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, plain - image, rtol=1e-6, atol=1e-5)
    found = fuse([SCALE_AND_SHIFT])(frames, [], [factors, -factors])
    np.testing.assert_allclose(found, plain * factors[:, None, None] - factors[:, None, None], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(mean_of_groups(frames, 2), plain[:, :4].reshape(3, 2, 2, 7).mean(axis=2), rtol=1e-6)


@pytest.mark.parametrize("share", [0.5, 37.0, 50.0, 99.0, 100.0])
def test_percentiles_and_means_leave_out_what_is_no_number(share):
    lines = RNG.integers(0, 6, (40, 23)).astype(np.float32)  # many equal values
    lines[RNG.random(lines.shape) < 0.2] = np.nan
    lines[3, ::2], lines[5], lines[6, 1:] = np.inf, np.nan, -np.inf
    wanted = [np.percentile(each[np.isfinite(each)], share) if np.isfinite(each).any() else np.nan for each in lines]
    np.testing.assert_allclose(percentiles(lines, share), wanted, rtol=1e-6)
    means = [each[np.isfinite(each)].mean() if np.isfinite(each).any() else np.nan for each in lines]
    wide = np.pad(lines[:, None], ((0, 0), (1, 2), (3, 1)), constant_values=99)
    np.testing.assert_allclose(finite_means(wide, slice(1, 2), slice(3, 26)), means, rtol=1e-6)


def test_disks_are_those_of_their_definition():
    for _ in range(300):
        shape = (int(RNG.integers(1, 14)), int(RNG.integers(1, 14)))
        image = RNG.random((2, *shape)).astype(np.float32)
        center = tuple(RNG.integers(-6, 40, 2) / 2)  # on pixels and between them, and outside
        radius = float(RNG.choice([0.0, 0.5, 1.0, np.sqrt(2), 2.5, 5.0, 6.5, 30.0]))
        wanted = np.where(disk(shape, center, radius), image, np.float32(-1))
        np.testing.assert_array_equal(keep_disk(image, center, radius, -1.0), wanted)


@pytest.mark.parametrize("kind", [*TYPES, "bool", "complex128"])
def test_quarter_turns_move_values_of_every_type(kind):
    frames = (RNG.random((2, 137, 35)) * 200).astype(kind)  # more than one tile, and a rest on both sides
    for given in (frames, frames[:, 1:, ::2]):
        for up in (False, True):
            for left in (False, True):
                found = transposed_frames(given, up=up, left=left)
                assert found.flags.c_contiguous
                assert found.dtype == frames.dtype
                wanted = given.swapaxes(1, 2)[:, :: -1 if up else 1, :: -1 if left else 1]
                np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("problems", [1, 4])
def test_increments(problems):
    shape = (3, 5, problems)
    images, update = (RNG.normal(size=shape).astype(np.float32) for _ in range(2))
    weights = RNG.random((3, 5, 1)).astype(np.float32)
    mask = (RNG.random((3, 5, 1)) < 0.7).astype(np.float32)
    factors = RNG.normal(size=problems).astype(np.float32)

    def after(change, *given):
        """What becomes of the images."""
        changed = images.copy()
        change(changed, *given)
        return changed

    near = {"rtol": 1e-6, "atol": 1e-6}
    stepped = images + factors * weights * update
    np.testing.assert_allclose(after(increments.weigh, weights), weights * images, **near)
    found = after(increments.add_weighted, update, weights, factors, 0.0, mask)
    np.testing.assert_allclose(found, np.maximum(stepped, 0) * mask, **near)
    found = after(increments.add_weighted, update, weights, factors, -np.inf, None)
    np.testing.assert_allclose(found, stepped, **near)
    np.testing.assert_allclose(after(increments.add_scaled, update, factors), images + factors * update, **near)
    np.testing.assert_allclose(after(increments.scale_and_add, factors, update), factors * images + update, **near)
    active = np.arange(problems) % 2 == 0
    wanted = images * np.where(active, weights * update, 1)
    np.testing.assert_allclose(after(increments.multiply_weighted, update, weights, active), wanted, **near)
    seen = np.array([0.0, 1e-7, 0.5, -2.0], np.float32)
    np.testing.assert_allclose(increments.inverse(seen), [0, 0, 2, 0])


@pytest.mark.parametrize("kind", TYPES)
def test_moments_of_frames(kind):
    frames = (RNG.random((9, 4, 33)) * 200 + 1000).astype(kind)
    plain = frames.astype(np.float64)
    for given, wanted in ((frames, plain), (frames[:, ::2], plain[:, ::2])):
        mean, squares = frame_moments(given)
        np.testing.assert_allclose(mean, wanted.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(squares, len(wanted) * wanted.var(axis=0), rtol=1e-9)
    assert not frame_moments(frames[:0])[1].any()
