"""Job files: YAML, a profile below, variables inside, and --set above."""

from pathlib import Path
from typing import Any

import pytest

from firstlight.core.errors import JobError
from firstlight.jobs.load import job_values, load_job, merge, override, profile_path

JOB = """
name: tooth
source: {use: phantom, columns: 32, rows: 8, angles: 16}
steps:
  - {use: minus_log}
  - {use: fbp, name: volume, center: 15.5}
sinks: [{use: hdf5, of: volume, path: "{visit}/{scan}_rec.h5"}]
variables: {visit: /data/2026}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    return path


def problems(job: Any, overrides: Any = None) -> str:
    with pytest.raises(JobError) as caught:
        load_job(job, overrides)
    return "\n".join(caught.value.problems)


def test_a_job_file_is_read_with_its_variables(file: Path) -> None:
    job = load_job(file)
    assert str(job.sinks[0].sink.path) == "/data/2026/{scan}_rec.h5"  # type: ignore[attr-defined]
    assert load_job(str(file)) == job
    assert load_job(job_values(file)) == job


def test_set_goes_above(file: Path) -> None:
    overrides = {
        "volume.center": "16.5",
        "minus_log.floor": 1e-3,
        "source.columns": "64",
        "runner.threads": "2",
        "runner.use": "naive",
        "name": "other",
    }
    job = load_job(file, overrides)
    assert job.pipeline["volume"].step.center == 16.5  # type: ignore[attr-defined]
    assert job.pipeline["minus_log"].step.floor == 1e-3  # type: ignore[attr-defined]
    assert job.source.columns == 64  # type: ignore[attr-defined]
    assert (job.runner.threads, job.runner.use, job.name) == (2, "naive", "other")


def test_set_takes_text_that_is_no_yaml() -> None:
    values: dict[str, Any] = {"source": "pva"}
    assert override(values, {"source.image": "2bm:Pva1:Image: [x", "source.frames": "{from: x}"}) == []
    assert values["source"] == {"use": "pva", "image": "2bm:Pva1:Image: [x", "frames": {"from": "x"}}


def test_set_leaves_what_it_was_given_alone(file: Path) -> None:
    values = job_values(file)
    load_job(values, {"volume.center": 3})
    assert values["steps"][1]["center"] == 15.5


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"ghost.center": 1}, ["--set ghost.center: there is no step 'ghost'", "minus_log, volume"]),
        ({"center": 1}, ["expected step.parameter=value"]),
        ({"volume.centre": 1}, ["no parameter 'centre'. Did you mean 'center'?"]),
        ({"source.columns": "many"}, ["columns = 'many'"]),
    ],
)
def test_mistakes_in_set_are_named(file: Path, overrides: Any, words: list[str]) -> None:
    text = problems(file, overrides)
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", ["is no YAML"]),
        ("- a\n- b", ["holds no mapping"]),
        ("variables: [1]", ["variables = [1]"]),
        ("steps: 5\nsource: phantom\nvariables: {}", ["no steps"]),
        ("profile: nowhere", ["no profile 'nowhere'"]),
        ("profile: ../../secret", ["no profile '../../secret'"]),
    ],
)
def test_files_that_are_no_job(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(text)
    found = problems(path)
    assert all(word in found for word in words), found


def test_set_on_a_job_without_a_list_of_steps_is_a_mistake_not_a_crash() -> None:
    assert "there is no step 'x'. There are: none" in problems({"steps": 5}, {"x.y": 1})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "can not be read: No such file" in problems(tmp_path / "none.yaml")


def test_a_profile_lies_below(tmp_path: Path) -> None:
    profile = tmp_path / "beamline.yaml"
    profile.write_text("source: {use: phantom, rows: 4}\nvariables: {visit: /there, extra: x}\nrunner: {threads: 3}\n")
    path = tmp_path / "job.yaml"
    path.write_text(JOB.replace("rows: 8, ", "") + f"profile: {profile}\n")
    job = load_job(path)
    assert job.source.rows == 4  # type: ignore[attr-defined]
    assert job.runner.threads == 3
    assert str(job.sinks[0].sink.path).startswith("/data/2026/")  # type: ignore[attr-defined]
    assert profile_path(str(profile)) == profile


def test_mappings_merge_and_anything_else_is_replaced() -> None:
    assert merge({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 3}, "d": [2]}) == {"a": {"b": 3, "c": 2}, "d": [2]}


CENTERED = {
    "source": {"use": "phantom", "columns": 32, "rows": 2, "angles": 20},
    "steps": [
        {"use": "flat_field"},
        {"use": "minus_log"},
        {"use": "find_center"},
        {"use": "fbp", "inputs": ["minus_log"], "center": {"from": "find_center"}},
    ],
    "sinks": [{"use": "hdf5", "of": "fbp", "path": "x.h5"}],
}


def names_with(overrides, **more):
    return [node.name for node in load_job({**CENTERED, **more}, overrides).pipeline.nodes]


def test_a_value_given_by_hand_is_not_searched():
    assert "find_center" in names_with({})
    assert names_with({"fbp.center": "15.5"}) == ["flat_field", "minus_log", "fbp"]


def test_a_search_that_somebody_wants_stays_though_its_value_is_given():
    assert "find_center" in names_with({"fbp.center": 15.5, "find_center.method": "vo"})
    more = [*CENTERED["sinks"], {"use": "hdf5", "of": "find_center.confidence", "path": "y.h5"}]
    assert "find_center" in names_with({"fbp.center": 15.5}, sinks=more)
    assert "find_center" in names_with({"fbp.center": 15.5}, views=[{"of": "find_center"}])
    assert "find_center" in names_with({"fbp.center": 15.5}, sinks=[])
