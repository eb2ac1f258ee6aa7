"""The whole loop as people see it: the service as a process, a real Tiled server that dies on the way, the page in a browser."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import numpy as np
import pytest

from firstlight.jobs.store import Store
from firstlight.jobs.supervise import Supervisor

from .test_browser_scan import done, eventually, page, screenshot
from .test_holoptycho import Beamline, free_port, with_network
from .test_ptychography_loop import FAULTS, UPSAMPLE, demand_foreseen, ended, image, placed, seen

__all__ = ["page"]  # a fixture
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.heavy, pytest.mark.timeout(600)]
SCAN = {"window": 64, "scan_y": 12, "scan_x": 12, "step": 6.0}
FRAMES = 144
CONFIG = {"alg_flag": "rPIE", "alg2_flag": "ML_grad", "alg_percentage": "0.7"}
TILED = """
import sys, time
from tiled.server.simple import SimpleTiledServer
folder, port, key = sys.argv[1:]
import tiled.catalog, tiled.config, tiled.server.app, tiled.server.logging_config, tiled.server.webhook_router
print("ready", flush=True)
sys.stdin.readline()
with SimpleTiledServer(directory=folder, port=int(port), api_key=key):
    while True:
        time.sleep(1)
"""


class Catalogue:
    """A real Tiled server in a process of its own, which can be killed and come back with what it holds."""

    def __init__(self, folder):
        self.folder, self.port, self.key = folder, free_port(), "geheim"
        self.url = f"http://127.0.0.1:{self.port}/api/v1"
        # to import Tiled takes a busy machine half a minute: the one that comes back has done that
        self.processes = [self._waiting() for _ in range(2)]
        for process in self.processes:
            assert process.stdout.readline() == "ready\n"

    def _waiting(self):
        command = [sys.executable, "-c", TILED, str(self.folder), str(self.port), self.key]
        piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(command, **piped, text=True)

    def open(self):
        self.processes[0].stdin.write("\n")
        self.processes[0].stdin.flush()
        eventually(self.there, "Tiled answers", 120)

    def there(self):
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self):
        process = self.processes.pop(0)
        process.kill()
        process.communicate(timeout=20)

    @contextmanager
    def runs(self):
        """The containers of all runs, by number of the scan."""
        from tiled.client import from_uri

        client = from_uri(self.url, api_key=self.key)
        try:
            where = client
            for name in ("hxn", "processed", "holoptycho"):
                where = where[name] if where is not None and name in where else None
            yield {} if where is None else {run.metadata["scan_num"]: run for run in where.values()}
        finally:
            client.context.http_client.close()

    def begun(self, scan):
        with self.runs() as found:
            return scan in found and "positions_um" in found[scan]


class Served(Beamline):
    """The service as a process, as a beamline starts it."""

    def open(self):
        port = free_port()
        words = ["serve", "--holoptycho", "--port", str(port), "--root", str(self.folder)]
        command = "from firstlight.cli.entry import main; main()"
        self.process = subprocess.Popen([sys.executable, "-c", command, *words], cwd=self.folder)
        self.url = f"http://127.0.0.1:{port}"
        self.supervisor = Supervisor(Store(self.folder / "state"))
        eventually(self.there, "the service answers")

    def there(self):
        assert self.process.poll() is None
        try:
            return httpx.get(f"{self.url}/status", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def shut(self):
        for entry in self.supervisor.entries():
            self.supervisor.run(entry.id).kill()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        self.supervisor.close()


@pytest.fixture
def catalogue(tmp_path, monkeypatch):
    pytest.importorskip("tiled.server.simple", reason="the extra 'tiled' is not installed")
    made = Catalogue(tmp_path / "tiled")
    made.open()
    monkeypatch.setenv("TILED_BASE_URL", made.url)
    monkeypatch.setenv("TILED_API_KEY", made.key)
    yield made
    while made.processes:
        made.kill()


@pytest.fixture
def served(catalogue, tmp_path, monkeypatch):
    made = Served(tmp_path, monkeypatch)
    yield made
    made.shut()


@pytest.fixture
def playing(served):
    """Starts a replay in the background; the run that it started, and what comes out of it."""
    with ThreadPoolExecutor(1) as pool:

        def start(**given):
            told = {}
            future = pool.submit(served.replay, told, parameters=SCAN, **given)
            eventually(lambda: told or future.done(), "the run listens")
            assert told, future.result()
            return told["run"], future

        yield start


def count(page, name):
    return int(page.get_by_test_id(f"count-{name}").get_attribute("data-count"))


def test_the_loop_is_seen(page, playing, served, catalogue):
    with_network(served)
    run, future = playing(scan_id="1", rate=8, n_iterations=40, mode="both", config=CONFIG, **FAULTS)
    page.goto(f"{served.url}/runs/{run}")
    for name in ("ptychography.phase", "ptychography_network.phase"):
        page.wait_for_selector(f'[data-testid="view-{name}"][data-version]')
    changes = {"ptychography": {"iterations": 60, "new_first": 1}}
    answer = httpx.patch(f"{served.url}/api/v1/runs/{run}/parameters", json=changes, timeout=30)
    assert answer.status_code == 200, answer.text
    eventually(lambda: catalogue.begun("1"), "the first positions in Tiled", 120)
    catalogue.kill()
    done(page, 60)
    screenshot(page, "loop-half.png")
    catalogue.open()
    assert future.result(120)[0]["data"]["sent"] == FRAMES - 3
    one, counts = ended(served, "1")
    assert one.id == run
    demand_foreseen(counts, FRAMES)
    demand_foreseen(one.status().consumers["ptychography_network"], FRAMES)
    told = {(change["parameter"], change["new"]) for change in one.report()["changes"]}
    assert told == {("iterations", 60), ("new_first", 1)}
    assert len(one.report()["values"]["ptychography.error"]) >= 60
    page.locator("[data-testid=state]:has-text('Done')").wait_for()
    for name in ("expected", "done", "lost", "excluded"):
        assert count(page, name) == getattr(counts, name)
    screenshot(page, "loop.png")
    with catalogue.runs() as runs:
        check_first(runs["1"], served.folder)
    stopped_and_killed(page, playing, served)
    check_later(playing, served, catalogue)


def check_first(tree, folder):
    """Nothing is missing though the server was dead for a while, and what never came is marked as such."""
    assert (tree.metadata["complete"], list(tree.metadata["lacking"])) == (True, [])
    demand_same_image(tree, folder, "1")
    assert np.isfinite(tree["vit"]["mosaic"].read()).mean() > 0.3, "patches of the network lie side by side"
    places, frames = tree["positions_um"].read(), tree["diffraction"]["dp"].read()
    assert set(np.flatnonzero(np.isfinite(places).all(axis=1))) == placed(FRAMES)
    assert set(np.flatnonzero(frames.any(axis=(1, 2)))) == seen(FRAMES)


def demand_same_image(tree, folder, scan):
    ours, theirs = image(folder, scan), tree["final"]["object"].read()
    np.testing.assert_allclose(theirs[0], np.abs(ours).T, rtol=1e-6)
    np.testing.assert_allclose(theirs[1], np.angle(ours).T, atol=1e-5)


def stopped_and_killed(page, playing, served):
    """The second scan is stopped half-way, the process of the third is killed: service and page say so."""
    run, future = playing(scan_id="2", rate=25, n_iterations=40)
    page.goto(f"{served.url}/runs/{run}")
    done(page, 20)
    assert "Stop requested" in served.hp("stop")
    assert (served.status()["status"], served.status()["run"]) == ("stopped", run)
    page.locator("[data-testid=state]:has-text('Stopped')").wait_for()
    future.result(60)

    run, future = playing(scan_id="3", rate=25, n_iterations=40)
    page.goto(f"{served.url}/runs/{run}")
    done(page, 20)
    os.kill(served.supervisor.run(run).entry().pid, signal.SIGKILL)
    assert "SIGKILL" in served.until("error")["error"]
    page.get_by_test_id("state-banner").filter(has_text="crashed").wait_for()
    future.result(60)


def check_later(playing, served, catalogue):
    """The next scan knows nothing of what was before it."""
    _, future = playing(scan_id="4", n_iterations=40, upsample=UPSAMPLE)
    future.result(60)
    _, counts = ended(served, "4")
    assert (counts.expected, counts.done) == (FRAMES, FRAMES)
    with catalogue.runs() as runs:
        whole = {scan: bool(run.metadata["complete"]) for scan, run in runs.items()}
        # the third was perhaps killed before it had written anything
        assert whole | {"3": False} == {"1": True, "2": False, "3": False, "4": True}
        assert np.isfinite(runs["4"]["positions_um"].read()).all()
        assert runs["4"]["diffraction"]["dp"].read().any(axis=(1, 2)).all()
        demand_same_image(runs["4"], served.folder, "4")
