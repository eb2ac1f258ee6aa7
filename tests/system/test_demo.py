"""The demo as a user starts it: simulator, run and service together, ended by time or by Ctrl-C."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import httpx
import psutil
import pytest

from firstlight.jobs.store import Store
from firstlight.jobs.supervise import Supervisor

pytest.importorskip("p4p", reason="the demo needs the extra 'epics'")
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def demo(tmp_path):
    """Start a demo; its address and its process."""
    started = []
    environment = {**os.environ, "FIRSTLIGHT_STATE": str(tmp_path / "state")}

    def start(*arguments):
        command = [
            sys.executable,
            "-m",
            "firstlight.cli.main",
            "demo",
            "--no-browser",
            "--port",
            "0",
            *map(str, arguments),
        ]
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
        started.append(process)
        for line in process.stderr:
            found = re.search(r"(http://127\.0\.0\.1:\d+)/runs/(\S+)", line)
            if found:
                return process, found[1], found[2]
        pytest.fail(f"the demo did not start: {process.wait()}")

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stderr.close()
    supervisor = Supervisor(Store(tmp_path / "state"))
    for entry in supervisor.entries():
        supervisor.run(entry.id).kill()
    supervisor.close()


def check_report(path):
    report = json.loads(path.read_text())
    assert report["expected"] == report["done"] > 0
    assert report["lost"] == report["dropped"] == report["waiting"] == 0
    return report


@pytest.mark.slow
def test_ctrl_c_ends_it_in_order(demo, tmp_path):
    process, address, run = demo("--rate", 30, "--report", "r.json")
    deadline = time.monotonic() + 30
    with httpx.Client(base_url=f"{address}/api/v1", timeout=30) as http:
        while http.get(f"/runs/{run}").json()["counts"]["done"] < 60:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        detail = http.get(f"/runs/{run}").json()
        assert {view["name"] for view in detail["views"]} >= {"slices.xy", "slices.xz", "slices.yz"}
        while http.get(f"/runs/{run}/views/slices.xy.png").status_code != 200:
            assert time.monotonic() < deadline, http.get(f"/runs/{run}/log").json()
            time.sleep(0.1)
        moved = http.patch(f"/runs/{run}/parameters", json={"slices": {"z": 100}})
        assert moved.status_code == 200, moved.text
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(60) == 0, rest
    report = check_report(tmp_path / "r.json")
    assert report["changes"][0]["parameter"] == "z"


def test_the_tooth_is_streamed_without_a_loss(demo, tooth, tmp_path):
    process, *_ = demo(tooth, "--rate", 50, "--seconds", 6, "--report", "r.json")
    rest = process.stderr.read()
    assert process.wait(90) == 0, rest
    report = check_report(tmp_path / "r.json")
    assert report["expected"] >= 200  # more than the 181 frames of the file: it goes round again
    assert report["values"]["find_center.center"] == pytest.approx(296.0, abs=0.5)


@pytest.mark.slow
def test_a_killed_demo_leaves_no_simulator(demo, tmp_path):
    process, *_ = demo("--rate", 10)
    children = psutil.Process(process.pid).children()
    simulator = next(child for child in children if "sim" in child.cmdline())
    process.kill()
    process.wait()
    simulator.wait(20)
    assert not simulator.is_running()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scan", "image"),
    [("stem", "patterns.image"), ("stem-merlin", "patterns.image"), ("ptychography", "ptychography.phase")],
)
def test_the_other_scans_are_shown_to_their_end(demo, tmp_path, scan, image):
    process, address, run = demo("--scan", scan, "--rate", 0, "--no-loop", "--report", "r.json")
    deadline = time.monotonic() + 60
    while image not in {each["name"] for each in httpx.get(f"{address}/api/v1/runs/{run}", timeout=60).json()["views"]}:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    rest = process.stderr.read()
    assert process.wait(120) == 0, rest
    report = check_report(tmp_path / "r.json")
    assert report["done"] == {"stem": 4096, "stem-merlin": 4096, "ptychography": 256}[scan]
