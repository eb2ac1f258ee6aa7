"""Jobs from the network stay within the folders that the service's owner named."""

import sys

import h5py
import numpy as np
import pytest

from firstlight.core.errors import JobError
from firstlight.jobs.confine import confine, paths, refuse_foreign_code, refuse_foreign_profile
from firstlight.jobs.load import load_job


def job(**changes):
    values = {
        "source": {"use": "phantom", "columns": 16, "rows": 2, "angles": 8},
        "steps": [{"use": "flat_field"}, {"use": "minus_log"}],
        "sinks": [{"use": "hdf5", "of": "minus_log", "path": "out.h5"}],
    }
    return load_job({**values, **changes})


def sink(path):
    return [{"use": "hdf5", "of": "minus_log", "path": str(path)}]


@pytest.mark.parametrize("path", ["a.h5", "deep/er/a.h5", "{scan}_rec.h5", "x/../a.h5"])
def test_paths_inside(tmp_path, path):
    confine(job(sinks=sink(tmp_path / path)), [tmp_path])


@pytest.mark.parametrize("path", ["../a.h5", "/etc/a.h5", "x/../../a.h5", "~/a.h5", "{scan}/../../a.h5", "/"])
def test_paths_outside(tmp_path, path):
    wanted = path if path.startswith(("/", "~")) else tmp_path / path
    with pytest.raises(JobError, match="outside the folders"):
        confine(job(sinks=sink(wanted)), [tmp_path])


def test_links_that_lead_outside(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    with pytest.raises(JobError):
        confine(job(sinks=sink(tmp_path / "in" / "link" / "a.h5")), [tmp_path / "in"])


def test_every_path_is_named(tmp_path):
    wild = job(
        source={"use": "dxfile", "path": "/etc/passwd"},
        sinks=sink("/tmp/a.h5") + sink("/var/b.h5"),
        runner={"use": "local", "scratch": "/home"},
    )
    assert {path for _, path in paths(wild)} >= {"/etc/passwd", "/tmp/a.h5", "/var/b.h5", "/home"}
    with pytest.raises(JobError) as error:
        confine(wild, [tmp_path])
    assert len(error.value.problems) == 4


def test_no_folder_at_all_allows_no_path():
    with pytest.raises(JobError):
        confine(job(), [])


@pytest.mark.parametrize("given", ["job.yaml", {"profile": "/etc/x.yaml"}, {"profile": "../x.yml"}, {"profile": 3.5}])
def test_files_are_not_read_for_strangers(given):
    with pytest.raises(JobError):
        refuse_foreign_profile(given)


def test_profiles_by_name_are_fine():
    refuse_foreign_profile({"profile": "2-bm"})
    refuse_foreign_profile({})


def test_steps_that_run_code_are_refused(tmp_path):
    calls = job(steps=[{"use": "minus_log"}, {"use": "call", "name": "mine", "function": "os.remove"}])
    with pytest.raises(JobError, match="step 'mine' runs code that the job names"):
        confine(calls, [tmp_path])


@pytest.mark.parametrize(
    "step",
    [{"use": "call", "function": "os.remove"}, {"use": "savu_plugin", "plugin": "antigravity:fly"}],
    ids=["call", "savu_plugin"],
)
def test_steps_that_run_code_are_refused_before_the_job_is_read(step):
    with pytest.raises(JobError, match="runs code that the job names"):
        refuse_foreign_code({"source": "phantom", "steps": [{"use": "minus_log"}, step], "runner": {"save_all": True}})
    assert "antigravity" not in sys.modules
    for given in ({}, {"steps": 3}, {"steps": [3, {}, {"use": "no_such_step"}, {"use": "fbp"}]}, "job.yaml"):
        refuse_foreign_code(given)


def test_snapshots_stay_inside_too(tmp_path):
    inside = sink(tmp_path / "a.h5")
    confine(job(sinks=inside, snapshots=[{"of": "minus_log", "path": str(tmp_path / "a.png")}]), [tmp_path])
    with pytest.raises(JobError, match="snapshot: the path"):
        confine(job(sinks=inside, snapshots=[{"of": "minus_log", "path": "/var/a.png"}]), [tmp_path])


@pytest.mark.parametrize(
    "source",
    [
        {"use": "dxfile", "path": "IN/scan.h5", "angles": "OUT/secret.txt"},
        {"use": "dxfile", "path": "IN/scan.h5", "angles": "../out/secret.txt"},
        {"use": "nxtomo", "path": "IN/scan.h5", "darks": "OUT/secret.txt:/entry/data"},
        {"use": "together", "sources": {"data": {"use": "tiff", "path": "IN"}, "dark": {"use": "tiff", "path": "OUT"}}},
        {
            "use": "together",
            "sources": {
                "data": {"use": "tiff", "path": "IN", "darks": "OUT/secret.txt"},
                "more": {"use": "tiff", "path": "IN"},
            },
        },
    ],
)
def test_files_under_other_names_and_in_sources_of_sources(tmp_path, source):
    """Angles may be a text file, darks another file, and a source may be made of others."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "secret.txt").write_text("1\n2\n")

    def placed(value):
        if isinstance(value, dict):
            return {key: placed(each) for key, each in value.items()}
        return value.replace("IN", str(tmp_path / "in")).replace("OUT", str(tmp_path / "out"))

    wild = job(source=placed(source), sinks=sink(tmp_path / "in" / "out.h5"))
    with pytest.raises(JobError, match="outside the folders"):
        confine(wild, [tmp_path / "in"])


def test_datasets_and_addresses_are_no_files(tmp_path):
    source = {"use": "dxfile", "path": str(tmp_path / "scan.h5"), "angles": "/exchange/theta", "data": "/tmp"}
    confine(job(source=source, sinks=sink(tmp_path / "a.h5")), [tmp_path])


@pytest.mark.parametrize("way", ["external link", "virtual dataset", "raw data elsewhere"])
def test_a_scan_that_leads_outside_is_refused(tmp_path, way):
    inner, outer = tmp_path / "in", tmp_path / "out"
    inner.mkdir()
    outer.mkdir()
    with h5py.File(outer / "secret.h5", "w") as file:
        file["data"] = np.ones((4, 2, 3))
    (outer / "secret.raw").write_bytes(bytes(8 * 24))
    for folder, inside in ((outer, False), (inner, True)):
        if inside:
            for name in ("secret.h5", "secret.raw"):
                (inner / name).write_bytes((outer / name).read_bytes())
        with h5py.File(inner / "scan.h5", "w") as file:
            exchange = file.create_group("exchange")
            if way == "external link":
                exchange["data"] = h5py.ExternalLink(str(folder / "secret.h5"), "/data")
            elif way == "virtual dataset":
                layout = h5py.VirtualLayout((4, 2, 3), "f8")
                layout[...] = h5py.VirtualSource(folder / "secret.h5", "data", (4, 2, 3))
                exchange.create_virtual_dataset("data", layout)
            else:
                exchange.create_dataset("data", (4, 2, 3), "f8", external=str(folder / "secret.raw"))
        wanted = job(source={"use": "dxfile", "path": str(inner / "scan.h5")}, sinks=sink(inner / "a.h5"))
        if inside:
            confine(wanted, [inner])
        else:
            with pytest.raises(JobError, match=r"/exchange/data.*leads to a file outside"):
                confine(wanted, [inner])
