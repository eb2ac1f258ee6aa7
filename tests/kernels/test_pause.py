"""Long work pauses, changes by that in no bit, and ends where whoever looks says so."""

import numpy as np
import pytest

from firstlight.kernels import pause as pausing
from firstlight.kernels.iterate import Limits, sirt
from firstlight.kernels.pause import Onlooker, pause
from firstlight.kernels.project import ParallelProjector


class Enough(Exception):
    """What an onlooker ends the work with."""


class Watching(Onlooker):
    def __init__(self, most=10**9):
        self.seen, self.most = [], most

    def look(self, done, of):
        self.seen.append((done, of))
        if len(self.seen) >= self.most:
            raise Enough


def test_an_onlooker_is_told_of_the_pauses_within_alone():
    outer, inner = Watching(), Watching()
    pause(1, 2)
    with outer:
        pause(3, 4)
        with inner:
            pause(5, 6)
        pause()
    pause(7, 8)
    assert (outer.seen, inner.seen) == ([(3, 4), (0, 0)], [(5, 6)])


def test_a_method_tells_its_rounds_and_ends_in_one():
    projector = ParallelProjector(np.arange(0.0, 180, 10), 32, 32)
    data = projector.project(np.ones((32, 32, 4), np.float32))
    watching = Watching()
    with watching:
        sirt(projector, data, Limits(3))
    assert [each for each in watching.seen if each[1]] == [(0, 3), (1, 3), (2, 3)]
    watching = Watching(most=5)
    with pytest.raises(Enough), watching:
        sirt(projector, data, Limits(100_000))


def test_pauses_within_a_projection_change_no_bit(monkeypatch):
    rng = np.random.default_rng(0)
    images = rng.random((70, 70, 4), np.float32)
    lines = rng.random((50, 80, 4), np.float32)
    projector = ParallelProjector(np.linspace(0, 180, 50), 80, 70, center=38.2)
    whole = projector.project(images), projector.backproject(lines)
    monkeypatch.setattr(pausing, "LONGEST", 1000)
    watching = Watching()
    with watching:
        parts = projector.project(images), projector.backproject(lines)
    assert len(watching.seen) == 3 + 4  # between pieces of 16 angles, and of 16 lines
    assert all(np.array_equal(one, other) for one, other in zip(whole, parts, strict=True))
