"""A real service on loopback, with made-up runs in real processes."""

import sys
import time
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from firstlight.faces.rest.serve import ServiceThread
from firstlight.faces.rest.settings import Settings
from firstlight.jobs.crash import reap
from firstlight.jobs.store import Store
from firstlight.jobs.supervise import Supervisor

FAKE = Path(__file__).parents[1] / "jobs" / "fake_process.py"
TOKEN = "a token that is long enough"


class Service:
    """The service, and clients of it."""

    def __init__(self, folder, **settings):
        self.supervisor = Supervisor(Store(folder / "state"), process=(sys.executable, str(FAKE)))
        self.thread = ServiceThread(Settings(port=0, **settings), self.supervisor)
        self.stalls = self.thread.app.state.stalls
        self.address = f"127.0.0.1:{self.thread.port}"
        self.http = httpx.Client(base_url=f"http://{self.address}/api/v1", timeout=60)

    def start(self, **fake):
        answer = self.http.post("/runs", json={"job": {"name": "made up", "fake": fake}})
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def socket(self, path, **options):
        return connect(f"ws://{self.address}/api/v1{path}", max_size=2**26, compression=None, **options)

    def until(self, run, condition, timeout=50):
        deadline = time.monotonic() + timeout
        while not condition(found := self.http.get(f"/runs/{run}").json()):
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
        return found

    def wait_for(self, run, state):
        return self.until(run, lambda found: found["state"] == state)

    def close(self):
        self.http.close()
        self.thread.stop()
        for entry in self.supervisor.entries():
            self.supervisor.run(entry.id).kill()
            while not self.supervisor.run(entry.id).entry().over:
                time.sleep(0.01)
            reap(entry.id, 60)
        self.supervisor.close()


@pytest.fixture
def make_service(tmp_path):
    """Make services with settings of their own."""
    made = []

    def make(**settings):
        made.append(Service(tmp_path, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def service(tmp_path):
    made = Service(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    """A service that many tests ask, and a run that goes on meanwhile."""
    made = Service(tmp_path_factory.mktemp("endless"))
    made.run = made.start(frames=None)
    yield made
    made.close()


@pytest.fixture
def guarded(tmp_path):
    made = Service(tmp_path, token=TOKEN)
    yield made
    made.close()
