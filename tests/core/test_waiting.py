"""Parameters without a default that another step finds while the job runs."""

import pickle
from typing import Any

import numpy as np
import pytest

from firstlight.connectors.memory.source import MemorySource
from firstlight.core import registry
from firstlight.core.check import check
from firstlight.core.errors import JobError, StepFailed
from firstlight.core.job import Job, RunnerSettings
from firstlight.core.pipeline import Pipeline, pipeline
from firstlight.core.waiting import Waiting, waiting
from firstlight.jobs.start import start
from firstlight.kernels.warp import unwarp
from firstlight.runners.naive import NaiveRunner
from firstlight.testing.steps import Adding

UNDISTORT = {"use": "undistort", "inputs": ["source.data"]}


class Deciding(Adding):
    """Finds coefficients: the same for all frames."""

    use = "deciding"  # type: ignore[misc]
    signature = "[*] row col -> coefficients: power"  # type: ignore[assignment]
    value: tuple[float, ...] = (1.0, 0.01)

    def sizes(self, known: Any, scan: Any) -> dict[str, int | None]:
        """As many as there are."""
        return {"power": len(self.value)}

    def result(self, state: Any) -> dict[str, Any]:
        """What was given."""
        return {"coefficients": np.array(self.value)}


def job(steps: list[Any]) -> Job:
    frames = np.random.default_rng(3).random((6, 12, 14)).astype(np.float32)
    source = MemorySource.of(frames, frames=2, angles=np.arange(6.0))
    return Job(source, pipeline(steps), collect=True, runner=RunnerSettings(threads=2))


@pytest.mark.parametrize("naive", [False, True])
def test_a_needed_parameter_may_come_from_another_step(naive: bool) -> None:
    made = job([Deciding(), {**UNDISTORT, "coefficients": {"from": "deciding"}}])
    run = NaiveRunner().start(made) if naive else start(made)
    found = run.finished(60)["undistort.data"].data
    frames = np.random.default_rng(3).random((6, 12, 14)).astype(np.float32)
    assert np.array_equal(found, unwarp(frames, (5.5, 6.5), (1.0, 0.01), interpolation="linear", fill=None))


def test_what_comes_is_checked_by_the_type_of_the_parameter() -> None:
    made = job([Deciding(value=tuple(range(1, 14))), {**UNDISTORT, "coefficients": {"from": "deciding"}}])
    with pytest.raises(StepFailed, match=r"coefficients.*at most 10"):
        start(made).finished(60)


def test_it_stays_needed_where_no_step_gives_it() -> None:
    with pytest.raises(JobError, match="'coefficients' is missing"):
        pipeline([{"use": "undistort", "row": {"from": "find"}}])


def test_other_mistakes_are_still_found() -> None:
    with pytest.raises(JobError, match="interpolation = 'none'"):
        pipeline([{"use": "undistort", "coefficients": {"from": "find"}, "interpolation": "none"}])


def test_frames_can_not_pass_without_it() -> None:
    made = job([Deciding(), {**UNDISTORT, "coefficients": {"from": "deciding"}, "before_first": "pass"}])
    with pytest.raises(JobError, match="can not begin without coefficients"):
        check(made, made.source.open())


def test_it_is_written_and_pickled_as_it_was_given() -> None:
    given = {**UNDISTORT, "fill": 0.5, "coefficients": {"from": "deciding"}}
    made = pipeline([given])
    assert Pipeline.to_dict(made) == [{**given, "inputs": {"frames": "source.data"}}]
    step = made["undistort"].step
    assert isinstance(step, Waiting)
    again = pickle.loads(pickle.dumps(step))
    assert (again, type(again)) == (step, type(step))


def test_a_model_that_lacks_nothing_is_left_alone() -> None:
    kind = registry.get("operators", "undistort").step
    assert waiting(kind, ["row", "nonsense"]) is kind
