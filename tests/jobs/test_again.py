"""A run once more from its result, and when that is refused."""

import json
import os
import shutil

import h5py
import numpy as np
import pytest

from firstlight.core.errors import JobError, SourceError
from firstlight.core.job import parse_job
from firstlight.jobs.again import again
from firstlight.jobs.results import read_record
from firstlight.jobs.start import start
from firstlight.runners.inputs import BLOCK, difference, fingerprint

RNG = np.random.default_rng(4)


def run(values):
    made = start(parse_job(values))
    made.finished(60)
    return made


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["exchange/data"] = RNG.integers(100, 1000, (24, 4, 16), dtype=np.uint16)
        file["exchange/data_dark"] = np.zeros((2, 4, 16), np.uint16)
        file["exchange/data_white"] = np.full((2, 4, 16), 1000, np.uint16)
        file["exchange/theta"] = np.arange(24) * 7.5
    return path


def job(scan, out, **parts):
    return {
        "name": "first",
        "source": {"use": "dxfile", "path": str(scan)},
        "only": {"row": "1:3"},
        "steps": [{"use": "flat_field"}, {"use": "minus_log"}, {"use": "fbp", "center": 7.5}],
        "sinks": [{"use": "hdf5", "of": "fbp", "path": str(out)}],
        "runner": {"threads": 1},
        **parts,
    }


@pytest.fixture
def result(scan, tmp_path):
    run(job(scan, tmp_path / "out.h5"))
    return tmp_path / "out.h5"


def data(path, name="entry/data/data"):
    with h5py.File(path) as file:
        return file[name][()]


def test_the_same_again(result, tmp_path):
    found = again(result, tmp_path / "more" / "again.h5")
    assert found.remarks == ()
    assert found.job["only"] == {"row": "1:3"}
    run(found.job)
    assert np.array_equal(data(result), data(tmp_path / "more" / "again.h5"))


def test_its_snapshots_replace_none_of_the_first_run(scan, tmp_path):
    shots = [{"of": "minus_log", "path": str(tmp_path / name)} for name in ("sinogram.png", "out_log.png")]
    run(job(scan, tmp_path / "out.h5", snapshots=shots))
    found = again(tmp_path / "out.h5", tmp_path / "again.h5").job["snapshots"]
    assert [each["path"] for each in found] == [str(tmp_path / n) for n in ("again_sinogram.png", "again_log.png")]


def test_with_something_else(result, tmp_path):
    found = again(result, tmp_path / "again.h5", {"fbp.center": "8", "only.row": "0"})
    run(found.job)
    assert data(tmp_path / "again.h5").shape == (1, 16, 16)
    assert found.job["steps"][2]["center"] == 8
    with pytest.raises(JobError, match="no step 'fbq'"):
        again(result, tmp_path / "x.h5", {"fbq.center": 1})


def test_frames_in_a_dxfile_know_their_job_too(scan, tmp_path):
    out = tmp_path / "corrected.h5"
    run(job(scan, out, steps=[{"use": "flat_field"}], sinks=[{"use": "dxfile", "of": "flat_field", "path": str(out)}]))
    found = again(out, tmp_path / "again.h5")
    run(found.job)
    assert np.array_equal(data(out, "exchange/data"), data(tmp_path / "again.h5", "exchange/data"))


def test_the_record_says_what_was_read(result, scan):
    (noted,) = read_record(result)["inputs"]
    assert noted["path"] == str(scan)
    assert noted["bytes"] == scan.stat().st_size
    assert len(noted["sha256"]) == 64


def test_an_input_that_is_gone_or_was_written_to_is_refused(result, scan, tmp_path):
    other = tmp_path / "other.h5"
    shutil.copy(scan, other)
    with h5py.File(scan, "r+") as file:
        file["exchange/data"][3] = 7
    os.utime(scan, ns=(1, 1))
    with pytest.raises(JobError, match="has been written to since") as caught:
        again(result, tmp_path / "again.h5")
    assert f"--set source.path={scan}" in str(caught.value)
    scan.unlink()
    with pytest.raises(JobError, match="can not be read any more: No such file"):
        again(result, tmp_path / "again.h5")
    moved = again(result, tmp_path / "again.h5", {"source.path": str(other)})
    assert moved.remarks == ()
    run(moved.job)
    assert np.array_equal(data(result), data(tmp_path / "again.h5"))


def test_another_input_is_taken_where_it_is_named_and_said(result, scan, tmp_path):
    with h5py.File(scan, "a") as file:
        file["more"] = np.zeros(1000)
    with pytest.raises(JobError, match="bytes now, and had"):
        again(result, tmp_path / "again.h5")
    found = again(result, tmp_path / "again.h5", {"source.path": str(scan)})
    assert "another input" in found.remarks[0]


def test_a_copy_with_another_time_is_the_same(scan):
    noted = fingerprint(scan)
    os.utime(scan, ns=(5, 5))
    assert difference(noted, scan) is None


@pytest.mark.parametrize("size", [0, 1, BLOCK, BLOCK + 1, 40 * BLOCK + 17])
def test_a_change_at_the_start_or_end_is_seen_in_files_of_any_size(size, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(bytes(size))
    noted = fingerprint(path)
    for place in {0, size - 1} if size else ():
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"x")
        assert fingerprint(path)["sha256"] != noted["sha256"]
        path.write_bytes(bytes(size))
    assert fingerprint(path)["sha256"] == noted["sha256"]


def test_folders(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "a.tif").write_bytes(b"1")
    noted = fingerprint(folder)
    assert difference(noted, folder) is None
    (folder / "b.tif").write_bytes(b"2")
    assert "bytes now" in difference(noted, folder)


def test_frames_that_are_gone(tmp_path):
    for source, words in (
        ({"use": "memory", "in_memory": True}, "arrays in memory"),
        ({"use": "pva", "image": "x"}, "detector"),
    ):
        path = tmp_path / "record.json"
        path.write_text(json.dumps({"job": {"source": source, "steps": [], "sinks": []}}))
        with pytest.raises(JobError, match=words):
            again(path)


def test_what_was_steered_holds_from_the_start_and_is_said(result, tmp_path):
    record = read_record(result)
    record["changes"] = [{"step": "fbp", "parameter": "center", "old": 7.5, "new": 8.0, "epoch": 0, "id": 12, "at": 0}]
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record))
    found = again(path, tmp_path / "again.h5")
    assert found.job["steps"][2]["center"] == 8.0
    assert "was changed to 8.0 at frame 12" in found.remarks[0]


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"no result", b"{}"])
def test_what_holds_no_record(content, tmp_path):
    path = tmp_path / "x.h5"
    path.write_bytes(content)
    with pytest.raises(SourceError):
        again(path)
