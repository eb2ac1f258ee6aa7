"""Receiving an acquisition, without a detector: what is taken, what fails, and when it is over."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.core.chunk import Chunk, End, Gap
from firstlight.core.errors import FirstlightError, SourceError
from firstlight.core.receiving import Layout, Limits, Receiving
from firstlight.core.together import OneByOne

LAYOUT = Layout((2, 3), "uint16")


def fill(frames, out):
    """A frame is its value; negative ones can not be decoded."""
    for at, value in enumerate(frames):
        out[at] = max(value, 0)
    return [None if value >= 0 else "negative" for value in frames]


@pytest.fixture
def decoders():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def receiving(decoders, decode=fill, limits=None, announced=True, total=10, layout=LAYOUT):
    return Receiving("it", limits or Limits(), decode, decoders, announced=announced, total=total, layout=layout)


def rest(one):
    found = []
    while not one.handover.finished:
        item = one.handover.get(60.0)
        if item is not None:
            found.append(item)
    return found


def ids(items, kind=None):
    if kind is None:
        return sorted(int(i) for item in items if isinstance(item, Chunk) for i in item.ids)
    return sorted(
        i for item in items if isinstance(item, Gap) and item.kind == kind for i in range(item.first, item.last + 1)
    )


def test_frames_gaps_and_the_end(decoders):
    one = receiving(decoders)
    for number in (0, 1, 3, 4, 5, 6, 7, 9):
        one.take(number, -1 if number == 4 else number)
    one.take(8, None, "broken")
    one.finish("cut short")
    items = rest(one)
    assert (ids(items), ids(items, "rejected"), ids(items, "lost")) == ([0, 1, 3, 5, 6, 7, 9], [4, 8], [2])
    assert isinstance(items[-1], End)
    assert (one.over, one.why) == (True, "cut short")
    one.take(2, 2)
    one.finish("again")
    assert one.why == "cut short"


def test_a_frame_before_anybody_knows_what_frames_look_like_is_rejected(decoders):
    one = receiving(decoders, layout=None, total=3)
    one.take(0, None, "broken")
    one.take(1, None, "broken")
    one.learn(LAYOUT)
    one.take(2, 2)
    items = rest(one)
    assert (ids(items), ids(items, "rejected")) == ([2], [0, 1])


@pytest.mark.parametrize(
    ("error", "kind"), [(ValueError("odd"), SourceError), (FirstlightError("known"), FirstlightError)]
)
def test_a_decoder_that_fails_is_told_and_nothing_is_missing(decoders, error, kind):
    def fail(frames, out):
        raise error

    one = receiving(decoders, fail, total=3)
    for number in range(3):
        one.take(number, number)
    assert ids(rest(one), "rejected") == [0, 1, 2]
    assert isinstance(one.error, kind)


def test_an_error_ends_it(decoders):
    one = receiving(decoders)
    one.take(0, 0)
    one.fail(SourceError("the cable is out"))
    one.fail(SourceError("later"))
    assert ids(rest(one), "lost") == list(range(1, 10))
    assert one.error.message == "the cable is out"


def test_stopping_leaves_the_rest_to_the_run(decoders):
    one = receiving(decoders)
    one.take(0, 0)
    one.take(2, 2)
    one.stop()
    one.tick()
    items = rest(one)
    assert (ids(items), ids(items, "lost")) == ([0, 2], [1])


def test_a_pause_ends_it_unless_we_made_it(decoders):
    one = receiving(decoders, limits=Limits(idle=0.05))
    one.tick(paused=True)
    one.take(0, 0)
    for _ in range(4):
        time.sleep(0.03)
        one.tick(paused=True)
    assert not one.over
    time.sleep(0.06)
    one.tick()
    assert "no frame came" in one.why
    assert ids(rest(one)) == [0]


def test_what_nobody_reads_is_not_decoded(decoders):
    one = receiving(decoders)
    one.take(0, 0)
    one.abandon()
    one.tick()
    assert ids(rest(one)) == []


def test_full_while_the_reader_is_behind(decoders):
    one = receiving(decoders, limits=Limits(memory=20))
    one.take(0, 0)
    one.take(1, 1)
    one.tick()
    time.sleep(0.02)
    one.tick()
    end = time.monotonic() + 60
    while not one.full:
        assert time.monotonic() < end
        time.sleep(0.001)
    while one.full:
        one.handover.get(60.0)


def test_large_plain_frames_are_handed_on_as_they_came(decoders):
    one = receiving(decoders, layout=Layout((1024, 512), "uint16"), total=1)
    pixels = np.arange(1024 * 512, dtype=np.uint16)
    one.take(0, 0, plain=memoryview(pixels).cast("B"))
    (chunk, _) = rest(one)
    assert np.shares_memory(chunk.data, pixels)


def test_without_a_header_numbers_that_fall_open_an_epoch(decoders):
    one = receiving(decoders, announced=False, total=None)
    for number in (500, 501, 3, 4):
        one.take(number, number)
    one.finish()
    found = [(item.epoch, item.ids.tolist()) for item in rest(one) if isinstance(item, Chunk)]
    assert sorted(found) == [(0, [500, 501]), (1, [3, 4])]


def test_nothing_came(decoders):
    one = receiving(decoders, announced=False, total=None)
    one.finish("nobody triggered")
    assert [type(item) for item in rest(one)] == [End]


def test_late_double_and_impossible_numbers(decoders):
    one = receiving(decoders, total=200, limits=Limits(window=5))
    for number in (0, 1, 1, *range(3, 60), 2, 5, 200, 10**9):
        one.take(number, number)
    places = one.places
    assert (places.duplicates, places.late, places.beyond) == (3, 2, 2)
    one.finish()
    assert ids(rest(one)) == [0, 1, *range(3, 60)]


def test_a_new_epoch_hands_on_what_was_gathered_and_a_chunk_has_an_age(decoders, monkeypatch):
    monkeypatch.setattr("firstlight.core.receiving.OLDEST", 0.0)
    one = receiving(decoders, announced=False, total=None)
    for number in (500, 501, 502, 3):
        one.take(number, number)
    one.finish()
    assert ids(rest(one)) == [3, 500, 501, 502]


def test_several_batches_are_decoded_before_the_end_comes(decoders):
    def slow(frames, out):
        time.sleep(0.05)
        return fill(frames, out)

    one = receiving(decoders, slow)
    for number in range(10):
        one.take(number, number)
        one._dispatch()
    items = rest(one)
    assert ids(items) == list(range(10))
    assert isinstance(items[-1], End)


NEAR = st.lists(st.integers(-3, 4), max_size=40).map(lambda steps: np.abs(np.cumsum([0, *steps])))
RUNS = st.lists(st.tuples(st.integers(0, 90), st.integers(1, 30)), min_size=1, max_size=6).map(
    lambda runs: np.concatenate([np.arange(first, first + count) for first, count in runs])
)


@given(st.one_of(NEAR, RUNS), st.lists(st.integers(0, 60), max_size=4), st.booleans(), st.sampled_from([None, 70]))
@settings(max_examples=60, deadline=None)
def test_frames_taken_together_have_the_places_that_they_have_one_by_one(numbers, cuts, announced, total):
    with ThreadPoolExecutor(1) as decoders:
        told = {"limits": Limits(window=5), "announced": announced, "total": total}
        single, many = receiving(decoders, **told), receiving(decoders, **told)
        for number in numbers.tolist():
            single.take(number, number)
        for run in np.split(numbers, sorted(cuts)):
            many.take_many(run, OneByOne(run.tolist(), fill))
        found = []
        for one in (single, many):
            one.finish("done")
            items = rest(one)
            values = {
                (c.epoch, int(i)): int(v)
                for c in items
                if isinstance(c, Chunk)
                for i, v in zip(c.ids, c.data[:, 0, 0], strict=True)
            }
            gaps = [(g.epoch, g.first, g.last, g.kind) for g in items if isinstance(g, Gap)]
            places = one.places
            found.append((values, gaps, places.duplicates, places.late, places.beyond, one.newest, one.over))
    assert found[0] == found[1]


def test_runs_fill_chunks_to_their_size(decoders):
    one = receiving(decoders, layout=Layout((512, 512), "uint16"), total=40)
    numbers = np.arange(40)
    one.take_many(numbers[:3], OneByOne(numbers[:3].tolist(), fill))
    one.take(3, 3)
    one.take_many(numbers[4:], OneByOne(numbers[4:].tolist(), fill))
    items = rest(one)
    assert ids(items) == list(range(40))
    assert max(len(item) for item in items if isinstance(item, Chunk)) == 8
    for chunk in items[:-1]:
        assert np.array_equal(chunk.data[:, 5, 5], chunk.ids)
