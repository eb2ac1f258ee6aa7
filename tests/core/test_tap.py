"""A recording never makes the detector wait: what the disk does not take is counted, and a disk that fails ends the recording alone."""

import gc
import threading

import pytest

from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import SinkError
from firstlight.core.tap import Recorder, Tap

SCAN = Scan({MAIN: Stream(("position", "row", "col"), {"position": 4, "row": 1, "col": 1}, "uint8")})


class Kept(Recorder):
    """Keeps what it is given; may be held up, or fail."""

    path = "nowhere"

    def __init__(self):
        self.go, self.busy = threading.Event(), threading.Event()
        self.fails = False
        self.messages, self.closed = [], None
        self.go.set()

    def begin(self, owner, scan):
        self.owner = owner

    def write(self, arrived):
        self.busy.set()
        assert self.go.wait(100)
        if self.fails:
            raise SinkError("The disk is full.")
        self.messages += [bytes(each.parts[0]) for each in arrived]

    def close(self, dropped, *, complete):
        self.closed = (dropped, complete)
        return f"{len(self.messages)} messages"


def part(number, size=10):
    return [memoryview(bytes([number]) * size)]


def test_everything_is_written_in_order_also_what_came_before_the_scan_was_known():
    kept = Kept()
    tap = Tap(kept, 1000)
    for number in range(5):
        tap("series", part(number))
    tap.begin("series", SCAN)
    for number in range(5, 20):
        tap("series", part(number))
    tap.finish()
    tap.finish()
    tap("series", part(99))
    assert [message[0] for message in kept.messages] == list(range(20))
    assert kept.closed == (0, True)


def test_what_a_slow_disk_does_not_take_is_counted_and_nobody_waits(caplog):
    kept = Kept()
    tap = Tap(kept, 50)
    tap.begin("series", SCAN)
    kept.go.clear()
    tap("series", part(0))
    assert kept.busy.wait(20)
    for number in range(1, 100):  # the disk stands still: this returns at once, or the test hangs
        tap("series", part(number))
    kept.go.set()
    tap.finish()
    assert [message[0] for message in kept.messages] == list(range(5))
    assert kept.closed == (95, False)
    assert sum("slower than the detector" in text for text in caplog.messages) == 1
    assert "Recorded in nowhere: 5 messages." in caplog.messages


def test_before_the_scan_is_known_the_newest_messages_are_kept():
    kept = Kept()
    tap = Tap(kept, 50)
    for number in range(20):
        tap("series", part(number))
    tap.begin("series", SCAN)
    tap.finish()
    assert [message[0] for message in kept.messages] == list(range(15, 20))
    assert kept.closed == (15, False)


def test_a_disk_that_fails_ends_the_recording_alone(caplog):
    kept = Kept()
    tap = Tap(kept, 1000)
    tap.begin("series", SCAN)
    kept.fails = True
    tap("series", part(0))
    tap.finish()
    assert isinstance(tap.error, SinkError)
    assert kept.closed == (1, False)
    assert sum("the run goes on. The disk is full" in text for text in caplog.messages) == 1


@pytest.mark.parametrize("times", [1, 2])
def test_a_tap_that_never_began_leaves_nothing(times):
    kept = Kept()
    tap = Tap(kept, 1000)
    tap("series", part(0))
    for _ in range(times):
        tap.finish()
    assert kept.closed is None


def test_objects_from_before_a_recording_are_no_garbage_to_look_for_until_it_ends():
    assert gc.get_freeze_count() == 0
    first, second = Tap(Kept(), 1000), Tap(Kept(), 1000)
    first.begin("series", SCAN)
    assert gc.get_freeze_count() > 1000
    second.begin("series", SCAN)
    second.finish()
    assert gc.get_freeze_count() > 1000
    first.finish()
    assert gc.get_freeze_count() == 0
