"""What starts the service on clusters: scripts that shells accept, and a service that really comes and goes."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
SCRIPTS = ("start.sh", "firstlight.sbatch")
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_shell_accepts_it(name):
    subprocess.run(["bash", "-n", str(DEPLOY / name)], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", str(DEPLOY / name)], check=True)


def test_the_container_takes_the_locked_versions_and_what_it_copies_is_there():
    text = (DEPLOY / "Containerfile").read_text()
    assert "--require-hashes -r requirements/install.txt" in text
    assert (DEPLOY.parent / "requirements" / "install.txt").is_file()
    assert "USER firstlight" in text, "not as root"


def test_the_image_is_made_of_the_sources_alone():
    """What git passes over (environments, builds, traces of tools) does not go into it either, nor does the history."""
    root = DEPLOY.parent
    left_out = (root / ".dockerignore").read_text().split()
    folders = [line.strip("/") for line in (root / ".gitignore").read_text().split() if line.endswith("/")]
    sources = ("src/", "benchmarks/")  # built pages are checked by their hash
    missing = [one for one in folders if not {one, f"**/{one}"} & {*left_out} and not one.startswith(sources)]
    assert [one for one in missing if "*" not in one and one != ".ipynb_checkpoints"] == []
    assert {".git", "tests"} <= {*left_out}


def test_the_container_serves_without_streams_and_lets_its_user_write():
    text = (DEPLOY / "Containerfile").read_text()
    assert "--holoptycho" not in text[text.index("\nCMD") :], "that needs the addresses of streams"
    assert "install --directory --owner firstlight /data" in text


@pytest.fixture
def place(tmp_path):
    """The environment of the scripts, and a free port."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FIRSTLIGHT", "TILED", "SLURM"))}
    own = {
        "FIRSTLIGHT": str(Path(sys.executable).parent / "firstlight"),
        "FIRSTLIGHT_SERVICE": str(tmp_path / "service"),
        "FIRSTLIGHT_STATE": str(tmp_path / "state"),
        "FIRSTLIGHT_PATIENCE": "120",
    }
    yield kept | own, port
    subprocess.run([str(DEPLOY / "start.sh"), "stop"], env=kept | own, check=True, capture_output=True)


def start(env, *words):
    return subprocess.run([str(DEPLOY / "start.sh"), *words], env=env, capture_output=True, text=True, timeout=180)


def answer(port, token=None):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/runs", headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=30) as found:
            return found.status
    except urllib.error.HTTPError as error:
        return error.code


def waiting_run(port, token):
    """A run that waits for a detector which never comes."""
    job = {"source": {"use": "dectris", "data": "tcp://127.0.0.1:9", "timeout": 600}, "steps": [{"use": "mean"}]}
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1/runs", json.dumps({"job": job}).encode(), headers, method="POST"
    )
    with urllib.request.urlopen(asked, timeout=60) as found:
        return json.load(found)["id"]


@pytest.mark.slow
@pytest.mark.alone
def test_a_service_that_is_detached(place, tmp_path):
    env, port = place
    begun = start(env, "detached", "--port", str(port), "--root", str(tmp_path))
    assert begun.returncode == 0, begun.stderr
    assert f"http://127.0.0.1:{port}/" in begun.stdout
    token = start(env, "token").stdout.strip()
    assert (answer(port), answer(port, token)) == (401, 200)
    assert stat.S_IMODE((tmp_path / "service" / "token").stat().st_mode) == 0o600
    pid = int((tmp_path / "service" / "service.pid").read_text())
    shown = subprocess.run(["ps", "-p", str(pid), "-o", "args="], capture_output=True, text=True, check=True).stdout
    assert token not in shown + (tmp_path / "service" / "service.log").read_text()
    assert "goes on already" in start(env, "detached", "--port", "0").stderr
    assert start(env, "status").returncode == 0
    assert start(env, "stop").stdout.strip() == "ended"
    assert start(env, "status").returncode == 1


@pytest.mark.slow
@pytest.mark.alone
def test_a_service_that_can_not_start_says_why(place):
    env, port = place
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        refused = start(env, "detached", "--port", str(port))
    assert refused.returncode == 2
    assert "ended at once" in refused.stderr
    refused = start({**env, "TILED_API_KEY_FILE": "/no/such/file"}, "foreground")
    assert "can not be read" in refused.stderr


@pytest.mark.slow
@pytest.mark.alone
def test_a_batch_job_serves_until_its_time_is_over(place, tmp_path):
    """As Slurm starts it, and with the signal that Slurm sends before the end."""
    env, port = place
    slurm = {
        "SLURM_SUBMIT_DIR": str(tmp_path),
        "SLURM_JOB_ID": "17",
        "SLURM_SUBMIT_HOST": "login1",
        "FIRSTLIGHT_DEPLOY": str(DEPLOY),
        "PORT": str(port),
        "USER": "ada",
    }
    with subprocess.Popen(
        ["bash", str(DEPLOY / "firstlight.sbatch")],
        env=env | slurm,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as job:
        deadline = time.monotonic() + 120
        while True:
            try:
                assert answer(port) == 401
                break
            except urllib.error.URLError:
                assert time.monotonic() < deadline
                assert job.poll() is None
                time.sleep(0.2)
        run = waiting_run(port, start(env, "token").stdout.strip())
        job.send_signal(signal.SIGINT)
        said, _ = job.communicate(timeout=120)
    assert job.returncode == 0, said
    assert f"ending {run}" in said
    state = json.loads((tmp_path / "state" / "runs" / run / "state.json").read_text())
    assert (state["state"], state["error"]) == ("stopped", None), "it ended in order before the service did"
    assert f"ssh -N -J ada@login1 -L {port}:127.0.0.1:{port} ada@{socket.gethostname()}" in said
