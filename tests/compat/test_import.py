"""Settings of other programs: recognised, read or refused, and what they became runs."""

import h5py
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import firstlight as fl
from firstlight.cli.main import app
from firstlight.compat.httomo import pipeline
from firstlight.compat.savu import process_list
from firstlight.compat.tofu import conf as tofu
from firstlight.compat.tomocupy import conf as tomocupy
from firstlight.core.errors import SourceError
from firstlight.jobs.load import load_job

from .their_settings import HTTOMO, SAVU, TOFU, TOMOCUPY, savu_list

READERS = [process_list, pipeline, tofu, tomocupy]


def call(*arguments):
    return CliRunner().invoke(app, ["import", *map(str, arguments)])


def test_an_imported_job_runs(tmp_path):
    scan = tmp_path / "scan.h5"
    phantom = {"use": "phantom", "columns": 64, "rows": 4, "angles": 90}
    captured = {"source": phantom, "steps": [], "sinks": [{"use": "dxfile", "of": "source", "path": str(scan)}]}
    fl.start(load_job(captured)).finished(timeout=60)
    path, job = tmp_path / "tomocupyon.conf", tmp_path / "job.yaml"
    path.write_text(TOMOCUPY.format(file="elsewhere.h5", axis=31.5, auto="manual"))
    done = call(path, "--scan", scan, "-o", job)
    assert done.exit_code == 0, done.output
    values = yaml.safe_load(job.read_text())
    assert values["source"]["path"] == str(scan)
    steps = [step for step in values["steps"] if step["use"] != "remove_all_stripes"]  # too few angles for its windows
    values |= {"steps": steps, "sinks": []}
    run = fl.start(load_job({**values, "sinks": [{"use": "hdf5", "of": "fbp", "path": str(tmp_path / "out.h5")}]}))
    run.finished(timeout=100)
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["entry/data/data"].shape == (2, 64, 64)
        assert np.isfinite(file["entry/data/data"][()]).all()


def test_the_command_lists_what_was_lost(tmp_path):
    done = call(savu_list(tmp_path / "list.nxs", SAVU), "-o", tmp_path / "job.yaml")
    assert done.exit_code == 0
    text = (tmp_path / "job.yaml").read_text()
    assert text.startswith("# Made of list.nxs (Savu) by 'firstlight import'.\n# To be looked at:\n")
    assert "HilbertFilter" in text
    load_job(tmp_path / "job.yaml")
    assert call(tmp_path / "list.nxs", "-o", tmp_path / "job.yaml").exit_code == 2, "it is there already"
    assert call(tmp_path / "gone.nxs").exit_code == 2
    (tmp_path / "words.txt").write_text("words")
    wrong = call(tmp_path / "words.txt")
    assert wrong.exit_code == 2
    assert "settings of httomo, savu, tofu, tomocupy" in wrong.output


@pytest.mark.parametrize("reader", READERS)
def test_only_ones_own_files_are_recognised(tmp_path, reader):
    savu_list(tmp_path / "savu.nxs", SAVU)
    (tmp_path / "httomo.yaml").write_text(HTTOMO)
    (tmp_path / "tofu.conf").write_text(TOFU.format(energy=1, tilt=0))
    (tmp_path / "tomocupy.conf").write_text(TOMOCUPY.format(file="x", axis=1, auto="auto"))
    (tmp_path / "job.yaml").write_text("source: phantom\nsteps: [{use: fbp}]\n")
    known = [path.stem for path in sorted(tmp_path.iterdir()) if reader.recognises(path)]
    assert known == [reader.__name__.split(".")[2]]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.yaml", "- [" * 5000),
        ("x.yaml", "- {method: 3, module_path: [1]}"),
        ("x.yaml", "a: &a [*a]"),
        ("x.yaml", "- !Sweep 3\n- !SweepRange x"),
        ("x.conf", "[fbp]\nx" * 3),
        ("x.conf", "no section"),
        ("x.conf", "[general-reconstruction]\ncenter-position-x = left"),
        ("x.conf", "[reconstruction]\nrotation-axis = nan\n[remove-stripe]\nremove-stripe-method = odd"),
    ],
)
def test_damaged_settings_are_told(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    for reader in READERS:
        try:
            found = reader.read(tmp_path / name) if reader.recognises(tmp_path / name) else None
        except SourceError:
            continue
        assert found is None or found.remarks


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([HTTOMO, TOFU, TOMOCUPY]), st.data())
def test_any_change_of_the_settings_is_read_or_told(tmp_path, text, data):
    place = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 30))
    changed = text[:place] + data.draw(st.text(max_size=8)) + text[place + length :]
    path = tmp_path / ("x.yaml" if text is HTTOMO else "x.conf")
    path.write_text(changed, encoding="utf-8", errors="ignore")
    for reader in READERS[1:]:
        try:
            reader.read(path)
        except SourceError:
            pass
