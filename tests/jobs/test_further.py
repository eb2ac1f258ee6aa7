"""A scan that begins while a run goes on: what its own run is asked for. Whole loops: tests/system/test_ptychography_loop."""

from types import SimpleNamespace

import numpy as np
import pytest

from firstlight.core.run import ViewInfo
from firstlight.jobs.further import next_folder, request_after
from firstlight.jobs.load import load_job
from firstlight.jobs.store import Store

TILED = {"use": "tiled", "url": "http://127.0.0.1:1", "container": "hxn/3fa9", "metadata": {"run_uid": "3fa9", "nx": 3}}
JOB = {
    "name": "scan_7",
    "source": {"use": "phantom_ptychography"},
    "steps": [{"use": "ptychography", "orientation": "auto", "outer_zone": "30 nm", "zone_plate_diameter": "100 um"}],
    "sinks": [
        {"use": "hdf5", "of": "ptychography.object", "path": "/data/v1.2/object.nxs.h5"},
        {"use": "zarr", "of": "ptychography.phase", "path": "s3://bucket/phase.zarr"},
        {**TILED, "of": "ptychography.error", "node": "final/error"},
    ],
    "views": [{"of": "ptychography.probe", "to": [{**TILED, "node": "live/probe"}]}],
    "snapshots": [{"of": "ptychography.phase", "path": "/data/phase.png"}],
    "runner": {"further_scans": True},
}


def run_that_shows(**outputs):
    """A run, as far as it is asked what it shows."""
    views = tuple(ViewInfo(f"ptychography.{name}", "ptychography", name, (), ()) for name in outputs)
    shown = {f"ptychography.{name}": SimpleNamespace(data=data) for name, data in outputs.items()}
    return SimpleNamespace(status=lambda: SimpleNamespace(values={}, views=views), view=shown.get)


@pytest.fixture
def folder(tmp_path):
    made = Store(tmp_path).create({"job": JOB, "roots": ["/data"]}, "scan_7")
    made.write("job.json", load_job(JOB).to_dict())
    return made


def test_everything_that_is_written_carries_the_number(folder):
    for number in (2, 3):
        request = request_after(run_that_shows(), folder)
        job = request["job"]
        assert (request["scan"], job["name"]) == (number, f"scan_7_{number}")
        paths = [each.get("path") or each["container"] for each in job["sinks"]]
        assert paths == [f"/data/v1.2/object_{number}.nxs.h5", f"s3://bucket/phase_{number}.zarr", f"hxn/3fa9_{number}"]
        assert job["sinks"][2]["metadata"] == {"run_uid": f"3fa9_{number}", "nx": 3}
        assert job["views"][0]["to"][1]["container"] == f"hxn/3fa9_{number}"
        assert job["snapshots"][0]["path"] == f"/data/phase_{number}.png"
        assert job["steps"] == load_job(JOB).to_dict()["steps"]
        assert request["roots"] == ["/data", str(folder.path)]
        before, folder = folder, next_folder(folder, request)
        folder.write("job.json", load_job(job).to_dict())
        assert before.next() == folder.id
        assert folder.entry().pid is not None


def test_it_begins_with_the_probe_and_the_orientation_that_were_found(folder):
    probe = np.full((1, 8, 8), 1 + 2j, np.complex64)
    (step,) = request_after(run_that_shows(probe=probe, orientation=np.array(3.0)), folder)["job"]["steps"]
    np.testing.assert_array_equal(np.load(step["probe"]), probe)
    assert (step["orientation"], step["probe_defocus"], step.get("outer_zone")) == ("rot180", 0.0, None)


@pytest.mark.parametrize("shown", [{}, {"probe": np.zeros((1, 8, 8))}, {"probe": np.full((1, 8, 8), np.nan)}])
def test_without_a_probe_it_begins_as_the_first_did(folder, shown):
    request = request_after(run_that_shows(**shown, orientation=np.array(3.0)), folder)
    assert "probe" not in request["job"]["steps"][0]
