"""``firstlight batch``: a tree of scans, one of them broken, stopped and gone on with."""

import csv
import os
import shutil

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import firstlight as fl
from firstlight.cli.main import app
from firstlight.connectors.hdf5.sink import Hdf5Sink
from firstlight.core.errors import JobError, SinkError, SourceError
from firstlight.jobs.batch import Batch, Row, as_text, table
from firstlight.jobs.load import load_job

JOB = """
name: many
source: {use: dxfile, path: anything.h5}
steps:
  - {use: flat_field}
  - {use: minus_log}
  - {use: find_center}
  - {use: fbp, inputs: [minus_log], center: {from: find_center}}
sinks: [{use: hdf5, of: fbp, path: rec.h5}]
"""


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "scan.h5"
    source = {"use": "phantom", "columns": 64, "rows": 2, "angles": 90}
    sinks = [{"use": "dxfile", "of": "source", "path": str(path)}]
    fl.start(load_job({"source": source, "steps": [], "sinks": sinks})).finished(timeout=60)
    return path


@pytest.fixture
def tree(tmp_path, scan):
    """Three scans at different depths, one of them cut short, and what is no scan."""
    for name in ("a.h5", "monday/b.h5", "monday/late/c.h5"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(scan, tmp_path / "data" / name)
    with h5py.File(tmp_path / "data/monday/b.h5", "r+") as file:
        del file["exchange/theta"]
        file["exchange/theta"] = np.zeros(7)  # not one angle for each projection
    (tmp_path / "data/notes.txt").write_text("words")
    (tmp_path / "job.yaml").write_text(JOB)
    return tmp_path


def in_process(job):
    """Carry a job out on threads of this process, as the command does in one of its own."""
    run = fl.start(load_job(job))
    run.finished(timeout=100)
    return {"state": "done", **run.counts.as_dict(), "values": {}}


def test_scans_are_found_at_any_depth(tree):
    found = Batch.of(tree / "data", tree / "data" / "results", tree / "job.yaml")
    names = [str(path.relative_to(tree / "data")) for path in found.scans()]
    assert names == ["a.h5", "monday/b.h5", "monday/late/c.h5"]
    (tree / "data/results").mkdir()
    shutil.copy(tree / "data/a.h5", tree / "data/results/a_rec.h5")
    shutil.copy(tree / "data/a.h5", tree / "data/darks.h5")
    os.symlink(tree / "data", tree / "data/monday/loop")
    assert [str(path.relative_to(tree / "data")) for path in found.scans()] == names, "neither results, darks nor loops"
    assert [path.name for path in found.scans("?.h5")] == ["a.h5", "b.h5", "c.h5"]


def test_a_bad_scan_does_not_stop_the_others_and_a_second_run_goes_on(tree):
    batch = Batch.of(tree / "data", tree / "out", tree / "job.yaml", overrides={"find_center.projections": 90})
    rows = batch.run(in_process, batch.scans())
    assert [row.state for row in rows] == ["done", "failed", "done"]
    assert "theta" in rows[1].error or "angle" in rows[1].error
    assert rows[0].frames == 90
    with h5py.File(tree / "out/monday/late/c_rec.h5") as file:
        assert file["entry/data/data"].shape == (2, 64, 64)
    calls = []
    rows = batch.run(lambda job: calls.append(job["name"]) or in_process(job), batch.scans())
    assert calls == ["b"]
    assert [row.state for row in rows] == ["skipped", "failed", "skipped"]
    assert rows[0].values.keys() >= {"find_center.center"}
    assert rows[0].seconds > 0, "what the first run took"
    # another job on the same scans is no repetition
    other = Batch.of(tree / "data", tree / "out", tree / "job.yaml", overrides={"fbp.filter": "hann"})
    rows = other.run(in_process, other.scans()[:1])
    assert rows[0].state == "done"


def test_what_an_interrupted_run_left_is_written_anew(tree):
    batch = Batch.of(tree / "data", tree / "out", tree / "job.yaml")
    (first, *_) = batch.scans()
    batch.run(in_process, [first])
    with h5py.File(tree / "out/a_rec.h5", "r+") as file:
        record = file["entry/process/record"][()].decode().replace('"complete": true', '"complete": false')
        file["entry/process/record"][()] = record
    assert batch.run(in_process, [first])[0].state == "done"
    (tree / "out/a_rec.h5").write_bytes(b"half a file")
    assert batch.run(in_process, [first])[0].state == "done"


def test_an_interrupted_run_goes_on_where_it_stopped(tree, monkeypatch):
    batch = Batch.of(tree / "data", tree / "out", tree / "job.yaml", overrides={"runner.memory": "1 MiB"})
    (first, *_) = batch.scans()
    jobs, plain = [], Hdf5Sink.write

    def carry(job):
        jobs.append(job)
        return in_process(job)

    def full_after_one_slice(sink, chunk):
        if len(written):
            raise SinkError("The disk is full.", field="path")
        written.extend(chunk.ids.tolist())
        plain(sink, chunk)

    written = []
    monkeypatch.setattr(Hdf5Sink, "write", full_after_one_slice)
    assert batch.run(carry, [first])[0].state == "failed"
    assert (tree / "out/a_rec.h5.resume").is_dir()
    again = []
    monkeypatch.setattr(Hdf5Sink, "write", lambda sink, chunk: (again.extend(chunk.ids.tolist()), plain(sink, chunk)))
    assert batch.run(carry, [first])[0].state == "done"
    assert [job.get("runner", {}).get("resume", False) for job in jobs] == [False, True]
    assert sorted(written + again) == [0, 1]
    # what another job left is no beginning of this one
    other = Batch.of(tree / "data", tree / "out", tree / "job.yaml", overrides={"fbp.filter": "hann"})
    assert other.run(carry, [first])[0].state == "done"
    assert not jobs[-1].get("runner", {}).get("resume", False)


def test_a_stop_leaves_the_summary(tree):
    batch = Batch.of(tree / "data", tree / "out", tree / "job.yaml")

    def stopped_at_the_second(job):
        if job["name"] == "b":
            raise KeyboardInterrupt
        return in_process(job)

    with pytest.raises(KeyboardInterrupt):
        batch.run(stopped_at_the_second, batch.scans())
    with (tree / "out/batch.csv").open() as stream:
        assert [row["scan"] for row in csv.DictReader(stream)] == ["a.h5"]
    assert [row.state for row in batch.run(in_process, batch.scans())] == ["skipped", "failed", "done"]


def test_the_command(tree):
    done = CliRunner().invoke(
        app, ["batch", str(tree / "data"), str(tree / "job.yaml"), "-o", str(tree / "out"), "--pattern", "[ab].h5"]
    )
    assert done.exit_code == 1, done.output
    with (tree / "out/batch.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["scan"], row["state"]) for row in rows] == [("a.h5", "done"), ("monday/b.h5", "failed")]
    assert float(rows[0]["find_center.center"]) == pytest.approx(31.5, abs=1)
    assert rows[1]["error"]
    assert "a.h5" in (tree / "out/batch.txt").read_text()
    listed = CliRunner().invoke(
        app, ["batch", str(tree / "data"), str(tree / "job.yaml"), "-o", str(tree / "out"), "--dry-run"]
    )
    assert listed.output.split() == ["a.h5", "monday/b.h5", "monday/late/c.h5"]


def test_darks_and_flats_may_be_shared(tmp_path):
    import tifffile

    rng = np.random.default_rng(2)
    for name, level, count in (
        ("data/one", 500, 6),
        ("data/two", 700, 6),
        ("shared/darks", 10, 3),
        ("shared/flats", 1000, 3),
    ):
        (tmp_path / name).mkdir(parents=True)
        for number in range(count):
            image = (level + rng.integers(0, 3, (8, 12))).astype(np.uint16)
            tifffile.imwrite(tmp_path / name / f"image_{number}.tif", image)
    job = {
        "source": {"use": "tiff", "path": "scan", "angles": "0:180"},
        "steps": [{"use": "flat_field"}],
        "sinks": [{"use": "hdf5", "of": "flat_field", "path": "corrected.h5"}],
    }
    shared = {"darks": tmp_path / "shared/darks", "flats": tmp_path / "shared/flats"}
    batch = Batch.of(tmp_path / "data", tmp_path / "out", job, **shared)
    rows = batch.run(in_process, batch.scans())
    assert [(row.scan, row.state) for row in rows] == [("one", "done"), ("two", "done")], rows
    for name, level in (("one", 500), ("two", 700)):
        with h5py.File(tmp_path / f"out/{name}_rec.h5") as file:
            np.testing.assert_allclose(file["entry/data/data"][()], (level - 10) / 990, atol=0.01)


def test_jobs_that_make_no_batch_are_refused(tree):
    own = {"source": {"use": "npz"}, "steps": [{"use": "minus_log"}], "sinks": []}
    with pytest.raises(JobError, match="takes them from the scan's own file"):
        Batch.of(tree / "data", tree / "out", own, darks=tree / "data")
    tiff = {"source": {"use": "tiff"}, "steps": [{"use": "minus_log"}], "sinks": []}
    with pytest.raises(JobError, match="--flats: there is no"):
        Batch.of(tree / "data", tree / "out", tiff, flats=tree / "gone")
    with pytest.raises(SourceError, match="no such folder"):
        Batch.of(tree / "gone", tree / "out", tree / "job.yaml")
    steps = [{"use": "minus_log"}]
    with pytest.raises(JobError, match="needs sinks that write files"):
        Batch.of(tree / "data", tree / "out", {"source": {"use": "dxfile"}, "steps": steps})
    with pytest.raises(JobError, match="reads no files"):
        Batch.of(tree / "data", tree / "out", {"source": {"use": "pva", "image": "x"}, "steps": steps})
    with pytest.raises(JobError):
        Batch.of(tree / "data", tree / "out", tree / "job.yaml", overrides={"fpb.center": 3})
    empty = CliRunner().invoke(
        app, ["batch", str(tree / "data"), str(tree / "job.yaml"), "-o", str(tree / "out"), "--pattern", "*.zip"]
    )
    assert empty.exit_code == 2
    assert "no scan below this folder" in empty.output


def test_a_damaged_file_is_a_scan_that_fails_and_darks_may_lie_elsewhere(tree):
    whole = (tree / "data/a.h5").read_bytes()
    (tree / "data/cut.h5").write_bytes(whole[: len(whole) // 3])
    with h5py.File(tree / "data/a.h5", "r+") as file, h5py.File(tree / "own.h5", "w") as other:
        other["entry/data/data"] = file["exchange/data_dark"][()]
        del file["exchange/data_dark"]
    batch = Batch.of(tree / "data", tree / "out", tree / "job.yaml", darks=tree / "own.h5", flats=tree / "data/a.h5")
    names = [str(path.relative_to(tree / "data")) for path in batch.scans()]
    assert names == ["a.h5", "cut.h5", "monday/b.h5", "monday/late/c.h5"]
    rows = batch.run(in_process, batch.scans("[ac]*.h5")[:2])
    assert [row.state for row in rows] == ["done", "failed"]
    assert "cut short" in rows[1].error
    with h5py.File(tree / "own.h5", "r+") as other:
        other["entry/more"] = other["entry/data/data"][()]
    with pytest.raises(SourceError, match=r"2 datasets .* Name it: .*own.h5:/entry/data/data"):
        load_job(batch.job_for(tree / "data/a.h5")).source.open()


def test_the_summary_has_a_column_for_each_number():
    said = ("source: angle 7 is zero everywhere", "find_center: the rows differ.")
    rows = [
        Row("a", "done", 90, 0, 1.0, {"find_center.center": 31.25}, "/r/a", warnings=said),
        Row("b", "failed", error="two\nlines"),
    ]
    lines = table(rows)
    columns = ["scan", "state", "frames", "lost", "seconds", "find_center.center", "result", "warnings", "error"]
    assert lines[0] == columns
    assert lines[1][5:] == ["31.25", "/r/a", "source: angle 7 is zero everywhere; find_center: the rows differ.", ""]
    assert lines[2][5:] == ["", "", "", "two lines"]
    text = as_text(rows).splitlines()
    assert text[1].split() == ["a", "done", "90", "0", "1.0", "31.25", "2"]
    assert text[2].endswith("two lines")


def test_what_an_earlier_run_made_beside_its_scan_is_no_scan(tmp_path, scan):
    shutil.copy(scan, tmp_path / "a.h5")
    source, steps = (
        {"use": "phantom", "columns": 16, "rows": 2, "angles": 12},
        [{"use": "flat_field"}, {"use": "minus_log"}],
    )
    sinks = [{"use": "hdf5", "of": "minus_log", "path": str(tmp_path / "made.h5")}]
    sinks += [{"use": "nxtomo", "of": "source", "path": str(tmp_path / "recorded.nxs")}]
    fl.start(load_job({"source": source, "steps": steps, "sinks": sinks})).finished(timeout=60)
    (tmp_path / "job.yaml").write_text(JOB.replace("use: dxfile", "use: nxtomo"))
    found = Batch.of(tmp_path, tmp_path / "out", tmp_path / "job.yaml")
    assert [path.name for path in found.scans()] == ["recorded.nxs"]
    assert "made.h5" in [path.name for path in found.scans("*.h5")]
