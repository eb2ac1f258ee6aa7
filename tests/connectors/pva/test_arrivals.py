"""What belongs to a scan, decided from numbers and time stamps alone."""

from dataclasses import dataclass

import pytest

from firstlight.connectors.pva.arrivals import Arrivals


@dataclass(frozen=True)
class Frame:
    id: int
    stamp: float = 0.0


def arrivals(**given):
    return Arrivals(**{"start": 1, "bits": 32, "window": 8, "frames": None, "idle": 10.0, **given})


def places(found):
    return [(one.epoch, one.place) for one in found]


def feed(state, *numbers):
    return [place for number in numbers for place in places(state.take(Frame(number)))]


def test_a_first_value_counts_if_the_next_frame_continues_it():
    assert feed(arrivals(), 5, 6, 7) == [(0, 4), (0, 5), (0, 6)]
    assert feed(arrivals(), 1500, 1, 2) == [(0, 0), (0, 1)]


def test_a_first_value_long_before_the_next_frame_does_not_count():
    state = arrivals()
    assert places(state.take(Frame(4, stamp=100.0))) == []
    assert places(state.take(Frame(5, stamp=3700.0))) == [(0, 4)]


def test_after_a_blank_value_every_frame_counts_at_once():
    state = arrivals()
    state.blank()
    assert feed(state, 1) == [(0, 0)]


def test_a_single_frame_counts_at_the_end_if_it_is_newer_than_the_connection():
    for stamp, expected in ((50.0, []), (150.0, [(0, 0)])):
        state = arrivals(since=100.0)
        assert places(state.take(Frame(1, stamp))) == []
        assert state.came is bool(expected)
        assert places(state.finish()[0]) == expected


def test_the_same_frame_served_again_after_a_reconnection_is_a_repetition():
    state = arrivals()
    state.blank()
    feed(state, 1, 2, 3)
    state.disconnected()
    assert feed(state, 3, 4, 5) == [(0, 3), (0, 4)]
    assert state.duplicates == 1


@pytest.mark.parametrize("seen", [3, 300])
def test_ids_that_start_over_after_a_reconnection_open_an_epoch(seen):
    state = arrivals()
    state.blank()
    feed(state, *range(1, seen + 1))
    state.disconnected()
    assert feed(state, 1, 2) == [(1, 0), (1, 1)]


def test_gaps_of_the_epoch_that_ends_are_kept():
    state = arrivals(window=64)
    state.blank()
    feed(state, 1, 2, 5)
    state.disconnected()
    state.blank()
    feed(state, 1)
    assert [(gap.epoch, gap.first, gap.last) for gap in state.gaps()] == [(0, 2, 3)]


def test_frames_before_the_first_projection_are_left_out():
    state = arrivals(start=501)
    assert feed(state, 0, 500, 501, 502) == [(0, 0), (0, 1)]
    assert state.gaps() == []


def test_sixteen_bits_wrap_and_do_not_restart():
    state = arrivals(bits=16)
    state.blank()
    assert feed(state, 65534, 65535, 0, 1) == [(0, 65533), (0, 65534), (0, 65535), (0, 65536)]


def test_a_scan_of_known_length_counts_a_missing_head_and_tail():
    state = arrivals(frames=10, window=2)
    state.blank()
    feed(state, 3, 4, 5)
    assert not state.reached_end
    feed(state, 6, 8)
    _, gaps = state.finish()
    missing = [i for gap in [*gaps] for i in range(gap.first, gap.last + 1)]
    assert sorted({0, 1} | set(missing)) == [0, 1, 6, 8, 9]


def test_a_scan_of_known_length_is_complete_when_all_came_in_any_order():
    state = arrivals(frames=4)
    state.blank()
    feed(state, 1, 4, 3)
    assert state.reached_end
    assert not state.complete
    feed(state, 2)
    assert state.complete


def test_frames_below_the_first_id_are_told_of_once(caplog):
    state = arrivals(start=501)
    feed(state, 100, 101, 102)
    (told,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "501" in told.getMessage()


def test_numbers_that_fall_below_the_first_while_the_scan_runs_are_rejected_not_left_out(caplog):
    """A counter of 16 bit that is read as one of 32: what comes after it wrapped has no angle, and is counted."""
    state = arrivals(start=65530, bits=32)
    state.blank()
    feed(state, *range(65530, 65536), 0, 1, 2)
    _, gaps = state.finish()
    assert [(gap.kind, gap.first, gap.last) for gap in gaps] == [("rejected", 6, 8)]
    (told,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "id_bits" in told.getMessage()


def test_rejected_numbers_take_the_places_that_a_scan_of_known_length_lacks():
    state = arrivals(start=100, frames=5)
    state.blank()
    feed(state, 100, 101, 3, 4)
    _, gaps = state.finish()
    assert [(gap.kind, gap.first, gap.last) for gap in gaps] == [("rejected", 2, 3), ("lost", 2, 4)]


def test_numbers_before_the_first_of_a_restarted_scan_are_not_rejected():
    state = arrivals(start=10)
    state.blank()
    assert feed(state, *range(10, 40), *range(10), 10, 11, 12) == [(0, n) for n in range(30)] + [(1, 0), (1, 1), (1, 2)]
    assert state.finish()[1] == []
