"""The service as a process: its loop under load, its death, and the end of the machine's patience."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from firstlight.jobs.store import Store
from firstlight.jobs.supervise import Supervisor

PROCESS = Path(__file__).parents[1] / "faces" / "service_process.py"
LONGEST_STALL_MS = 20.0
pytestmark = [pytest.mark.alone, pytest.mark.timeout(120)]


class Service:
    """A service process and a client of it."""

    def __init__(self, folder):
        self.process = subprocess.Popen([sys.executable, str(PROCESS), str(folder)], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}/api/v1", timeout=30)

    def start(self, **fake):
        answer = self.http.post("/runs", json={"job": {"name": "made up", "fake": fake}})
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def end(self, number=signal.SIGKILL):
        self.http.close()
        self.process.send_signal(number)
        self.process.wait(60)
        self.process.stdout.close()


def end_runs(folder):
    supervisor = Supervisor(Store(folder))
    for entry in supervisor.entries():
        supervisor.run(entry.id).kill()
    supervisor.close()


@pytest.fixture
def folder(tmp_path):
    yield tmp_path
    end_runs(tmp_path)


def watch(service, run, number, ended, images, problems):
    try:
        address = f"ws://127.0.0.1:{service.port}/api/v1/runs/{run}/views/slices.xy"
        with connect(address, max_size=2**26, compression=None) as socket:
            screen = {"token": None, "width": 1024 if number % 2 else 700, "height": 1024, "region": None}
            socket.send(json.dumps(screen))
            while not ended.is_set():
                message = socket.recv(timeout=20)
                size = int.from_bytes(message[:4], "little")
                images[number] += 1
                socket.send(json.dumps({"ack": json.loads(message[4 : 4 + size])["version"]}))
    except Exception as error:
        problems.append(error)


def call(service, run, ended, problems):
    try:
        with httpx.Client(base_url=service.http.base_url, timeout=30) as http:
            while not ended.is_set():
                http.get(f"/runs/{run}").raise_for_status()
                http.get("/runs").raise_for_status()
                for ending in ("png", "tiff", "npy"):
                    http.get(f"/runs/{run}/views/slices.xy.{ending}").raise_for_status()
    except Exception as error:
        problems.append(error)


def stall_under_load(folder, seconds=4):
    """Four screens on 2048² float images, and downloads and lists at the same time: the longest stall that may be ours."""
    service = Service(folder)
    try:
        run = service.start(frames=None, rate=20, size=(2048, 2048))
        ended, images, problems = threading.Event(), [0] * 4, []
        threads = [threading.Thread(target=watch, args=(service, run, n, ended, images, problems)) for n in range(4)]
        threads.append(threading.Thread(target=call, args=(service, run, ended, problems)))
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        stall = service.http.get("/health").json()["loop_stall_ms"]
        ended.set()
        for thread in threads:
            thread.join()
        assert not problems
        assert min(images) > 5
        return stall["own_max_last_minute"]
    finally:
        service.end()
        end_runs(folder)


def test_the_loop_never_stalls_for_longer_than_20_ms(folder):
    """What we do on the loop, we do at every image: it is there in each of the tries, a busy neighbour is not."""
    stalls = []
    while len(stalls) < 4 and min(stalls, default=LONGEST_STALL_MS) >= LONGEST_STALL_MS:
        stalls.append(stall_under_load(folder / str(len(stalls))))
    assert min(stalls) < LONGEST_STALL_MS, stalls


def test_the_run_goes_on_when_the_service_is_killed_and_is_found_again(folder):
    service = Service(folder)
    run = service.start(frames=250, rate=500, hold_at=200)
    service.end()
    assert Store(folder).folder(run).entry().state == "running"
    heir = Service(folder)
    try:
        detail = heir.http.get(f"/runs/{run}").json()
        assert detail["state"] == "running"
        before = detail["counts"]["done"]
        assert before > 0
        assert heir.http.patch(f"/runs/{run}/parameters", json={"slices": {"z": 8}}).status_code == 200
        deadline = time.monotonic() + 60
        while (detail := heir.http.get(f"/runs/{run}").json())["state"] == "running" and time.monotonic() < deadline:
            time.sleep(0.1)
        assert detail["state"] == "done"
        assert detail["counts"]["done"] == detail["counts"]["expected"] == 250
        assert heir.http.get(f"/runs/{run}/log").json()["lines"][-1]["text"] == "The run is done."
        assert heir.http.get(f"/runs/{run}/views/slices.xy.npy").status_code == 200
    finally:
        heir.end()


def test_a_run_that_dies_while_there_is_no_service_is_told_by_the_next(folder):
    service = Service(folder)
    run = service.start(frames=None)
    service.end()
    os.kill(Store(folder).folder(run).entry().pid, signal.SIGKILL)
    heir = Service(folder)
    try:
        detail = heir.http.get(f"/runs/{run}").json()
        assert detail["state"] == "crashed"
        assert "left no reason" in detail["error"]
    finally:
        heir.end()
