"""Streaming ptychography as at HXN: the replay starts the service's run, streams over ZeroMQ, and the image comes out."""

import json
import os
import shutil
import signal
import socket
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from firstlight.cli.main import app
from firstlight.compat.holoptycho.routes import routes
from firstlight.connectors.hxn.client import HoloptychoError, ask
from firstlight.connectors.hxn.sim import HxnSimulator
from firstlight.connectors.phantom.ptychography import PhantomPtychographySource
from firstlight.faces.rest.serve import ServiceThread
from firstlight.faces.rest.settings import Settings
from firstlight.jobs.store import Store
from firstlight.jobs.supervise import Supervisor
from firstlight.operators.learn import ptychography_network

from ..compat.holoptycho_jobs import GOOD

LEARNED = {"window": 64, "scan_y": 7, "scan_x": 7, "step": 6.0}
SMALL = {"window": 32, "scan_y": 9, "scan_x": 9, "step": 4.0}
ENDED = ("stopped", "finished", "error")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def models_beside(folder):
    """The folder with networks lies outside that of the results, as at a beamline."""
    return folder.parent / f"{folder.name}-models"


class Beamline:
    """The service with holoptycho's routes, and its command line."""

    def __init__(self, folder, monkeypatch, **settings):
        self.eiger, self.panda = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
        for name, value in {
            "SERVER_STREAM_SOURCE": self.eiger,
            "PANDA_STREAM_SOURCE": self.panda,
            "ENGINE_CACHE_DIR": str(models_beside(folder)),
            "FIRSTLIGHT_STATE": str(folder / "state"),
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("HOLOPTYCHO_DB_PATH", raising=False)
        self.folder, self.settings = folder, Settings(port=0, roots=(folder,), **settings)
        self.open()

    def open(self):
        self.supervisor = Supervisor(Store(self.folder / "state"))
        further = [routes(self.supervisor, self.settings.confined_to)]
        self.thread = ServiceThread(self.settings, self.supervisor, further=further)
        self.url = f"http://127.0.0.1:{self.thread.port}"

    def hp(self, *words, code=0):
        found = CliRunner().invoke(app, ["hp", "--url", self.url, *words])
        assert found.exit_code == code, found.output
        return found.output

    def status(self):
        return json.loads(self.hp("status"))

    def until(self, *states, timeout=90):
        deadline = time.monotonic() + timeout
        while (found := self.status())["status"] not in states:
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        return found

    def replay(self, told=None, **given):
        """Play a scan to its end; the service is told to run by the replay itself."""
        told, stop = {} if told is None else told, threading.Event()
        simulator = HxnSimulator(
            hp_start=True,
            hp_url=self.url,
            eiger_endpoint=self.eiger,
            panda_endpoint=self.panda,
            linger=0.5,
            **{"parameters": SMALL, **given},
        )
        watchdog = threading.Timer(180, stop.set)
        watchdog.start()
        try:
            return simulator.run(stop, told.update), told
        finally:
            watchdog.cancel()

    def shut(self):
        self.thread.stop()
        for entry in self.supervisor.entries():
            self.supervisor.run(entry.id).kill()
        self.supervisor.close()


@pytest.fixture
def beamline(tmp_path, monkeypatch):
    made = Beamline(tmp_path, monkeypatch)
    yield made
    made.shut()


def test_a_scan_is_replayed_and_reconstructed(beamline):
    """As fast as it can be played; two in a row, with faults: test_ptychography_loop."""
    truth = PhantomPtychographySource(**SMALL).truth()
    noise = ((np.sqrt(truth.expected) - np.sqrt(truth.counts)) ** 2).sum() / truth.counts.sum()
    sent, told = beamline.replay(scan_id="411993", n_iterations=60, upsample=2)
    assert sent["data"]["sent"] == 81
    found = beamline.until(*ENDED)
    assert (found["status"], found["error"], found["run"]) == ("finished", None, told["run"])
    run = beamline.supervisor.run(found["run"])
    counts = run.status().consumers["ptychography"]
    assert (counts.done, counts.lost, counts.waiting, counts.conserved) == (81, 0, 0, True)
    (path,) = beamline.folder.glob("scan_411993_*_object.h5")
    with h5py.File(path) as file:
        assert file["entry/data/data"].dtype.kind == "c"
    assert run.report()["values"]["ptychography.error"][-1] < 4 * noise
    assert json.loads(beamline.hp("config", "show"))["scan_num"] == "411993"
    assert "running" in beamline.hp("logs", "-n", "50")
    assert json.loads(beamline.hp("logs", "clear"))["detail"] == "Logs cleared"
    assert beamline.hp("logs").strip() == ""


def test_start_stop_restart_and_a_killed_run(beamline):
    beamline.hp("stop", code=1)
    assert "no config" in beamline.hp("start", code=1).lower()
    started = json.loads(beamline.hp("start", json.dumps(GOOD)))
    assert (started["status"], started["pipeline_ready"]) == ("running", True)
    assert started["last_config"] == GOOD
    assert "already running" in beamline.hp("start", code=1)
    assert "Stop requested" in beamline.hp("stop")
    assert beamline.status()["status"] == "stopped"

    again = json.loads(beamline.hp("restart"))  # with the config that was kept; holoptycho refuses after a stop
    assert again["status"] == "running"
    third = json.loads(beamline.hp("restart"))
    assert third["run"] != again["run"]
    os.kill(beamline.supervisor.run(third["run"]).entry().pid, signal.SIGKILL)
    killed = beamline.until("error")
    assert "SIGKILL" in killed["error"]
    assert any("SIGKILL" in line for line in ask(beamline.url, "/logs")["lines"])

    beamline.thread.stop()  # the service may die and come back: it finds the run that it left
    beamline.hp("status", code=1)
    beamline.open()
    assert beamline.status()["run"] == third["run"]
    assert json.loads(beamline.hp("start"))["status"] == "running"


def test_the_service_starts_no_run_that_can_not_be(beamline):
    for config, code, says in (
        ({**GOOD, "nx": "x"}, 400, "nx"),
        ({**GOOD, "working_directory": "/etc"}, 400, "outside the folders"),
        ({**GOOD, "client_secret_key": "geheim"}, 400, "secret"),
    ):
        with pytest.raises(HoloptychoError, match=says) as refused:
            ask(beamline.url, "/run", {"config": config}, post=True)
        assert refused.value.status == code
        assert "geheim" not in str(refused.value)
    with pytest.raises(HoloptychoError) as refused:
        ask(beamline.url, "/run", {"config": 3}, post=True)
    assert refused.value.status == 422
    kept = b"".join(path.read_bytes() for path in (beamline.folder / "state").rglob("*") if path.is_file())
    assert b"geheim" not in kept


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_the_tree_in_a_real_tiled_server_and_a_server_that_is_gone(tmp_path, monkeypatch):
    simple = pytest.importorskip("tiled.server.simple", reason="the extra 'tiled' is not installed")
    from tiled.client import from_uri

    with simple.SimpleTiledServer(directory=str(tmp_path / "tiled")) as server:
        url, _, key = server.uri.partition("?api_key=")
        monkeypatch.setenv("TILED_BASE_URL", url)
        monkeypatch.setenv("TILED_API_KEY", key)
        beamline = Beamline(tmp_path, monkeypatch)
        try:
            with_network(beamline)
            # where the light lies is found
            beamline.replay(
                scan_id="411993",
                rate=20,
                n_iterations=60,
                mode="both",
                parameters=LEARNED,
                config={"auto_center_dp": "True", "vit_batch_writes": "True"},
            )
            found = beamline.until(*ENDED, timeout=150)
            assert (found["status"], found["error"]) == ("finished", None)
            client = from_uri(server.uri)
            check_tree(client["hxn"]["processed"]["holoptycho"].values().first(), beamline.folder)
            client.context.http_client.close()
            kept = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
            assert key.encode() not in kept, "the key is in no record"

            monkeypatch.setenv("TILED_BASE_URL", "http://127.0.0.1:9")
            beamline.thread.stop()
            beamline.open()
            beamline.replay(scan_id="411994", n_iterations=20, mode="both", parameters=LEARNED)
            found = beamline.until(*ENDED, timeout=150)
            assert (found["status"], found["error"]) == ("finished", None)
            assert "rows of diffraction/dp" in beamline.hp("logs")
        finally:
            beamline.shut()


def with_network(beamline):
    """Choose the network that comes with us: it was trained on such patterns."""
    folder = models_beside(beamline.folder)
    folder.mkdir()
    shutil.copy(Path(ptychography_network.__file__).parent / "networks" / "phantom_v2.onnx", folder)
    beamline.hp("model", "set", "phantom")
    deadline = time.monotonic() + 60
    while beamline.status()["current_model_name"] != "phantom":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def check_tree(run, folder):
    """Shapes, types and content of the documented tree, beside the HDF5 files of the same run."""
    truth = PhantomPtychographySource(**LEARNED)
    images = {}
    for name in ("object", "network"):
        (path,) = folder.glob(f"scan_411993_*_{name}.h5")
        with h5py.File(path) as file:
            images[name] = file["entry/data/data"][()]
    image, patched = images["object"], images["network"]
    assert sorted(run) == ["diffraction", "final", "live", "positions_um", "vit"]
    np.testing.assert_allclose(run["final"]["object"].read()[0], np.abs(image).T, rtol=1e-6)
    np.testing.assert_allclose(run["final"]["object"].read()[1], np.angle(image).T, atol=1e-5)
    assert run["final"]["probe"].shape == (2, 64, 64)
    live = run["live"]["object"].read()
    assert (live.shape, live.dtype) == ((2, *image.T.shape), np.float32)
    lit = np.isfinite(live).all(axis=0)
    assert 0.3 < lit.mean() < 1, "where no light was, there is no number"
    np.testing.assert_allclose(live[0][lit], np.abs(image).T[lit], rtol=1e-5)
    assert run["live"]["probe"].metadata["iteration"] >= 60 <= run["live"]["object"].metadata["iteration"]
    frames = truth.read({"position": slice(0, 49)})
    np.testing.assert_array_equal(run["diffraction"]["dp"].read()[:49], np.minimum(np.sqrt(frames), 255).astype("u1"))
    places = truth.read({"position": slice(0, 49)}, "positions")
    np.testing.assert_allclose(run["positions_um"].read(), places, rtol=1e-6, atol=1e-9)
    for column, name in enumerate(("x", "y")):  # the slow axis is called x
        found = run["diffraction"][f"probe_position_{name}_m"].read()
        np.testing.assert_allclose(found, places[:, column] * 1e-6, rtol=1e-6, atol=1e-15)
    check_rounds(run["final"])
    check_network(run, patched, frames)
    told = run.metadata
    assert (told["scan_num"], told["complete"], list(told["lacking"])) == ("411993", True, [])
    assert (told["dp_frames_written"], told["num_mosaics"], told["fine_tunable"]) == (49, 1, True)
    assert list(told["mosaic_stack_shape"]) == [1024, *patched.T.shape]
    assert (told["model_name"], told["model_version"].isdigit()) == ("phantom", True)
    assert [list(corner) for corner in told["patch_crop_box"]] == [[0, 0], [64, 64]]
    (top, left), (bottom, right) = told["segmentation_box"]
    assert (0 <= top < bottom <= 64, 0 <= left < right <= 64) == (True, True)
    assert [spec.name for spec in run.specs] == ["synaps_project"]


def check_rounds(final):
    """Each iteration's error, its end and its number of points; more points came while it went on."""
    errors, times, points = (final[name].read() for name in ("error", "timestamps", "num_points"))
    assert len(errors) == len(times) == len(points) >= 60
    assert (np.diff(times) >= 0).all()
    assert time.time() - 600 < times[0] < times[-1] < time.time()
    assert (np.diff(points) >= 0).all()
    assert (points[-1], points[0] < 49) == (49, True)


def check_network(run, image, frames):
    """What the network made of it: the mosaic, kept as that of a finished scan; its patches; and where the light is."""
    mosaic = run["vit"]["mosaic"]
    seen = np.isfinite(mosaic.read())
    assert 0.3 < seen.mean() <= 1
    np.testing.assert_allclose(mosaic.read()[seen], np.angle(image).T[seen], atol=1e-5)
    np.testing.assert_allclose(run["vit"]["mosaic_amp"].read()[seen], np.abs(image).T[seen], rtol=1e-5)
    assert (mosaic.metadata["batch_num"] >= 1, mosaic.metadata["pixel_size_m"] > 0) == (True, True)
    assert len(mosaic.metadata["canvas_origin_um"]) == 2
    stack = run["vit"]["mosaic_stack"]
    assert stack.shape == (1024, *mosaic.shape)
    np.testing.assert_array_equal(stack[0], mosaic.read())
    inference = run["diffraction"]["inference"].read()
    assert (inference.shape[1:], inference.dtype) == ((2, 64, 64), np.float32)
    assert np.isfinite(inference[:49]).all()
    assert np.ptp(inference[:49, 0]) > 0
    batch = run["vit"]["batches"]["000000"]
    np.testing.assert_array_equal(batch["pred"].read(), inference[batch["indices"].read()])
    assert sorted(batch["indices"].read()) == list(range(49))
    assert run["vit"]["pred_latest"].shape == (49, 2, 64, 64)
    mask = run["vit"]["segmentation_mask"].read()
    assert (mask.shape, mask.dtype) == ((64, 64), np.uint8)
    mean = frames.mean(axis=0)
    assert mean[mask == 1].sum() > 0.8 * mean.sum(), "the light of the zone plate"
