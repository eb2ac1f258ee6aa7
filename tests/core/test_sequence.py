"""From running numbers to places: nothing is lost without a gap, whatever the detector does."""

from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.core.chunk import Gap
from firstlight.core.sequence import Placed, Sequencer


def places(gaps: list[Gap]) -> list[tuple[int, int]]:
    return [(gap.epoch, i) for gap in gaps for i in range(gap.first, gap.last + 1)]


def run(numbers: list[int], **options: int) -> tuple[list[Placed], list[Gap], Sequencer]:
    sequencer = Sequencer(**options)  # type: ignore[arg-type]
    seen = [placed for n in numbers if (placed := sequencer.place(n)) is not None]
    gaps = sequencer.gaps() + sequencer.finish()
    return seen, gaps, sequencer


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 600), st.randoms(use_true_random=False), st.sampled_from([8, 16, 32]), st.booleans())
def test_expected_is_seen_plus_gaps(count: int, random: object, bits: int, doubled: bool) -> None:
    """Loss, reordering within the window, duplicates and wraps: each id once, in a frame or in a gap."""
    window = 16
    # never a whole turn of the counter: nobody could tell
    lost = {i for i in range(1, count - 1) if i % 7 and random.random() < 0.2}  # type: ignore[attr-defined]
    ids = [i for i in range(count) if i not in lost]
    order = sorted(ids, key=lambda i: i + random.random() * 6)  # type: ignore[attr-defined]
    if doubled:
        order = [i for n in order for i in ([n, n] if random.random() < 0.1 else [n])]  # type: ignore[attr-defined]
    span = 1 << bits
    seen, gaps, sequencer = run([i % span for i in order], bits=bits, window=window, first=0)
    found = [(p.epoch, p.id) for p in seen] + places(gaps)
    assert sorted(found) == [(0, i) for i in range(count)]
    assert sequencer.duplicates == len(order) - len(ids)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 300), max_size=200), st.sampled_from([8, 32]))
def test_any_numbers_at_all_give_each_place_once(numbers: list[int], bits: int) -> None:
    seen, gaps, sequencer = run([n % (1 << bits) for n in numbers], bits=bits, window=8)
    found = [(p.epoch, p.id) for p in seen] + places(gaps)
    assert len(set(found)) == len(found)
    assert len(seen) + sequencer.duplicates == len(numbers)


def test_a_restart_opens_an_epoch() -> None:
    seen, gaps, sequencer = run([*range(100), *range(50)], window=16)
    assert [p.epoch for p in seen] == [0] * 100 + [1] * 50
    assert not gaps
    assert sequencer.epoch == 1
    assert sequencer.top == 49


def test_a_near_restart_is_told_by_the_connection() -> None:
    sequencer = Sequencer(window=64)
    for number in range(10):
        sequencer.place(number)
    assert sequencer.place(0, reconnected=True) == Placed(1, 0)
    assert sequencer.place(1) == Placed(1, 1)


def test_a_wrap_is_no_restart() -> None:
    seen, gaps, _ = run([*range(65500, 65536), *range(40)], bits=16, window=64)
    assert [p.id for p in seen] == list(range(65500, 65576))
    assert not gaps


def test_a_late_frame_before_a_wrap_goes_before_it() -> None:
    seen, gaps, _ = run([250, 251, 252, 254, 255, 0, 253, 1], bits=8, window=16)
    assert sorted(p.id for p in seen) == list(range(250, 258))
    assert not gaps


def test_missing_heads_and_tails_count_where_they_are_known() -> None:
    sequencer = Sequencer(first=1, window=4)
    for number in range(3, 8):
        sequencer.place(number)
    assert places(sequencer.gaps()) == [(0, 1), (0, 2)]
    assert places(sequencer.finish(9)) == [(0, 8), (0, 9)]
    empty = Sequencer()
    assert empty.finish() == []
    assert places(Sequencer(first=1).finish(2)) == [(0, 1), (0, 2)]
    assert places(Sequencer().finish(1)) == [(0, 0), (0, 1)]


def test_a_frame_before_the_known_first_is_taken() -> None:
    sequencer = Sequencer(first=5)
    assert sequencer.place(3) == Placed(0, 3)


def test_the_gaps_of_an_epoch_that_ends_are_kept() -> None:
    sequence = Sequencer(bits=32, window=4)
    for number in (1, 2, 5, 6):
        sequence.place(number)
    assert sequence.place(1, reconnected=True) == Placed(1, 1)
    assert [(gap.epoch, gap.first, gap.last) for gap in sequence.gaps()] == [(0, 3, 4)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 500), st.integers(2, 200), st.randoms(use_true_random=False))
def test_a_scan_whose_first_number_nobody_told_begins_with_the_lowest(first: int, count: int, random: object) -> None:
    """Its first frames may be swapped, too: none of them is lost, whatever the order."""
    order = sorted(range(first, first + count), key=lambda i: i + random.random() * 6)  # type: ignore[attr-defined]
    missing = order.pop(len(order) // 2)
    seen, gaps, sequencer = run(order, window=16)
    assert sorted(p.id for p in seen) == sorted(order)
    inside = min(order) < missing < max(order)
    assert places(gaps) == ([(0, missing)] if inside else [])
    assert sequencer.duplicates == 0
    assert sequencer.place(order[-1]) is None
    assert sequencer.duplicates == 1
