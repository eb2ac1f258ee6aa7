"""The local runner: parameters that change while it runs."""

import threading
import time
from typing import Any

import numpy as np
import pytest

from firstlight.core.errors import ChangeRefused, StepFailed, UnknownName
from firstlight.core.fold import Fold
from firstlight.core.job import ViewSpec
from firstlight.core.pipeline import Emit, Node, Reference
from firstlight.testing.jobs import flats, node
from firstlight.testing.play import cut, projections
from firstlight.testing.runner import wait_until
from firstlight.testing.steps import Adding, scale, subtract

from .started import held_open, start


class Slow(Adding):
    """A fold that takes its time to adapt, refuses some factors, and refines."""

    use = "slow"  # type: ignore[misc]
    refinements: int = 3

    def adapt(self, state: Any, old: Fold[Any]) -> Any:
        """Refuse, break, or take."""
        if self.factor == 13:
            raise ChangeRefused("Not thirteen.", field="factor", value=13)
        if self.factor == 14:
            raise ZeroDivisionError("broken adapt")
        time.sleep(0.02)
        state.missed = self.refinements
        return state

    def refine(self, state: Any) -> bool:
        """A few times."""
        state.missed -= 1
        return state.missed > 0


def test_a_change_keeps_what_another_step_found() -> None:
    scan, frames = projections(24)
    go = threading.Event()
    nodes = [
        Node(Adding(), "counter", {}, emit=Emit(frames=4)),
        Node(Slow(), "slow", {"frames": Reference("source", "data")}, {"factor": Reference("counter", "count")}),
    ]
    run = start(held_open(frames, go), nodes, scan=scan, views=(ViewSpec(Reference("slow"), 0.01),))
    current = lambda: {s.name: s.values for s in run.status().steps}["slow"]  # noqa: E731
    wait_until(lambda: current()["factor"] == 12)
    run.set({"slow": {"slow": 1e-4}})
    assert current()["factor"] == 12
    assert current()["slow"] == 1e-4
    go.set()
    results = run.finished(100)
    np.testing.assert_allclose(results["slow.image"].data, 24 * frames.sum(0), rtol=1e-6)


def test_the_user_takes_a_parameter_over() -> None:
    scan, frames = projections(24)
    go = threading.Event()
    nodes = [
        Node(Adding(), "counter", {}, emit=Emit(frames=4)),
        Node(Slow(), "slow", {"frames": Reference("source", "data")}, {"factor": Reference("counter", "count")}),
    ]
    run = start(held_open(frames, go), nodes, scan=scan)
    wait_until(lambda: {s.name: s.values for s in run.status().steps}["slow"]["factor"] == 12)
    with pytest.raises(ChangeRefused, match="thirteen"):
        run.set({"slow": {"factor": 13}})
    run.set({"slow": {"factor": 5}})
    go.set()
    np.testing.assert_allclose(run.finished(100)["slow.image"].data, 5 * frames.sum(0), rtol=1e-6)
    assert [(c["old"], c["new"]) for c in run.report()["changes"]] == [(12.0, 5)]


def test_a_refused_change_leaves_the_value_of_the_other_step_in_force() -> None:
    scan, frames = projections(24)
    go = threading.Event()
    nodes = [
        Node(Adding(), "counter", {}, emit=Emit(frames=4)),
        Node(Slow(), "slow", {"frames": Reference("source", "data")}, {"factor": Reference("counter", "count")}),
    ]
    run = start(held_open(frames, go), nodes, scan=scan)
    wait_until(lambda: run.counts.done == 12)
    with pytest.raises(ChangeRefused):
        run.set({"slow": {"factor": 13}})
    go.set()
    np.testing.assert_allclose(run.finished(100)["slow.image"].data, 24 * frames.sum(0), rtol=1e-6)


def test_all_of_a_set_or_nothing() -> None:
    scan, frames = projections(24)
    go = threading.Event()
    nodes = [node(scale(), "scale"), node(Slow(), "first", "scale"), node(Slow(), "second", "scale")]
    run = start(held_open(frames, go), nodes, scan=scan)
    wait_until(lambda: run.counts.done == 12)
    for changes, error in (
        ({"first": {"factor": 2}, "second": {"factor": 13}}, ChangeRefused),
        ({"first": {"factor": 2}, "ghost": {"factor": 1}}, UnknownName),
        ({"first": {"factor": 2}, "scale": {"faktor": 1}}, UnknownName),
        ({"first": {"factor": 2}, "scale": {"factor": 1e9}}, ChangeRefused),
    ):
        with pytest.raises(error):
            run.set(changes)
    assert not run.report()["changes"]
    go.set()
    np.testing.assert_allclose(run.finished(100)["first.image"].data, frames.sum(0), rtol=1e-6)
    with pytest.raises(ChangeRefused, match="has ended"):
        run.set({"first": {"factor": 3}})


def test_a_change_of_size_is_refused() -> None:
    from firstlight.operators.correct.crop import crop

    scan, frames = projections(24)
    go = threading.Event()
    run = start(held_open(frames, go), [node(crop(), "crop")], scan=scan, collect=True)
    with pytest.raises(ChangeRefused, match="another size"):
        run.set({"crop": {"rows": (0, 2)}})
    go.set()
    run.finished(100)


def test_an_adapt_that_breaks_fails_the_run_and_tells_who_asked() -> None:
    scan, frames = projections(24)
    go = threading.Event()
    run = start(held_open(frames, go), [node(Slow(), "slow")], scan=scan)
    wait_until(lambda: run.counts.done == 12)
    with pytest.raises(StepFailed, match="broken adapt"):
        run.set({"slow": {"factor": 14}})
    go.set()
    with pytest.raises(StepFailed, match="broken adapt"):
        run.finished(100)


def test_changes_of_a_map_wait_for_no_fold() -> None:
    """The user's value frees frames that wait for another step's."""
    scan, frames = projections(24)
    nodes = [Node(subtract(), "subtract", {"background": Reference("source", "flat")}), node(scale(), "scale")]
    run = start([*flats(), *cut(frames)], nodes, scan=scan, collect=True)
    result = run.finished(100)["scale"].data
    np.testing.assert_array_equal(result[:12], frames[:12] - 2)
    np.testing.assert_array_equal(result[12:], frames[12:] - 5)
