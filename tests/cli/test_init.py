"""``firstlight init``: jobs to begin with, which check and run as they are."""

import re

import h5py
import pytest
import tifffile
import yaml
from typer.testing import CliRunner

import firstlight as fl
from firstlight.cli.main import app
from firstlight.core import registry
from firstlight.core.job import parse_job
from firstlight.jobs.load import job_values, load_job
from firstlight.jobs.results import read_record
from firstlight.jobs.start import plan
from firstlight.jobs.templates import TEMPLATES, names, template


def call(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def model(kind, use):
    found = registry.get(kind, use)
    return getattr(found, "step", found)


@pytest.mark.parametrize("name", names())
def test_every_option_stands_there_at_its_default(name):
    text = template(name)
    job = parse_job(yaml.safe_load(text))
    profile = {} if name in TEMPLATES else job_values({"profile": name})
    short = {**TEMPLATES.get(name, TEMPLATES["tomo_live"]), **profile}
    plain = {**short, "name": name, "steps": [s for s in short["steps"] if "offered" not in s]}
    assert job.to_dict() == parse_job(plain).to_dict(), "the same job as without the defaults"
    for step in job.pipeline.nodes:
        for field in type(step.step).model_fields:
            assert re.search(rf"^    (# )?{field}:", text, re.M), f"{step.name}.{field}"


@pytest.mark.parametrize("name", names())
def test_steps_that_are_offered_can_be_taken_in(name):
    text = template(name)
    lines, inside = [], False
    for line in text.splitlines():  # one # away within each block, as a user would
        inside = line.startswith("  # To be taken in") or (inside and line.startswith("  # "))
        lines.append(line if "To be taken in" in line or not inside else "  " + line[4:])
    job = parse_job(yaml.safe_load("\n".join(lines)))
    offered = [step["use"] for step in TEMPLATES.get(name, TEMPLATES["tomo_live"])["steps"] if "offered" in step]
    assert {node.step.use for node in job.pipeline.nodes} >= set(offered)


def test_a_job_for_a_file_checks_and_runs(tmp_path):
    scan = tmp_path / "scan.h5"
    source = {"use": "phantom", "columns": 64, "rows": 4, "angles": 90}
    fl.start(
        load_job({"source": source, "steps": [], "sinks": [{"use": "dxfile", "of": "source", "path": str(scan)}]})
    ).finished(timeout=60)
    job, out = tmp_path / "job.yaml", tmp_path / "out.h5"
    assert call("init", "tomo", "--file", scan, "-o", job).exit_code == 0
    checked = call("check", job, "--set", f"sink.path={out}")
    assert checked.exit_code == 0, checked.output
    again = call("init", "tomo", "-o", job)
    assert again.exit_code == 2
    assert "there already" in again.output
    overrides = {"fbp.center": "30.5", "sink.path": str(out)}
    run = fl.start(load_job(job, overrides))
    run.finished(timeout=100)
    record = read_record(out)
    assert record["complete"]
    assert next(s for s in record["job"]["steps"] if s["use"] == "fbp")["center"] == 30.5
    assert "find_center.center" not in record["values"], "what is given by hand is not searched for"


def test_a_folder_of_sinograms_gets_the_steps_that_it_needs(tmp_path):
    source = {"use": "phantom", "columns": 64, "rows": 3, "angles": 90, "center": 33}
    steps, flat = [{"use": "flat_field"}, {"use": "minus_log"}], tmp_path / "flat.h5"
    sinks = [{"use": "hdf5", "of": "minus_log", "path": str(flat)}]
    fl.start(load_job({"source": source, "steps": steps, "sinks": sinks})).finished(timeout=60)
    with h5py.File(flat) as file:
        found = file["entry/data/data"][()]
    (tmp_path / "scan").mkdir()
    for row, sinogram in enumerate(found.swapaxes(0, 1)):
        tifffile.imwrite(tmp_path / "scan" / f"sino_{row:03}.tif", sinogram)
    job = tmp_path / "job.yaml"
    made = call("init", "tomo", "--file", tmp_path / "scan", "-o", job)
    assert made.exit_code == 0, made.output
    values = yaml.safe_load(job.read_text())
    assert values["source"]["order"] == "sinogram"
    assert [step["use"] for step in values["steps"]] == ["find_center", "fbp"], "the logarithm was taken already"
    run = fl.start(load_job(job, {"sink.path": str(tmp_path / "out.h5")}))
    run.finished(timeout=100)
    assert read_record(tmp_path / "out.h5")["values"]["find_center.center"] == pytest.approx(33, abs=0.5)


def test_live_templates_check():
    for name in ("tomo_live", "stem"):
        values = yaml.safe_load(template(name))
        plan(parse_job(values))


def test_names_are_listed_and_wrong_ones_refused(tmp_path):
    listed = dict(line.split(maxsplit=1) for line in call("init").output.splitlines())
    assert list(listed) == names()
    assert {*TEMPLATES, "aps_2bm"} <= set(listed)
    wrong = call("init", "tmo")
    assert wrong.exit_code == 2
    assert "one of tomo, tomo_live" in wrong.output
    assert call("init", "tomo", "-o", tmp_path / "no" / "job.yaml").exit_code == 2
    assert call("init", "tomo").output.startswith("# Made by 'firstlight init tomo'.")
