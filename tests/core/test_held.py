"""Held inputs: the version that applies is found by id."""

import threading

import numpy as np
import pytest

from firstlight.core.errors import Stopped
from firstlight.core.held import START, Held, HeldStore, Version


def version(value: float, since: int, at: float | None = None, epoch: int = 0) -> Version:
    return Version(np.array(value), (epoch, since), float(since) if at is None else at)


def test_the_version_that_applies_is_found_by_place() -> None:
    held = Held((version(1, -2), version(2, 10), version(3, 0, epoch=1)))
    assert [held.index(place) for place in [(0, -9), (0, 0), (0, 9), (0, 10), (0, 99), (1, 0), (2, 0)]] == [
        0,
        0,
        0,
        1,
        1,
        2,
        2,
    ]
    assert held.newest == 3
    assert Held.of(held) is held
    assert Held.of(np.ones(2)).newest.tolist() == [1, 1]


def test_bodies_that_interpolate_see_the_versions_around_a_frame() -> None:
    held = Held((version(1, 0, 0.0), version(2, 10, 10.0), version(9, 5, 5.0, epoch=1))).bind(0, np.arange(3))
    assert held.ids is not None
    before, after, weight = held.around(5)
    assert (float(before.value), float(after.value), weight) == (1, 2, 0.5)
    for frame, value in ((-5, 1), (15, 2)):
        before, after, weight = held.around(frame)
        assert before is after
        assert (float(before.value), weight) == (value, 0.0)
    assert float(held.bind(1, np.arange(3)).around(0)[0].value) == 9
    assert float(held.bind(2, np.arange(3)).around(0)[0].value) == 9


def test_a_store_wakes_those_who_wait() -> None:
    store, told = HeldStore(), []
    store.listen(lambda: told.append(1))
    found: list[Held | None] = []
    thread = threading.Thread(target=lambda: found.append(store.wait(timeout=60)))
    thread.start()
    store.add(version(2, 10))
    thread.join(60)
    store.add(version(1, 0))
    store.add(version(5, 10))
    known = store.known()
    assert known is not None
    assert [float(v.value) for v in known.versions] == [1, 5]
    assert found[0] is not None
    assert store.wait(until_complete=True, timeout=0.01) is not None
    assert not store.done
    store.settle(Version(np.array(7), START, 0.0))
    store.complete()
    final = store.wait(until_complete=True)
    assert final is not None
    assert [float(v.value) for v in final.versions] == [7]
    assert store.done
    assert len(told) == 5


def test_a_store_without_versions_says_so_and_can_be_stopped() -> None:
    store = HeldStore()
    assert store.known() is None
    store.complete()
    assert store.wait() is None
    store.stop()
    with pytest.raises(Stopped):
        store.wait()
