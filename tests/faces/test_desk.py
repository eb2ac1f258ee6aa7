"""The desk for recorded scans: only what lies below the roots, one slice of a job, and the result of it."""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import quote

import h5py
import httpx
import numpy as np
import pytest

from firstlight.core.coordinates import Coordinate
from firstlight.core.errors import FirstlightError, UnknownName
from firstlight.core.run import Result
from firstlight.faces.rest.desk.clerk import Clerk
from firstlight.faces.rest.desk.places import free_name, inside, listing
from firstlight.faces.rest.desk.structure import structure
from firstlight.faces.rest.desk.trial import _cut, _scale, _slice_of, attempt, needed
from firstlight.faces.rest.serve import ServiceThread
from firstlight.faces.rest.settings import Settings
from firstlight.jobs.crash import reap
from firstlight.jobs.links import leads_outside
from firstlight.jobs.load import load_job
from firstlight.jobs.start import start
from firstlight.jobs.store import Store
from firstlight.jobs.supervise import Supervisor

pytestmark = pytest.mark.timeout(180)

COLUMNS, CENTER = 64, 29.0


def write_scan(path):
    """A Data Exchange file of a disc off the middle, 4 rows, with darks and flats; the axis lies at column 29."""
    angles = np.linspace(0, 180, 90, endpoint=False)
    columns = np.arange(COLUMNS)
    middle = CENTER + 9 * np.cos(np.deg2rad(angles))[:, None] + 4 * np.sin(np.deg2rad(angles))[:, None]
    chord = 2 * np.sqrt(np.clip(8.0**2 - (columns - middle) ** 2, 0, None))
    counts = 100 + 900 * np.exp(-0.05 * chord)
    with h5py.File(path, "w") as file:
        file["implements"] = "exchange"
        file["exchange/data"] = np.repeat(counts[:, None], 4, axis=1).astype(np.uint16)
        file["exchange/data_dark"] = np.full((2, 4, COLUMNS), 100, np.uint16)
        file["exchange/data_white"] = np.full((2, 4, COLUMNS), 1000, np.uint16)
        file["exchange/theta"] = angles
    return path


def read_message(content):
    size = int.from_bytes(content[:4], "little")
    header = json.loads(content[4 : 4 + size])
    return header, np.frombuffer(content[4 + size :], header["dtype"]).reshape(header["shape"])


def made_root(folder):
    """A root with a scan, and a file that lies outside of it."""
    root = folder / "visit"
    root.mkdir()
    write_scan(root / "scan.h5")
    with h5py.File(folder / "secret.h5", "w") as file:
        file["secret"] = np.arange(7)
    return root


@pytest.fixture
def roots(tmp_path):
    return made_root(tmp_path)


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    """A root that the tests of one service share."""
    return made_root(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def desk(visit, tmp_path_factory):
    """A service with real run processes over that root."""
    supervisor = Supervisor(Store(tmp_path_factory.mktemp("store") / "state"))
    service = ServiceThread(Settings(port=0, roots=(visit,)), supervisor)
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}/api/v1", timeout=150) as client:
        yield client
    service.stop()
    for entry in supervisor.entries():
        reap(entry.id, 20)
    supervisor.close()


def test_nothing_outside_the_roots_is_seen(roots, tmp_path):
    (roots / "away").symlink_to(tmp_path)
    (roots / "secret.h5").symlink_to(tmp_path / "secret.h5")
    (roots / "circle").symlink_to(roots / "circle")
    (roots / ".hidden").write_text("")
    (roots / "deep").mkdir()
    found = listing(roots, [roots])
    assert [entry.name for entry in found.entries] == ["deep", "scan.h5"]
    assert found.parent is None
    assert listing(roots / "deep", [roots]).parent == str(roots)
    for path in (roots / "..", roots / "away", roots / "secret.h5", roots / "circle", "/etc", "deep", f"{roots}/a\0b"):
        with pytest.raises(UnknownName):
            inside(path, [roots])
    with pytest.raises(FirstlightError, match="no folder"):
        listing(roots / "scan.h5", [roots])


def test_a_name_that_is_free(tmp_path):
    assert free_name(tmp_path / "a_rec.nxs") == tmp_path / "a_rec.nxs"
    (tmp_path / "a_rec.nxs").write_text("")
    (tmp_path / "a_rec_2.nxs").write_text("")
    assert free_name(tmp_path / "a_rec.nxs") == tmp_path / "a_rec_3.nxs"


def test_links_in_files_do_not_lead_out(roots, tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(roots / "links.h5", "w") as file:
        file["here"] = np.arange(3)
        file["soft"] = h5py.SoftLink("/here")
        file["inside"] = h5py.ExternalLink("scan.h5", "/exchange/theta")
        file["outside"] = h5py.ExternalLink(str(secret), "/secret")
        file["above"] = h5py.ExternalLink("../secret.h5", "/secret")
        file["round"] = h5py.SoftLink("/outside")
        file["circle"] = h5py.SoftLink("/circle")
        file["group"] = h5py.ExternalLink("../secret.h5", "/")
        layout = h5py.VirtualLayout((7,), "i8")
        layout[:] = h5py.VirtualSource(str(secret), "secret", (7,))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("raw", (4,), "u1", external=[(str(secret), 0, 4)])
    with h5py.File(roots / "again.h5", "w") as file:
        file["twice"] = h5py.ExternalLink("links.h5", "/outside")
        file["fine"] = h5py.ExternalLink("links.h5", "/inside")
    with h5py.File(roots / "links.h5") as file:
        for name in ("outside", "above", "round", "circle", "group/secret", "virtual", "raw"):
            assert leads_outside(file, f"/{name}", [roots]), name
        for name in ("here", "soft", "inside", "nothing"):
            assert not leads_outside(file, f"/{name}", [roots]), name
    with h5py.File(roots / "again.h5") as file:
        assert leads_outside(file, "/twice", [roots])
        assert not leads_outside(file, "/fine", [roots])


def ask(roots, what, path="/", name="links.h5", **more):
    headers, body = structure({"what": what, "file": str(roots / name), "path": path, **more}, [roots])
    assert headers["Content-Type"].startswith("application/")
    return body


def test_structure_of_a_file(roots, tmp_path):
    with h5py.File(roots / "links.h5", "w") as file:
        file["numbers"] = np.arange(12.0).reshape(3, 4)
        file["numbers"].attrs["units"] = "mm"
        file["outside"] = h5py.ExternalLink("../secret.h5", "/secret")
    children = {child["name"]: child for child in json.loads(ask(roots, "meta"))["children"]}
    assert children["numbers"]["kind"] == "dataset"
    assert children["numbers"]["shape"] == [3, 4]
    assert children["outside"]["kind"] == "external_link"  # named, not followed
    assert json.loads(ask(roots, "attr", "/numbers")) == {"units": "mm"}
    assert json.loads(ask(roots, "paths")) == ["/numbers", "/outside"]
    assert json.loads(ask(roots, "data", "/numbers", selection="1,1:3")) == [5.0, 6.0]
    assert np.frombuffer(ask(roots, "data", "/numbers", format="bin")).tolist() == list(range(12))
    assert json.loads(ask(roots, "stats", "/numbers"))["max"] == 11
    for what, path in (("data", "/outside"), ("data", "/numbers/../outside"), ("meta", "/outside"), ("data", "/none")):
        with pytest.raises(UnknownName):
            ask(roots, what, path)
    for selection in ("1,2,3", "a", "9", "::"):
        with pytest.raises(FirstlightError):
            ask(roots, "data", "/numbers" if selection != "::" else "/", selection=selection)


def test_structure_takes_no_more_than_a_screen_needs(roots):
    with h5py.File(roots / "links.h5", "w") as file:
        file.create_dataset("huge", (4096, 4096, 4096), "f4", chunks=(1, 64, 64))
    with pytest.raises(FirstlightError, match="bytes"):
        ask(roots, "data", "/huge")
    assert len(ask(roots, "data", "/huge", selection="7,0:2,0:2", format="bin")) == 16


def test_only_the_steps_that_a_step_needs_are_tried():
    steps = [
        {"use": "flat_field"},
        {"use": "minus_log"},
        {"use": "find_center"},
        {"use": "remove_rings", "inputs": ["minus_log"]},
        {"use": "fbp", "inputs": ["minus_log"], "center": 3},
    ]
    pipeline = load_job({"source": {"use": "phantom"}, "steps": steps}).pipeline
    assert [node.name for node in needed(pipeline, "fbp")] == ["flat_field", "minus_log", "fbp"]
    assert [node.name for node in needed(pipeline, "find_center")] == ["flat_field", "minus_log", "find_center"]
    with pytest.raises(FirstlightError, match="no step 'none'"):
        needed(pipeline, "none")


def test_diffraction_patterns_are_not_cut_to_one_row(roots):
    with h5py.File(roots / "patterns.cxi", "w") as file:
        file["entry_1/data_1/data"] = np.ones((5, 8, 8), np.uint16)
        file["entry_1/data_1/translation"] = np.zeros((5, 3))
    cut = {}
    for name, use in (("scan.h5", "dxfile"), ("patterns.cxi", "cxi")):
        source = {"use": use, "path": str(roots / name)}
        job = load_job({"source": source, "steps": [{"use": "mean"}]})
        cut[use] = _cut(job, job.pipeline.nodes, None)
    assert cut["cxi"] == (0, 1, 0, {})
    assert cut["dxfile"][:3] == (2, 4, 0)


def test_a_slice_of_frames_that_are_turned_far_is_that_of_the_whole_scan(roots):
    """The tilt axis of an electron microscope may lie along the rows: what becomes one row was a column before."""
    with h5py.File(write_scan(roots / "upright.h5")) as file:
        upright = file["exchange/data"][:, :1]
    with h5py.File(write_scan(roots / "lying.h5"), "r+") as file:
        across = np.repeat(np.rot90(upright, -1, axes=(1, 2)), COLUMNS, axis=2)
        for name, frames in (("data", across), ("data_dark", across[:2] * 0), ("data_white", across[:2] * 0 + 1000)):
            del file[f"exchange/{name}"]
            file[f"exchange/{name}"] = frames
    steps = [{"use": "flat_field"}, {"use": "rotate", "angle": 90}, {"use": "minus_log"}, {"use": "fbp", "center": 29}]
    job = {"source": {"use": "dxfile", "path": str(roots / "lying.h5")}, "steps": steps}
    tried = attempt({"job": job, "row": 5, "of": "fbp"}, [roots])
    picture, _ = _slice_of(tried, tried.of("fbp"))
    whole = start(replace(load_job(job), collect=True)).finished(60)["fbp.data"].data[5]
    np.testing.assert_allclose(picture, whole, atol=1e-5)
    assert picture.max() > 0.03


def test_pixels_of_a_slice_have_a_size_where_the_scan_tells_it():
    line = Coordinate(np.arange(4) * 0.65, "um")
    known = {"z": Coordinate(np.zeros(1), "um"), "y": line, "x": line}
    told = _scale(Result(np.zeros((1, 4, 4)), ("z", "y", "x"), "1/cm", coordinates=known), "fbp", ["y", "x"])
    assert (told.pixel_size, told.pixel_unit, told.unit) == ((0.65, 0.65), "um", "1/cm")
    lacking = _scale(
        Result(np.zeros((3, 4)), ("angle", "col"), coordinates={"col": line}), "minus_log", ["angle", "col"]
    )
    assert lacking.pixel_size is None


def test_from_a_file_to_its_result(desk, visit):
    root = desk.get("/files/roots").json()[0]
    assert root["name"] == "visit"
    entries = desk.get("/files/list", params={"path": root["path"]}).json()["entries"]
    scan = next(entry for entry in entries if entry["name"] == "scan.h5")
    assert scan["structure"]
    about = desk.post("/files/describe", json={"path": scan["path"]}).json()
    assert about["source"] == "dxfile"
    assert about["streams"][0]["sizes"] == [90, 4, COLUMNS]
    assert about["coords"][0] == {"name": "angle", "count": 90, "first": 0.0, "last": 178.0, "unit": "deg"}
    assert about["steps"] == ["flat_field", "minus_log", "find_center", "fbp"]
    job, screen = about["job"], {"width": 256, "height": 256}
    header, found = read_message(desk.post("/files/trial", json={"job": job, **screen}).content)
    assert (header["row"], header["rows"], header["margin"]) == (2, 4, 0)
    assert header["values"]["find_center.center"] == pytest.approx(CENTER, abs=0.3)
    # the disc: attenuation 0.05 per pixel within 8 pixels of (x, y) = (9, 4) from the axis, nothing elsewhere
    assert np.percentile(found, 98) == pytest.approx(0.05, rel=0.15)
    job["steps"][3]["center"] = CENTER + 6
    _, moved = read_message(desk.post("/files/trial", json={"job": job, **screen}).content)
    assert np.abs(moved - found).max() > 0.02
    header, sinogram = read_message(desk.post("/files/trial", json={"job": job, "of": "minus_log", **screen}).content)
    assert header["axes"] == ["angle", "col"]
    assert sinogram.max() == pytest.approx(0.8, rel=0.05)
    job["steps"][3]["center"] = {"from": "find_center"}
    run = desk.post("/runs", json={"job": job}).json()["id"]
    deadline = time.monotonic() + 120
    while (told := desk.get(f"/runs/{run}").json())["state"] not in ("done", "failed", "crashed"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert told["state"] == "done", told["error"]
    assert all(stage["done"] == stage["expected"] for stage in told["stages"])
    wanted = {"path": told["result"], "axis": 0, "at": 2, **screen}
    header, written = read_message(desk.post("/files/result", json=wanted).content)
    assert header["whole"] == {"axes": ["z", "y", "x"], "shape": [4, COLUMNS, COLUMNS], "axis": 0, "at": 2}
    assert np.allclose(written, found, atol=1e-5)
    header, _ = read_message(desk.post("/files/result", json={**wanted, "axis": 1, "at": None}).content)
    assert header["shape"] == [4, COLUMNS]


def test_a_sheet_of_centres_and_a_curve(desk, visit):
    job = desk.post("/files/describe", json={"path": str(visit / "scan.h5")}).json()["job"]
    centers = [CENTER - 1, CENTER, CENTER + 1]
    steps = [{**step, "center": {"sweep": centers}} if "center" in step else step for step in job["steps"]]
    screen = {"width": 256, "height": 256, "row": 1}
    seen = []
    for place in range(3):
        asked = {"job": {**job, "steps": steps}, "index": [place], **screen}
        header, found = read_message(desk.post("/files/trial", json=asked).content)
        assert header["stack"][0]["values"] == centers
        assert header["best"]["metric"] == "entropy"
        assert centers[header["best"]["place"]] == CENTER
        seen.append(found)
    assert np.abs(seen[0] - seen[1]).max() > 0
    iterative = [*steps[:2], {"use": "sirt", "center": CENTER, "iterations": 7}]
    asked = {"job": {**job, "steps": iterative, "sinks": []}, "of": "sirt.residual", **screen}
    header, curve = read_message(desk.post("/files/trial", json=asked).content)
    assert header["axes"] == ["iteration"]
    assert curve.shape == (7,)
    assert curve[-1] < curve[0]
    assert header["outputs"] == ["sirt.volume", "sirt.residual"]
    seconds = header["seconds"]
    header, _ = read_message(desk.post("/files/trial", json={**asked, "of": "sirt.volume"}).content)
    assert header["axes"] == ["y", "x"]
    assert header["seconds"] == seconds  # the same trial: nothing was computed again
    asked["of"] = "sirt.nothing"
    assert "gave nothing" in desk.post("/files/trial", json=asked).text


def test_what_is_refused(desk, visit):
    outside = str(visit.parent / "secret.h5")
    for path in (outside, str(visit / ".." / "secret.h5"), str(visit / "none.h5")):
        assert desk.get("/files/list", params={"path": path}).status_code == 404
        assert desk.post("/files/describe", json={"path": path}).status_code == 404
        assert desk.post("/files/result", json={"path": path}).status_code == 404
        assert desk.get(f"/files/h5grove/meta?file={quote(path)}&path=/").status_code == 404
    good = {"use": "dxfile", "path": str(visit / "scan.h5")}
    for job, word in (
        ({"source": {"use": "dxfile", "path": outside}, "steps": [{"use": "fbp"}]}, "outside the folders"),
        ({"source": good, "steps": [{"use": "call", "function": "os.getcwd", "axes": "->"}]}, "runs code"),
        ({"source": good, "steps": [{"use": "fpb"}]}, "fpb"),
        ({"source": good, "steps": "no list"}, "steps"),
    ):
        answer = desk.post("/files/trial", json={"job": job})
        assert answer.status_code == 422
        assert word in answer.text
    (visit / "empty.h5").write_bytes(b"")
    (visit / "text.h5").write_text("this is no HDF5 file")
    for name in ("empty.h5", "text.h5"):
        assert desk.post("/files/describe", json={"path": str(visit / name)}).status_code == 422
        assert desk.post("/files/result", json={"path": str(visit / name)}).status_code == 422
        assert desk.get(f"/files/h5grove/meta?file={quote(str(visit / name))}").status_code == 422


@pytest.mark.parametrize("behaviour", ["pass", "import time; time.sleep(60)"], ids=["dies", "hangs"])
def test_a_process_that_gives_no_answer_is_ended(tmp_path, behaviour):
    clerk = Clerk([tmp_path], (sys.executable, "-c", behaviour), patience=1.5)
    with pytest.raises(FirstlightError, match=r"without an answer|no answer within"):
        clerk.ask("describe", {"path": os.fspath(tmp_path)})
    assert clerk._process is None
    clerk.close()


def test_the_pipes_of_a_process_that_died_between_two_questions_are_closed(tmp_path):
    clerk = Clerk([tmp_path], (sys.executable, "-c", "pass"), patience=1.5)
    first = clerk._ready()
    first.wait(20)
    assert clerk._ready() is not first
    assert first.stdin.closed
    assert first.stdout.closed
    clerk.close()


def test_the_service_ends_while_a_question_is_open(tmp_path):
    clerk = Clerk([tmp_path], (sys.executable, "-c", "import time; time.sleep(60)"), patience=50)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(clerk.ask, "describe", {"path": os.fspath(tmp_path)})
        while clerk._process is None:
            time.sleep(0.01)
        clerk.close()
        with pytest.raises(FirstlightError, match=r"without an answer|is ending"):
            asked.result(20)
    with pytest.raises(FirstlightError, match="is ending"):
        clerk.ask("describe", {"path": os.fspath(tmp_path)})
