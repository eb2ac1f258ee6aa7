"""Conservation: what was expected, and what became of each frame."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.core.chunk import Chunk, Gap, Stream
from firstlight.core.counts import Intake, Ledger, Seen, worst
from firstlight.core.run import Counts

ranges = st.tuples(st.integers(-20, 60), st.integers(0, 9)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def chunk(ids: list[int], epoch: int = 0) -> Chunk:
    return Chunk(np.zeros((len(ids), 1), np.float32), ("x",), np.array(ids, np.int64), epoch)


def stream(count: int | None, first: int = 0) -> Stream:
    return Stream(("angle", "x"), {"angle": count, "x": 1}, "float32", first=first)


@given(st.lists(ranges, max_size=30), ranges)
def test_seen_is_a_set_of_ids(marked: list[tuple[int, int]], asked: tuple[int, int]) -> None:
    seen, truth = Seen(), set[int]()
    for low, high in marked:
        parts = seen.open(low, high)
        assert {i for a, b in parts for i in range(a, b + 1)} == set(range(low, high + 1)) - truth
        seen.mark(low, high)
        truth |= set(range(low, high + 1))
    low, high = asked
    assert {i for a, b in seen.open(low, high) for i in range(a, b + 1)} == set(range(low, high + 1)) - truth
    assert (seen.first, seen.last) == ((min(truth), max(truth)) if truth else (None, None))
    assert seen.span == (max(truth) - min(truth) + 1 if truth else 0)
    holes = {i for a, b in seen.holes() for i in range(a, b + 1)}
    assert holes == (set(range(min(truth), max(truth))) - truth if truth else set())


@given(st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=6), max_size=20))
def test_each_id_is_new_once(lots: list[list[int]]) -> None:
    seen, truth = Seen(), set[int]()
    for ids in lots:
        fresh = seen.new(np.array(ids, np.int64))
        for place, value in enumerate(ids):
            assert fresh[place] == (value not in truth)
            truth.add(value)
    assert seen.new(np.empty(0, np.int64)).size == 0


def test_many_runs_out_of_order_are_quick() -> None:
    seen = Seen()
    ids = np.random.default_rng(0).permutation(20_000)
    for start in range(0, len(ids), 10):
        seen.new(ids[start : start + 10])
    assert (seen.first, seen.last, seen.holes()) == (0, 19_999, [])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.booleans(), ranges), max_size=15),
    st.one_of(st.none(), st.integers(1, 150)),
    st.booleans(),
)
def test_the_sum_holds_whatever_comes(
    things: list[tuple[int, bool, tuple[int, int]]], total: int | None, stopped: bool
) -> None:
    intake, ledger = Intake(stream(total)), Ledger()
    for epoch, is_gap, (low, high) in things:
        if is_gap:
            for gap in intake.miss(Gap(epoch, low, high, "lost")):
                ledger.miss(gap)
        else:
            fresh = intake.take(chunk(list(range(low, high + 1)), epoch))
            ledger.done(0 if fresh is None else len(fresh))
    assert ledger.counts(intake.expected).conserved
    for gap in intake.missing(stopped=stopped):
        assert intake.miss(gap) == [gap]
        ledger.miss(gap)
    counts = ledger.counts(intake.expected)
    assert counts.conserved
    assert counts.waiting == 0
    assert counts.done == intake.frames
    assert total is None or counts.expected >= total


def test_heads_and_tails() -> None:
    intake = Intake(stream(10))
    intake.take(chunk([3, 4, 6]))
    assert [(g.first, g.last, g.kind) for g in intake.missing()] == [(5, 5, "lost"), (0, 2, "lost"), (7, 9, "lost")]
    assert [(g.first, g.last, g.kind) for g in intake.missing(stopped=True)][-1] == (7, 9, "excluded")
    nothing = Intake(stream(4, first=1))
    assert [(g.first, g.last) for g in nothing.missing()] == [(1, 4)]
    assert nothing.next_place == (0, 1)
    shifted = Intake(stream(4))
    shifted.take(chunk([1, 2, 3, 4]))
    assert shifted.missing() == []
    assert Intake(stream(None)).missing() == []


def test_duplicates_are_taken_out() -> None:
    intake = Intake(stream(None))
    assert intake.take(chunk([0, 1, 2])) is not None
    rest = intake.take(chunk([2, 3, 1]))
    assert rest is not None
    assert rest.ids.tolist() == [3]
    assert intake.take(chunk([0, 1])) is None
    assert (intake.duplicates, intake.frames, intake.bytes) == (4, 4, 16)
    with intake.held_back() as place:
        assert place == (0, 4)


def test_the_worst_consumer_is_shown() -> None:
    ledger = Ledger()
    ledger.done(5)
    ledger.miss(Gap(0, 5, 6, "full", "dropped"))
    counts = ledger.counts(10, 3)
    assert counts == Counts(10, 5, 0, 2, 0, 0, 3, 3)
    assert counts.as_dict()["dropped"] == 2
    assert ledger.counts(3).expected == 7
    assert worst({"good": Counts(10, 10), "bad": counts}) is counts
    assert worst({}) == Counts()


def test_counts_that_do_not_add_up_are_seen() -> None:
    assert not Counts(expected=3, done=1).conserved


@pytest.mark.parametrize("kind", ["lost", "dropped", "rejected", "excluded"])
def test_every_kind_has_its_number(kind: str) -> None:
    ledger = Ledger()
    ledger.miss(Gap(0, 1, 3, "why", kind))  # type: ignore[arg-type]
    assert getattr(ledger.counts(3), kind) == 3
