"""The file of links to what each step of a run saved."""

import json
import shutil

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from firstlight.cli.main import app
from firstlight.connectors.hdf5.master import Saved, write_master
from firstlight.core.errors import SinkError
from firstlight.jobs.arrays import open_array
from firstlight.jobs.cite import cite
from firstlight.jobs.compare import compare
from firstlight.jobs.master import write_master_of
from firstlight.jobs.process import links_of

JOB = """
name: every
source: {{use: phantom, columns: 32, rows: 3, angles: 24}}
steps:
  - {{use: flat_field}}
  - {{use: minus_log, name: attenuation}}
  - {{use: fbp}}
sinks: [{{use: hdf5, of: fbp, path: {out}}}]
"""


def test_a_run_that_saves_all_leaves_one_file_to_open(tmp_path):
    out = tmp_path / "results" / "rec.nxs"
    (tmp_path / "job.yaml").write_text(JOB.format(out=out))
    done = CliRunner().invoke(app, ["run", str(tmp_path / "job.yaml"), "--save-all"])
    assert done.exit_code == 0, done.output
    assert f"every step: {out.with_name('rec_master.nxs')}" in done.output
    moved = tmp_path / "elsewhere"
    shutil.move(out.parent, moved)  # links are relative: the folder may be moved
    with h5py.File(moved / "rec_master.nxs") as file:
        entry = file["entry"]
        assert entry.attrs["NX_class"] == "NXentry"
        assert entry.attrs["default"] == "fbp"
        names = [name for name in entry if name != "process"]
        assert sorted(names) == ["attenuation", "fbp", "flat_field"]
        for name in names:
            assert entry[name].attrs["NX_class"] == "NXdata"
            assert isinstance(entry.get(name, getlink=True), h5py.ExternalLink)
        assert entry["fbp/data"].shape == (3, 32, 32)
        np.testing.assert_allclose(entry["attenuation/data"][()], -np.log(entry["flat_field/data"][()]), atol=1e-4)
        record = json.loads(entry["process/record"][()])
        assert record["complete"]
        assert entry["process/02_attenuation/description"][()].decode().startswith("Take minus the natural logarithm")
    links, own = moved / "rec_master.nxs", moved / "rec.nxs"
    assert cite(links).paragraph == cite(own).paragraph, "it stands for the result"
    with open_array(str(links)) as first, open_array(str(own)) as second:
        assert compare(first, second).numbers["largest"] == 0


def test_only_a_complete_run_that_saved_all_gets_one(tmp_path):
    sinks = [{"use": "hdf5", "of": of, "path": str(tmp_path / f"{of}.nxs")} for of in ("minus_log", "fbp")]
    job = {
        "steps": [{"use": "minus_log"}, {"use": "fbp"}],
        "sinks": sinks,
        "runner": {"use": "local", "save_all": True},
    }
    for record in ({}, {"complete": False, "job": job}, {"complete": True, "job": {**job, "runner": {"use": "local"}}}):
        assert links_of(record) == []
    assert not list(tmp_path.iterdir())
    assert links_of({"complete": True, "job": job}) == []
    assert [path.name for path in tmp_path.iterdir()] == ["minus_log_master.nxs"]
    (tmp_path / "minus_log_master.nxs").unlink()
    (tmp_path / "minus_log_master.nxs").mkdir()
    assert "minus_log_master.nxs" in links_of({"complete": True, "job": job})[0], "what went wrong is told"


def test_one_output_needs_no_links(tmp_path):
    steps = [{"use": "fbp"}]
    sinks = [{"use": "hdf5", "of": "fbp", "path": str(tmp_path / "a.h5")}]
    assert write_master_of({"steps": steps, "sinks": sinks}, {}) is None


def test_an_older_one_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "master.nxs"
    path.write_text("old")
    write_master(path, [Saved("one", tmp_path / "one.h5"), Saved("two", tmp_path / "deep" / "two.h5")], {})
    with h5py.File(path) as file:
        assert file["entry"].get("two", getlink=True).filename == "deep/two.h5"
        assert file["entry"].attrs["default"] == "two"
    (tmp_path / "taken.nxs").mkdir()
    with pytest.raises(SinkError):
        write_master(tmp_path / "taken.nxs", [], {})
    (tmp_path / "taken.nxs").rmdir()
    assert [found.name for found in tmp_path.iterdir()] == ["master.nxs"]
