"""Sparse frames: as dense ones, in every sum; several events in a pixel; what does not fit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.kernels.mask_products import Masks, frame_sums, weighted_sums
from firstlight.kernels.sparse_frames import (
    SparseFrames,
    sparse_labelled_sums,
    sparse_sums,
    sparse_weighted_sums,
)

SIZE = (7, 9)


@st.composite
def events(draw):
    """Sparse frames with repeated pixels and empty frames."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    counts = rng.integers(0, draw(st.integers(1, 80)), draw(st.integers(1, 12)))
    starts = np.concatenate([[0], np.cumsum(counts)])
    # each type once, not each pair: every pair costs two seconds of compiling
    place, value = draw(st.sampled_from([("u2", "u4"), ("u4", "u2"), ("i8", "f8")]))
    places = rng.integers(0, 63, starts[-1]).astype(place)
    values = rng.integers(1, 900, starts[-1]).astype(value)
    return SparseFrames(starts, places, values, SIZE, np.uint32)


def dense_of(frames):
    """By another way."""
    out = np.zeros((len(frames), 63), np.int32)
    for n in range(len(frames)):
        part = slice(frames.indptr[n], frames.indptr[n + 1])
        np.add.at(out[n], frames.indices[part].astype(int), frames.values[part].astype(int))
    return out.reshape(-1, *SIZE)


@given(events(), st.integers(0, 100))
def test_every_sum_is_that_of_the_dense_frames(frames, seed):
    rng, dense = np.random.default_rng(seed), dense_of(frames)
    masks, inside = Masks(rng.random((3, *SIZE)) > 0.5), Masks(rng.random((1, *SIZE)) > 0.3)
    found = sparse_sums(frames, masks, moments=inside, image=True)
    expected = frame_sums(dense, masks, moments=inside, image=True)
    for name in ("masks", "moments", "image"):
        assert np.array_equal(getattr(found, name), getattr(expected, name))
    weights = rng.standard_normal((2, *SIZE)) + 1j * rng.standard_normal((2, *SIZE))
    assert np.allclose(sparse_weighted_sums(frames, weights), weighted_sums(dense, weights))
    labels = rng.integers(-1, 4, SIZE)
    rings = np.stack([(dense * (labels == n)).sum((1, 2)) for n in range(4)], axis=1)
    assert np.array_equal(sparse_labelled_sums(frames, labels, 4), rings)


@given(events(), st.data())
def test_it_counts_and_is_cut_like_an_array(frames, data):
    dense = dense_of(frames)
    assert frames.shape == dense.shape
    assert frames.size == dense.size
    assert np.array_equal(np.asarray(frames), dense)
    first, last = data.draw(st.integers(-3, 14)), data.draw(st.integers(-3, 14))
    assert np.array_equal(np.asarray(frames[first:last]), dense[first:last])
    chosen = np.array(data.draw(st.lists(st.integers(0, len(frames) - 1), max_size=5)), int)
    assert np.array_equal(np.asarray(frames[chosen]), dense[chosen])
    mask = np.arange(len(frames)) % 2 == 0
    assert np.array_equal(np.asarray(frames[mask]), dense[mask])
    assert np.array_equal(frames[-1], dense[-1])
    assert all(np.array_equal(one, other) for one, other in zip(frames, dense, strict=True))


def test_dense_frames_are_made_once_and_never_wrap():
    frames = SparseFrames([0, 2], np.array([3, 3]), np.array([200, 56], np.uint8), SIZE)
    with pytest.raises(ValueError, match="pixel 3 of frame 0: more than uint8"):
        np.asarray(frames)
    wide = SparseFrames([0, 2], np.array([3, 3]), np.array([200, 56], np.uint8), SIZE, np.uint16)
    assert np.asarray(wide) is np.asarray(wide)
    assert np.asarray(wide)[0, 0, 3] == 256
    assert sparse_sums(frames, image=True).image[0, 3] == 256


@pytest.mark.parametrize(
    ("indptr", "indices", "values"),
    [
        ([0, 2], [1], [1]),
        ([1, 1], [1], [1]),
        ([0, 2, 1], [1], [1]),
        ([0, 1], [63], [1]),
        ([0, 1], [-1], [1]),
        ([0, 2], [1, 2], [1]),
        ([], [], []),
    ],
)
def test_what_does_not_fit_is_refused(indptr, indices, values):
    with pytest.raises(ValueError, match="expected"):
        SparseFrames(indptr, np.array(indices, int), np.array(values, int), SIZE)
    whole = SparseFrames([0, 1], np.array([5]), np.array([1]), SIZE)
    with pytest.raises(ValueError, match="expected"):
        sparse_sums(whole, Masks(np.ones((1, 3, 3), bool)))
    with pytest.raises(ValueError, match="expected"):
        sparse_weighted_sums(whole, np.ones((1, 3, 3)))
    with pytest.raises(ValueError, match="expected"):
        sparse_labelled_sums(whole, np.full(SIZE, 7), 4)
