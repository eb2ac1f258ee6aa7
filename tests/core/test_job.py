"""Jobs and pipelines: what is written is what is read, and every mistake is named at once."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.core import registry
from firstlight.core.buffer import BufferSettings
from firstlight.core.errors import FirstlightError, JobError
from firstlight.core.job import Job, RunnerSettings, SinkSpec, ViewSpec, parse_job
from firstlight.core.pipeline import Emit, Node, Reference, pipeline
from firstlight.operators.correct.minus_log import minus_log

FULL: dict[str, Any] = {
    "name": "tooth",
    "source": {"use": "phantom", "columns": 32, "rows": 8, "angles": 16},
    "steps": [
        {"use": "flat_field", "before_first": "pass"},
        {"use": "minus_log", "floor": 1e-5},
        {"use": "find_center", "emit": "0.5 s"},
        {"use": "median", "name": "middle", "inputs": {"frames": "minus_log"}, "emit": "10 frames", "frames": 11},
        {"use": "fbp", "name": "volume", "inputs": ["minus_log"], "center": {"from": "find_center.center"}},
    ],
    "sinks": [{"use": "hdf5", "of": "volume", "path": "out.h5"}],
    "views": [{"of": "middle", "every": "0.2 s"}, {"of": "source.data", "every": "1 s", "to": ["web"]}],
    "buffers": {"default": {"policy": "spill", "memory": "1 MiB"}, "dark": {"policy": "wait"}},
    "runner": {"use": "local", "threads": 2, "memory": "1 GiB"},
}


def test_a_job_is_its_own_file() -> None:
    job = parse_job(FULL)
    again = parse_job(job.to_dict())
    assert again == job
    assert again.to_dict() == job.to_dict()
    assert job.buffer("data").memory == 2**20
    assert job.buffer("dark").policy == "wait"
    assert job.pipeline["volume"].held == {"center": Reference("find_center", "center")}
    assert "10.1137/18M120885X" in job.pipeline.cites
    with pytest.raises(KeyError):
        job.pipeline["nothing"]


def test_buffers_suit_the_source() -> None:
    source = parse_job({**FULL, "buffers": None}).source
    assert Job(source, pipeline([minus_log])).buffer("data").policy == "wait"
    live = registry.get("sources", "memory").playing(source.open(), [], pausable=False)
    assert Job(live, pipeline([minus_log])).buffer("data").policy == "spill"
    assert (
        Job(live, pipeline([minus_log]), buffers={"default": BufferSettings(policy="fail")}).buffer("x").policy
        == "fail"
    )


def problems(changes: dict[str, Any]) -> list[str]:
    with pytest.raises(JobError) as caught:
        parse_job({**FULL, "sinks": [], "views": [], **changes})
    return caught.value.problems


def test_three_mistakes_are_three_problems() -> None:
    found = problems(
        {
            "steps": [{"use": "flatfield"}, {"use": "minus_log", "flor": 1}, {"use": "fbp", "cutoff": 7}],
        }
    )
    assert len(found) == 3
    assert "Did you mean flat_field" in found[0]
    assert "no parameter 'flor'. Did you mean 'floor'?" in found[1]
    assert "cutoff = 7. Expected a number less than or equal to 1." in found[2]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"source": None}, ["no source"]),
        ({"source": {"columns": 3}}, ["'use' is missing"]),
        ({"source": {"use": "phantom", 5: 6}}, ["no parameter '5'"]),
        ({"steps": None}, ["no steps"]),
        ({"steps": [None]}, ["'use' is missing"]),
        ({"steps": [{"use": "minus_log"}, {"use": "minus_log"}]}, ["Two steps are called 'minus_log'"]),
        ({"steps": [{"use": "minus_log", "inputs": 5}]}, ["inputs = 5"]),
        ({"steps": [{"use": "minus_log", "inputs": ["a", "b"]}]}, ["names 2 inputs", "at most 1"]),
        ({"steps": [{"use": "minus_log", "inputs": {"dark": "a"}}]}, ["no data argument 'dark'"]),
        ({"steps": [{"use": "minus_log", "before_first": ["hold"]}]}, ["before_first"]),
        ({"steps": [{"use": "minus_log", "emit": "often"}]}, ["emit", "often"]),
        ({"steps": [{"use": "minus_log", "emit": "-1 s"}]}, ["positive time"]),
        ({"steps": [{"use": "minus_log", "ghost": {"from": "x"}}]}, ["no parameter 'ghost'"]),
        ({"steps": [{"use": "remove_outliers"}]}, ["'threshold' is missing"]),
        ({"steps": [{"use": "minus_log", "floor": "1 um"}]}, ["floor"]),
        ({"sinks": {"use": "hdf5"}}, ["'sinks' is not a list", "- {use"]),
        ({"sinks": [{"use": "hdf5", "path": "x.h5"}]}, ["'of' is missing"]),
        ({"sinks": [{"use": "memory", "of": "ghost"}]}, ["no step 'ghost'", "flat_field"]),
        ({"views": [{"every": "1 s"}]}, ["view 1: 'of' is missing"]),
        ({"views": [{"of": "volume", "evry": 1}]}, ["no field 'evry'"]),
        ({"views": [{"of": "volume", "every": "1 um"}]}, ["view 1: every"]),
        ({"views": [{"of": "volume", "to": "screen"}]}, ["screen"]),
        ({"buffers": {"default": {"policy": "hope"}}}, ["hope"]),
        ({"buffers": {"default": 5}}, ["buffers 'default' = 5"]),
        ({"runner": "locl"}, ["no runner 'locl'", "local"]),
        ({"runner": [1]}, ["runner = [1]"]),
        ({"runner": {"threads": -1}}, ["threads = -1"]),
        ({"rules": []}, ["no part 'rules'"]),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], words: list[str]) -> None:
    text = "\n".join(problems(changes))
    assert all(word in text for word in words), text


def test_bare_words_mean_what_they_seem_to() -> None:
    job = parse_job(
        {
            **FULL,
            "runner": "naive",
            "source": "phantom",
            "buffers": {"default": "spill"},
            "views": [{"of": "middle", "to": "web"}],
        }
    )
    assert job.runner.use == "naive"
    assert job.buffer("data").policy == "spill"
    assert job.views[0].to == ()


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(allow_nan=False),
    st.sampled_from(["minus_log", "x", "web", "a.b", ""]),
)
keys = st.sampled_from(
    ["use", "name", "inputs", "emit", "of", "to", "every", "from", "floor", "policy", "default", "path", "threads"]
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["name", "source", "steps", "sinks", "views", "buffers", "runner", "x"]), anything)
)
def test_any_values_at_all_are_a_job_or_a_report(values: dict[str, Any]) -> None:
    try:
        parse_job(values)
    except JobError as error:
        assert error.problems  # noqa: PT017


def test_pipelines_are_made_of_whatever_is_a_step() -> None:
    made = pipeline(
        [
            minus_log,
            minus_log(floor=1e-4).model_copy(),
            Node(minus_log(), "third"),
            {"use": "minus_log", "name": "fourth"},
        ][1:]
    )
    assert [node.name for node in made.nodes] == ["minus_log", "third", "fourth"]
    with pytest.raises(JobError, match="is taken"):
        pipeline([minus_log, minus_log])
    with pytest.raises(JobError, match="no operator 'ghost'"):
        pipeline([{"use": "ghost"}])


@pytest.mark.parametrize("text", ["end", "1 frames", "25 frames", "0.5 s"])
def test_emit_is_written_as_it_is_read(text: str) -> None:
    assert str(Emit.parse(text)) == text
    assert Emit.parse(str(Emit.parse(text))) == Emit.parse(text)
    assert Emit.parse("100 ms").seconds == pytest.approx(0.1)
    with pytest.raises(FirstlightError):
        Emit.parse("0 frames")


def test_a_job_of_python_objects() -> None:
    sink = registry.get("sinks", "memory")()
    source = registry.get("sources", "memory").of(np.zeros((2, 3, 4), np.float32))
    job = Job(
        source,
        pipeline([minus_log]),
        (SinkSpec(sink, Reference("minus_log")),),
        (ViewSpec(Reference("minus_log")),),
        runner=RunnerSettings(),
    )
    with pytest.raises(FirstlightError):
        job.to_dict()
