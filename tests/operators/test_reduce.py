import numpy as np
import pytest

from firstlight.operators.reduce.latest import Latest
from firstlight.operators.reduce.mean import Mean
from firstlight.operators.reduce.median import Median
from firstlight.operators.reduce.sum import Sum

from .scenes import chunks_of, fold_all, scan_of

FOLDS = [Mean(), Sum(), Median(), Median(frames=7), Latest()]


@pytest.fixture
def frames():
    return np.random.default_rng(3).integers(0, 60_000, (40, 3, 5), dtype=np.uint16)


@pytest.mark.parametrize("fold", FOLDS, ids=str)
def test_order_and_split_do_not_matter(fold, frames):
    scan = scan_of(frames)
    once = fold.result(fold_all(fold, scan, chunks_of(frames, size=40)))["data"]
    order = np.random.default_rng(4).permutation(40)
    shuffled = fold.result(fold_all(fold, scan, chunks_of(frames, size=3, keep=order)))["data"]
    np.testing.assert_array_equal(once, shuffled)
    assert once.dtype == fold.dtype("uint16")
    assert once.shape == (3, 5)


@pytest.mark.parametrize("fold", FOLDS, ids=str)
def test_merge_of_parts_is_the_whole(fold, frames):
    scan = scan_of(frames)
    parts = [fold_all(fold, scan, chunks_of(frames, keep=range(*ends))) for ends in ((0, 15), (15, 40))]
    whole = fold_all(fold, scan, chunks_of(frames))
    np.testing.assert_array_equal(fold.result(fold.merge(*parts))["data"], fold.result(whole)["data"])


@pytest.mark.parametrize("fold", FOLDS, ids=str)
def test_saved_state_goes_on(fold, frames):
    scan = scan_of(frames)
    saved = fold.save(fold_all(fold, scan, chunks_of(frames, keep=range(17))))
    resumed = fold_all(fold, scan, chunks_of(frames, keep=range(17, 40)), fold.load(saved, scan))
    np.testing.assert_array_equal(
        fold.result(resumed)["data"], fold.result(fold_all(fold, scan, chunks_of(frames)))["data"]
    )


@pytest.mark.parametrize("fold", FOLDS, ids=str)
def test_result_never_aliases_state(fold, frames):
    state = fold_all(fold, scan_of(frames), chunks_of(frames))
    before = fold.result(state)["data"]
    kept = before.copy()
    before[:] = 0
    np.testing.assert_array_equal(fold.result(state)["data"], kept)
    fold.add(state, next(chunks_of(frames + 1, ids=np.arange(100, 140))))
    before[:] = kept
    np.testing.assert_array_equal(before, kept)


def test_integers_are_summed_in_64_bit():
    frames = np.full((3, 2, 2), 2**32 - 1, np.uint32)
    state = fold_all(Sum(), scan_of(frames), chunks_of(frames))
    np.testing.assert_array_equal(Sum().result(state)["data"], np.uint64(3 * (2**32 - 1)))


def test_every_scanned_axis_is_folded():
    frames = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    scan = scan_of(frames, axes=("time", "angle", "row", "col"))
    state = fold_all(Mean(), scan, chunks_of(frames, axes=("angle", "row", "col")))
    np.testing.assert_allclose(Mean().result(state)["data"], frames.mean((0, 1)))


def test_median_is_exact_up_to_its_frames_and_bounded_above(frames):
    scan = scan_of(frames)
    exact = Median(frames=40)
    np.testing.assert_array_equal(
        exact.result(fold_all(exact, scan, chunks_of(frames)))["data"], np.median(frames, axis=0).astype(np.float32)
    )
    assert len(fold_all(Median(frames=7), scan, chunks_of(frames)).frames) == 7


def test_latest_goes_by_place_and_not_by_arrival(frames):
    scan = scan_of(frames)
    state = fold_all(Latest(), scan, chunks_of(frames, keep=[39, 4, 7]))
    np.testing.assert_array_equal(Latest().result(state)["data"], frames[39])
    state = fold_all(Latest(), scan, chunks_of(frames, keep=[2], epoch=1), state)
    np.testing.assert_array_equal(Latest().result(state)["data"], frames[2])


@pytest.mark.parametrize("fold", [Mean(), Median(), Latest()], ids=str)
def test_ready_once_a_frame_has_come(fold, frames):
    assert not fold.ready(fold.empty(scan_of(frames)))
    assert fold.ready(fold_all(fold, scan_of(frames), chunks_of(frames, keep=[3])))


def test_before_the_first_frame_there_is_no_mean(frames):
    assert np.isnan(Mean().result(Mean().empty(scan_of(frames)))["data"]).all()
