import numpy as np
import pytest

from firstlight.core.chunk import Chunk, Gap
from firstlight.operators.arrange.join import Join
from firstlight.operators.arrange.sort import Sort
from firstlight.operators.arrange.window import Window

from .scenes import chunks_of, scan_of


def drive(step, scan, items):
    """Push (port, item) pairs, end, flush; check the bound at each step."""
    state, out = step.open(scan), []
    for port, item in items:
        out += step.push(state, port, item)
        assert step.held_frames(state) <= step.bound
    for port in dict.fromkeys(port for port, _ in items):
        out += step.finish(state, port)
    out += step.flush(state)
    assert step.held_frames(state) == 0
    return [item for item in out if isinstance(item, Chunk)], [item for item in out if isinstance(item, Gap)]


def frames_and_positions(count=30):
    frames = np.arange(count * 4, dtype=np.uint16).reshape(count, 2, 2)
    return frames, np.stack([np.arange(count), -np.arange(count)], axis=1).astype(float)


def positions_in(values, **how):
    return [("other", chunk) for chunk in chunks_of(values, axes=("xy",), **how)]


def frames_in(frames, **how):
    return [("frames", chunk) for chunk in chunks_of(frames, **how)]


@pytest.mark.parametrize("seed", range(5))
def test_join_pairs_by_id_whatever_the_order(seed):
    frames, positions = frames_and_positions()
    rng = np.random.default_rng(seed)
    items = frames_in(frames, keep=rng.permutation(30), size=7) + positions_in(
        positions, keep=rng.permutation(30), size=4
    )
    rng.shuffle(items)
    chunks, gaps = drive(Join(coordinate="xy"), scan_of(frames, axes=("position", "row", "col")), items)
    assert not gaps
    ids = np.concatenate([chunk.ids for chunk in chunks])
    assert sorted(ids) == list(range(30))
    for chunk in chunks:
        np.testing.assert_array_equal(chunk.data, frames[chunk.ids])
        np.testing.assert_array_equal(chunk.coords["xy"], positions[chunk.ids])


def test_what_the_other_stream_lost_is_a_gap_at_once_and_nothing_waits():
    frames, positions = frames_and_positions(10)
    gap = ("other", Gap(0, 3, 4, "never came"))
    early = [*positions_in(positions, keep=[0, 1, 2]), gap, *positions_in(positions, keep=[5, 6, 7, 8, 9])]
    for items in (early + frames_in(frames), frames_in(frames) + early):
        chunks, gaps = drive(Join(), scan_of(frames), items)
        assert sum(len(chunk) for chunk in chunks) == 8
        assert [(g.first, g.last, g.kind) for g in gaps] == [(3, 4, "lost")]


def test_frames_lost_before_the_join_are_told_once():
    frames, positions = frames_and_positions(10)
    items = positions_in(positions) + frames_in(frames, keep=range(5)) + [("frames", Gap(0, 5, 9, "never came"))]
    chunks, gaps = drive(Join(), scan_of(frames), items)
    assert sum(len(chunk) for chunk in chunks) == 5
    assert [len(gap) for gap in gaps] == [5]


def test_join_is_bounded_and_conserves_frames():
    frames, positions = frames_and_positions(30)
    items = frames_in(frames, size=8) + positions_in(positions)
    chunks, gaps = drive(Join(window=10), scan_of(frames), items)
    assert sum(len(chunk) for chunk in chunks) == 10
    assert sum(len(gap) for gap in gaps) == 20
    assert {gap.kind for gap in gaps} == {"dropped"}


def test_epochs_do_not_pair():
    frames, positions = frames_and_positions(4)
    items = frames_in(frames, epoch=1) + positions_in(positions, epoch=0)
    chunks, gaps = drive(Join(), scan_of(frames), items)
    assert not chunks
    assert [(gap.epoch, len(gap)) for gap in gaps] == [(1, 4)]


@pytest.mark.parametrize("seed", range(5))
def test_sort_puts_frames_in_order(seed):
    frames, _ = frames_and_positions(60)
    order = np.arange(60) + np.random.default_rng(seed).uniform(0, 8, 60)
    items = frames_in(frames, keep=np.argsort(order), size=5)
    items.insert(3, ("frames", Gap(0, 60, 61, "never came")))
    chunks, gaps = drive(Sort(window=16), scan_of(frames), items)
    ids = np.concatenate([chunk.ids for chunk in chunks])
    np.testing.assert_array_equal(ids, np.arange(60))
    np.testing.assert_array_equal(np.concatenate([chunk.data for chunk in chunks]), frames)
    assert [len(gap) for gap in gaps] == [2]


def test_sort_gives_up_what_comes_too_late():
    frames, _ = frames_and_positions(20)
    items = frames_in(frames, keep=[*range(1, 20), 0], size=1)
    chunks, gaps = drive(Sort(window=4), scan_of(frames), items)
    assert sum(len(chunk) for chunk in chunks) == 19
    assert [(gap.first, gap.kind) for gap in gaps] == [(0, "dropped")]


def turning(count, step, start=0.0, wrap=None):
    theta = start + step * np.arange(count)
    return np.arange(count * 4, dtype=np.uint16).reshape(count, 2, 2), theta if wrap is None else theta % wrap


@pytest.mark.parametrize("wrap", [None, 360.0])
@pytest.mark.parametrize("step", [6.0, -6.0])
@pytest.mark.parametrize("start", [0.0, 277.0])
def test_window_cuts_half_turns(step, start, wrap):
    frames, theta = turning(95, step, start, wrap)
    items = frames_in(frames, theta=theta, size=7)
    chunks, gaps = drive(Window(reorder=8), scan_of(frames, bounded=False), items)
    assert [int(chunk.ids[0]) for chunk in chunks] == [0, 1, 2]
    assert [gap.first for gap in gaps] == [3]
    for number, chunk in enumerate(chunks):
        assert (chunk.axes, chunk.data.shape) == (("angle", "row", "col"), (1, 30, 2, 2))
        np.testing.assert_array_equal(chunk.data[0], frames[30 * number : 30 * number + 30])
        assert abs(np.ptp(chunk.coords["angle"][0]) - 174.0) < 1e-9


def test_window_does_not_depend_on_order():
    frames, theta = turning(120, 6.0, 350.0, 360.0)
    order = np.argsort(np.arange(120) + np.random.default_rng(0).uniform(0, 6, 120))
    chunks, _ = drive(Window(), scan_of(frames, bounded=False), frames_in(frames, theta=theta, keep=order, size=5))
    assert len(chunks) == 4
    np.testing.assert_array_equal(np.concatenate([chunk.data[0] for chunk in chunks]), frames)


def test_window_with_lost_frames_has_fewer_projections_and_too_few_make_a_gap():
    frames, theta = turning(90, 6.0)
    keep = [i for i in range(90) if i not in (4, 5) and not 30 <= i < 48]
    chunks, gaps = drive(Window(), scan_of(frames, bounded=False), frames_in(frames, theta=theta, keep=keep))
    assert [(int(chunk.ids[0]), chunk.data.shape[1]) for chunk in chunks] == [(0, 28), (2, 30)]
    assert [(gap.first, gap.kind) for gap in gaps] == [(1, "dropped")]


def test_window_by_number_of_frames_needs_no_angle():
    frames, _ = turning(50, 1.0)
    chunks, gaps = drive(Window(frames=20), scan_of(frames, bounded=False), frames_in(frames))
    assert [chunk.data.shape[1] for chunk in chunks] == [20, 20]
    assert [gap.first for gap in gaps] == [2]
    chunks, gaps = drive(Window(frames=20, incomplete="keep"), scan_of(frames, bounded=False), frames_in(frames))
    assert [chunk.data.shape[1] for chunk in chunks] == [20, 20, 10]
    assert not gaps


def test_windows_are_counted_on_through_a_restart():
    frames, theta = turning(45, 6.0)
    items = frames_in(frames, theta=theta) + frames_in(frames, theta=theta, epoch=1)
    chunks, gaps = drive(Window(), scan_of(frames, bounded=False), items)
    assert [int(chunk.ids[0]) for chunk in chunks] == [0, 2]
    assert [gap.first for gap in gaps] == [1, 3]


def test_window_never_holds_more_than_its_bound():
    frames, theta = turning(90, 1.0)
    chunks, gaps = drive(Window(most=50), scan_of(frames, bounded=False), frames_in(frames, theta=theta, size=10))
    assert not chunks
    assert gaps


def test_axes_after_a_window():
    frames, _ = turning(10, 1.0)
    stream = Window(frames=20).after(scan_of(frames, bounded=False))["data"]
    assert (stream.axes, stream.arrival_axes, stream.frame_shape) == (
        ("time", "angle", "row", "col"),
        ("time",),
        (20, 2, 2),
    )
