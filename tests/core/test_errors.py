"""Errors say what, where, what was expected and what to do; and cross process borders whole."""

import pickle

import pytest

from firstlight.core.errors import FirstlightError, JobError, MissingExtra, SinkError, SourceError, Stopped, UnknownName


@pytest.mark.parametrize("kind", [FirstlightError, SourceError, SinkError, UnknownName, Stopped])
def test_errors_are_composed_of_parts_and_pickle(kind: type[FirstlightError]) -> None:
    error = kind("It broke.", field="path", value="x" * 500, expected="less", next_move="Try again.")
    text = str(error)
    assert text.startswith("It broke. (path = 'xxx")
    assert text.endswith("…) Expected less. Try again.")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.field, again.value) == (text, "path", "x" * 500)
    assert str(kind("Just this.")) == "Just this."
    assert str(kind("A field.", field="center")) == "A field. (center)"


def test_a_missing_extra_and_a_job_pickle() -> None:
    missing = MissingExtra("p4p", "epics", "The source 'pva'")
    assert str(pickle.loads(pickle.dumps(missing))) == str(missing)
    assert "firstlight[epics]" in str(missing)
    job = JobError(["one", "two"])
    assert str(job) == "The job has 2 mistakes:\n  1. one\n  2. two"
    assert pickle.loads(pickle.dumps(job)).problems == ["one", "two"]
    assert str(JobError(["one"])).startswith("The job has one mistake:")
