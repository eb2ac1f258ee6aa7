"""Silence counts only while somebody listens."""

import pytest

from firstlight.core import silence
from firstlight.core.silence import Silence


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on when it is told to."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    found = Clock()
    monkeypatch.setattr(silence, "time", found)
    return found


def looks(quiet, clock, count, every):
    for _ in range(count):
        clock.now += every
        quiet.look()
    return quiet.look()


def test_it_grows_with_every_look_and_ends_when_something_comes(clock):
    quiet = Silence()
    assert looks(quiet, clock, 50, 0.1) == pytest.approx(5.0)
    quiet.broken()
    assert quiet.look() == 0
    assert looks(quiet, clock, 3, 0.004) == pytest.approx(0.012)


def test_time_in_which_nobody_looked_says_nothing_of_the_detector(clock):
    """The system kept us from running for a minute: what the detector sent meanwhile is found only now."""
    quiet = Silence()
    looks(quiet, clock, 10, 0.1)
    clock.now += 60
    assert quiet.look() == pytest.approx(1.2)
