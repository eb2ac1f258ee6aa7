"""Sweeps: one more axis for each swept parameter, the same as a run for each value."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from firstlight.connectors.phantom.source import PhantomSource
from firstlight.core.errors import FirstlightError, JobError
from firstlight.core.job import parse_job
from firstlight.core.sweep import MOST, sweep_values
from firstlight.jobs.messages import shown_message, shown_of
from firstlight.jobs.start import plan, start


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("500:502:0.5", (500.0, 500.5, 501.0, 501.5, 502.0)),
        ("0:0.3:0.1", (0.0, 0.1, 0.2, 0.3)),
        ("3:1:-1", (3, 2, 1)),
        ("1:4:2", (1, 3)),
        ("5:5:1", (5,)),
        ("hann,ram-lak", ("hann", "ram-lak")),
        ("1, 2.5", (1, 2.5)),
        ([1, None], (1, None)),
    ],
)
def test_values(given, expected):
    found = sweep_values(given)
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


@pytest.mark.parametrize(
    "given",
    [
        "",
        " , ",
        "1:2",
        "1:2:0",
        "1:2:-1",
        "a:b:c",
        "0:1e9:1",
        "0:nan:1",
        [],
        None,
        5,
        {"start": 1},
        list(range(MOST + 1)),
    ],
)
def test_what_is_no_sweep(given):
    with pytest.raises(FirstlightError):
        sweep_values(given)


SOURCE = {"use": "phantom", "columns": 32, "rows": 4, "angles": 24, "sets": 2, "drift": 0.1}
BEFORE = [{"use": "flat_field"}, {"use": "minus_log"}]


def result(steps, runner="local", **parts):
    job = replace(
        parse_job(
            {"source": SOURCE, "steps": steps, "runner": {"use": runner}, "views": [{"of": steps[-1]["use"]}], **parts}
        ),
        collect=True,
    )
    run = start(job)
    run.finished(60)
    return run.view(steps[-1]["use"])


@pytest.mark.parametrize("runner", ["local", "naive"])
def test_a_grid_is_what_runs_for_each_value_give(runner):
    fbp = {"use": "fbp", "center": {"sweep": "15:16:0.5"}, "filter": {"sweep": ["hann", "ram-lak"]}}
    shown = result([*BEFORE, fbp], runner)
    sent = shown_of(shown_message(shown))
    assert sent.stream == shown.stream
    assert shown.stream.axes == ("z", "fbp.center", "fbp.filter", "y", "x")
    assert shown.stream.marks == {"fbp.center": (15.0, 15.5, 16.0), "fbp.filter": ("hann", "ram-lak")}
    for i, center in enumerate((15, 15.5, 16)):
        for j, name in enumerate(("hann", "ram-lak")):
            one = result([*BEFORE, {"use": "fbp", "center": center, "filter": name}], runner)
            np.testing.assert_allclose(shown.data[:, i, j], one.data, atol=2e-4)


def test_a_sweep_before_a_regrouping_goes_through_the_steps_behind_it():
    steps = [BEFORE[0], {"use": "minus_log", "floor": {"sweep": [1e-6, 0.5]}}, {"use": "fbp", "inputs": ["minus_log"]}]
    shown = result(steps)
    assert set(shown.stream.axes) == {"z", "y", "x", "minus_log.floor"}
    data = np.moveaxis(shown.data, shown.stream.axes.index("minus_log.floor"), 0)
    for number, floor in enumerate((1e-6, 0.5)):
        one = result([BEFORE[0], {"use": "minus_log", "floor": floor}, {"use": "fbp"}])
        np.testing.assert_allclose(data[number], one.data, atol=2e-4)


def test_steps_before_run_once(monkeypatch):
    from firstlight.operators.correct.flat_field import flat_field

    frames = []
    body = flat_field.step.bodies["cpu"]
    monkeypatch.setattr(
        flat_field.step, "bodies", {"cpu": lambda data, *a, **k: (frames.append(len(data)), body(data, *a, **k))[1]}
    )
    result([BEFORE[0], {"use": "minus_log", "floor": {"sweep": [1e-6, 0.1, 0.2]}}])
    assert sum(frames) == SOURCE["angles"]


def test_a_swept_step_is_the_same_after_json_and_pickle():
    job = parse_job(
        {
            "source": SOURCE,
            "steps": [*BEFORE, {"use": "fbp", "name": "rec", "pixel": "2 um", "center": {"sweep": "1:2:1"}}],
        }
    )
    again = parse_job(job.to_dict())
    assert job.to_dict()["steps"] == again.to_dict()["steps"]
    step = pickle.loads(pickle.dumps(job.pipeline["rec"].step))
    assert step.sweeps == {"center": (1.0, 2.0)}
    assert step.pixel == 2.0


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([{"use": "fbp", "cutoff": {"sweep": [0.5, 2]}}], "cutoff = 2"),
        ([{"use": "fbp", "centre": {"sweep": [0.5, 2]}}], "Did you mean 'center'"),
        ([{"use": "fbp", "center": {"sweep": "5:1:1"}}], "start:stop:step"),
        ([{"use": "find_center", "method": {"sweep": ["vo", "correlation"]}}], "works on the whole scan"),
        ([{"use": "crop", "rows": {"sweep": [[0, 2], [0, 3]]}}], "sizes that 'crop' gives depend on what is swept"),
        ([{"use": "fbp", "center": {"sweep": "0:3000:1"}, "cutoff": {"sweep": [0.4, 1]}}], "too many combinations"),
        ([{"use": "fbp"}, {"use": "contact_sheet"}], "There is no sweep to draw"),
    ],
)
def test_mistakes_are_named(steps, words):
    with pytest.raises(JobError, match=words):
        plan(replace(parse_job({"source": SOURCE, "steps": steps}), collect=True))


def test_the_best_center_of_the_phantom_is_named_and_drawn():
    fbp = {"use": "fbp", "center": {"sweep": "12:19:0.5"}}
    source = {**SOURCE, "columns": 64, "angles": 90, "center": 33.0}
    steps = [*BEFORE, {**fbp, "center": {"sweep": "29:37:1"}}, {"use": "contact_sheet"}]
    for runner in ("local", "naive"):
        job = parse_job(
            {
                "source": source,
                "only": {"row": "mid"},
                "steps": steps,
                "runner": {"use": runner},
                "views": [{"of": "contact_sheet.sheet"}],
            }
        )
        run = start(job)
        run.finished(60)
        report = run.report()
        assert report["best"] == {"fbp.center": 33.0}
        assert len(report["sweep"]["metrics"]["entropy"]) == 9
        sheet = run.view("contact_sheet.sheet").data
        assert sheet.dtype == np.uint8
        assert (sheet == 255).any()


def test_sizes_are_known_before_anything_runs():
    steps = [*BEFORE, {"use": "fbp", "center": {"sweep": "12:19:0.5"}}, {"use": "contact_sheet"}]
    found = plan(
        parse_job({"source": PhantomSource(columns=32, angles=24).model_dump() | {"use": "phantom"}, "steps": steps})
    )
    assert found["fbp"].outputs["data"].main.sizes["fbp.center"] == 15
    assert found["contact_sheet"].outputs["entropy"].main.axes == ("fbp.center",)
