"""Live slices whose parameters change: an answer at once, and the full picture after it."""

import time

import numpy as np
import pytest

from firstlight.core.errors import ChangeRefused
from firstlight.operators.tomography.live_slices import LiveSlices

from .scenes import chunks_of, fold_all, projections, scan_of
from .turning import CENTER, ROWS, SIZE, assert_equals_direct, direct, endless, finish, head, live

__all__ = ["head"]


@pytest.mark.parametrize(
    "change", [{"z": 12.0}, {"y": 20.0}, {"x": 70.25}, {"center": 47.1}, {"filter": "ram-lak"}, {"cutoff": 0.6}]
)
def test_a_change_answers_at_once_and_then_in_full(head, monkeypatch, change):
    # as on a machine that has nothing else to do: a busy one takes fewer projections
    monkeypatch.setattr("firstlight.operators.tomography.live_slices.COARSE_SECONDS", 10.0)
    data, theta = head
    old, new = live(), live(**change)
    state = fold_all(old, scan_of(data), chunks_of(data, theta))
    state = new.adapt(state, old)
    assert new.coarse(state)
    at_once = new.result(state)
    for name, expected in direct(data, theta, new).items():
        assert np.corrcoef(at_once[name].ravel(), expected.ravel())[0, 1] > 0.8, name
    assert_equals_direct(finish(new, state), data, theta, new)
    assert not new.coarse(state)


def test_refine_takes_short_turns():
    theta = np.arange(400) * 0.45
    data = np.random.default_rng(0).normal(1, 0.1, (400, 64, 256)).astype(np.float32)
    old, new = LiveSlices(), LiveSlices(filter="hann", center=130.0)
    state = new.adapt(fold_all(old, scan_of(data), chunks_of(data, theta)), old)
    took = []
    while True:
        started = time.thread_time()
        more = new.refine(state)
        took.append(time.thread_time() - started)
        if not more:
            break
    assert len(took) >= 4
    assert sorted(took)[len(took) // 2] < sum(took) / 3


def test_a_change_while_frames_come_ends_in_the_full_picture_without_idle_time():
    theta = np.arange(720) * 0.75
    data, _ = projections(SIZE, ROWS, theta, CENTER)
    old, new = live(), live(z=12.0, filter="ram-lak", center=47.0)
    state = fold_all(old, endless(), chunks_of(data, theta, keep=range(300)))
    late = [old.digest(chunk) for chunk in chunks_of(data, theta, keep=range(300, 310))]  # filtered before the change
    state = new.adapt(state, old)
    for chunk in late:
        new.add(state, chunk)
    fold_all(new, endless(), chunks_of(data, theta, keep=range(310, 720)), state)
    assert not new.coarse(state)
    assert_equals_direct(new.result(state), data[480:], theta[480:], new)


def test_many_changes_in_a_row(head):
    data, theta = head
    fold = live()
    state = fold_all(fold, scan_of(data), chunks_of(data, theta))
    for z in (1.0, 5.0, 9.5, 3.0):
        moved = live(z=z)
        state, fold = moved.adapt(state, fold), moved
        fold.refine(state)
    assert_equals_direct(finish(fold, state), data, theta, fold)


def test_without_memory_for_the_unfiltered_a_filter_change_is_refused(head):
    data, theta = head
    wide = np.repeat(data, 5, axis=1)
    each = wide[0].nbytes // 2
    fold = live(memory=float(each * 300), z=40.0)
    state = fold_all(fold, scan_of(wide), chunks_of(wide, theta))
    assert state.ring.raw is None
    with pytest.raises(ChangeRefused, match="memory"):
        live(memory=float(each * 300), z=40.0, filter="ram-lak").adapt(state, fold)
    assert_equals_direct(fold.result(state), wide, theta, fold)
