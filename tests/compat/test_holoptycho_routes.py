"""holoptycho's routes: codes and JSON fields, with made-up run processes."""

import http.server
import json
import sqlite3
import sys
import threading
import time
from pathlib import Path

import pytest

from firstlight.compat.holoptycho.config import ConfigError
from firstlight.compat.holoptycho.routes import router_of
from firstlight.compat.holoptycho.service import Patience, Service
from firstlight.connectors.hxn.client import HoloptychoError, ask
from firstlight.core.errors import FirstlightError
from firstlight.faces.rest.serve import ServiceThread
from firstlight.faces.rest.settings import Settings
from firstlight.jobs.store import Store
from firstlight.jobs.supervise import Supervisor

from ..operators.networks import write_network
from .holoptycho_jobs import GOOD, STREAMS

TOKEN = "a token that is long enough"
SLEEPS = (sys.executable, "-c", "import time; time.sleep(60)")
DIES = (sys.executable, "-c", "raise SystemExit(4)")
SNAPSHOT = {
    "status", "uptime_seconds", "error", "pipeline_ready", "last_config", "model_status", "model_error",
    "current_engine_path", "current_model_name", "current_model_version", "log_file",
}  # fmt: skip


@pytest.fixture
def make(tmp_path):
    """Services with run processes of the test's choice; gives the address and the service."""
    made = []

    def serve(process=SLEEPS, *, patience=None, variables=None, **settings):
        supervisor = Supervisor(Store(tmp_path / "state"), process=process)
        given = {**STREAMS, "ENGINE_CACHE_DIR": str(tmp_path / "models"), **(variables or {})}
        service = Service(supervisor, given, (tmp_path,), patience or Patience())
        thread = ServiceThread(Settings(port=0, **settings), supervisor, further=[router_of(service)])
        made.append((thread, supervisor))
        return f"http://127.0.0.1:{thread.port}", service

    yield serve
    for thread, supervisor in made:
        thread.stop()
        for entry in supervisor.entries():
            supervisor.run(entry.id).kill()
        supervisor.close()


def refusal(url, path, body=None, *, post=True):
    with pytest.raises(HoloptychoError) as refused:
        ask(url, path, body, post=post)
    return refused.value.status, refused.value.detail


def test_before_anything_was_run(make):
    url, _ = make()
    found = ask(url, "/status")
    assert SNAPSHOT <= set(found)
    assert (found["status"], found["pipeline_ready"], found["model_status"]) == ("stopped", False, "ready")
    assert refusal(url, "/config", post=False) == (404, "No config has been set yet.")
    assert refusal(url, "/run")[0] == refusal(url, "/run", {})[0] == 400
    assert refusal(url, "/stop")[0] == 400
    assert ask(url, "/logs?lines=5") == {"lines": []}
    assert ask(url, "/logs/clear", post=True) == {"detail": "Logs cleared", "removed_rotated": []}


def test_a_run_that_is_not_ready_in_time_goes_on_and_can_be_stopped(make):
    url, service = make(patience=Patience(ready=0.3, stop=0.3))
    assert refusal(url, "/run", {"config": GOOD})[0] == 504
    assert ask(url, "/status")["status"] == "starting"
    assert refusal(url, "/run")[0] == 400
    assert ask(url, "/stop", {}, post=True) == {"detail": "Stop requested"}
    assert ask(url, "/status")["status"] == "stopped"
    assert not service._runs()


def test_a_run_that_dies_before_it_is_ready(make):
    url, _ = make(DIES)
    code, detail = refusal(url, "/run", {"config": GOOD})
    assert (code, "exit code 4" in detail) == (500, True)
    assert ask(url, "/status")["status"] == "error"


SPEAKS = (
    sys.executable,
    "-c",
    "import json, sys, time; print('libzmq says hello', flush=True)\n"
    "with open(sys.argv[1] + '/log.jsonl', 'a') as file:\n"
    "    for level in ('info', 'warning', 'error'): print(json.dumps({'at': 1.0, 'level': level, 'text': 'a word'}), file=file)\n"
    "time.sleep(60)",
)


def test_the_log_shows_what_the_level_says(make):
    url, _ = make(SPEAKS, patience=Patience(ready=0.3, stop=0.3))
    refusal(url, "/run", {"config": GOOD})
    deadline = time.monotonic() + 30
    while not any("ERROR a word" in line for line in ask(url, "/logs")["lines"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for level, seen in (("", 3), ("debug", 3), ("WARN", 2), ("ERROR", 1)):
        lines = ask(make(variables={"HOLOPTYCHO_LOG_LEVEL": level})[0], "/logs")["lines"]
        said = [line.split()[-3] for line in lines if line.endswith("a word")]
        assert said == ["INFO", "WARNING", "ERROR"][-seen:]
        assert ("DEBUG libzmq says hello" in lines) == (level == "debug")


def test_a_level_that_is_none_is_refused(make):
    with pytest.raises(ConfigError, match=r"HOLOPTYCHO_LOG_LEVEL.*LOUD.*DEBUG"):
        make(variables={"HOLOPTYCHO_LOG_LEVEL": "loud"})


def test_a_wrong_config_stops_nothing_and_is_not_kept(make):
    url, service = make(patience=Patience(ready=0.3, stop=0.3))
    refusal(url, "/run", {"config": GOOD})
    code, detail = refusal(url, "/restart", {"config": {**GOOD, "nx": "-1"}})
    assert (code, "nx" in detail) == (400, True)
    assert service._runs()
    assert ask(url, "/config") == GOOD


def test_the_config_of_holoptychos_own_database_is_taken_over(make, tmp_path):
    database = tmp_path / "holoptycho.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT)")
        connection.execute("INSERT INTO settings VALUES ('last_config', ?)", (json.dumps(GOOD),))
    connection.close()
    url, _ = make(variables={"HOLOPTYCHO_DB_PATH": str(database)})
    assert ask(url, "/config") == GOOD


def test_settings_that_can_not_be_kept_are_told(make, tmp_path):
    for name, text in (("no.db", "this is no database, but text that is long enough"), ("file/a.db", "")):
        (tmp_path / name.partition("/")[0]).write_text(text)
        with pytest.raises(FirstlightError, match="HOLOPTYCHO_DB_PATH"):
            make(variables={"HOLOPTYCHO_DB_PATH": str(tmp_path / name)})


def settled(url):
    """The state of the networks, once none is being read."""
    for _ in range(600):
        if (found := ask(url, "/model/status"))["model_status"] not in ("loading", "downloading"):
            return found
        time.sleep(0.05)
    raise AssertionError("the network is being read for ever")


def test_networks_of_the_local_folder(make, tmp_path):
    url, service = make()
    folder = tmp_path / "models"
    folder.mkdir()
    write_network(folder / "eight_v10.onnx", 8, {"normalization": "1"})
    for name in ("eight_v2.onnx", "eight_v11.engine", "other.txt"):
        (folder / name).write_bytes(b"x" * 2000)
    listed = ask(url, "/model/list")
    assert [each["filename"] for each in listed["local"]] == ["eight_v10.onnx", "eight_v2.onnx", "eight_v11.engine"]
    assert (listed["azure"], listed["azure_available"], listed["local"][1]["size_mb"]) == ([], False, 0.002)
    assert ask(url, "/model", {"name": "eight", "version": "10"}, post=True) == {
        "detail": "Model swap started: eight v10"
    }
    chosen = settled(url)
    assert (chosen["current_model_name"], chosen["current_model_version"]) == ("eight", "10")
    assert service.models.path == str(folder / "eight_v10.onnx")
    assert ask(url, "/model", {"name": "eight"}, post=True) == {"detail": "Model swap started: eight latest"}
    assert "no whole ONNX file" in settled(url)["model_error"]  # TensorRT's engines are not read here
    ask(url, "/model", {"name": "eight", "version": "2"}, post=True)
    cut = settled(url)
    assert (cut["model_status"], cut["current_model_version"]) == ("error", "10")
    ask(url, "/model", {"name": "eight", "version": "3"}, post=True)
    wrong = ask(url, "/model/status")
    assert (wrong["model_status"], wrong["current_model_version"]) == ("error", "10")
    assert "eight_v3" in wrong["model_error"]
    assert refusal(url, "/model", {"name": "../../etc/passwd"})[0] == 422
    assert refusal(url, "/model", {})[0] == 422


def test_networks_of_a_registry(make, tmp_path):
    """The newest is fetched and chosen; one that is there is not asked for; a registry that is gone is told."""
    made = write_network(tmp_path / "made.onnx", 8, {"normalization": "1"}).read_bytes()
    versions = [{"name": "eight", "version": str(n), "status": "READY"} for n in (2, 10)]
    told = {
        "/api/2.0/mlflow/model-versions/search": json.dumps({"model_versions": versions}).encode(),
        "/api/2.0/mlflow/model-versions/get-download-uri": b'{"artifact_uri": "mlflow-artifacts:/m"}',
        "/api/2.0/mlflow-artifacts/artifacts": b'{"files": [{"path": "net.onnx"}]}',
        "/api/2.0/mlflow-artifacts/artifacts/m/net.onnx": made,
    }

    class Registry(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = told.get(self.path.partition("?")[0], b"{}")
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry) as registry:
        threading.Thread(target=registry.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{registry.server_address[1]}"
        url, service = make(variables={"FIRSTLIGHT_MODEL_REGISTRY": address})
        ask(url, "/model", {"name": "eight"}, post=True)
        assert settled(url)["current_model_version"] == "10"
        assert Path(service.models.path).read_bytes() == made
        listed = ask(url, "/model/list")
        assert listed["azure_available"]
        assert [(each["version"], each["cached"]) for each in listed["azure"]] == [("2", False), ("10", True)]
        registry.shutdown()
    ask(url, "/model", {"name": "eight", "version": "10"}, post=True)
    assert settled(url)["model_status"] == "ready"
    ask(url, "/model", {"name": "eight", "version": "2"}, post=True)
    assert "No model registry answers" in settled(url)["model_error"]
    assert ask(url, "/model/list")["azure_available"] is False


def test_a_token_is_asked_for(make, monkeypatch):
    url, _ = make(token=TOKEN)
    monkeypatch.delenv("FIRSTLIGHT_TOKEN", raising=False)
    for path, post in (("/status", False), ("/run", True), ("/logs", False), ("/model/list", False)):
        assert refusal(url, path, post=post)[0] == 401
    monkeypatch.setenv("FIRSTLIGHT_TOKEN", TOKEN)
    assert ask(url, "/status")["status"] == "stopped"
