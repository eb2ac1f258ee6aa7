"""Networks from an MLflow tracking server: a real one where it is installed; what goes wrong, from a server that does it."""

import base64
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from firstlight.cli.main import app
from firstlight.compat.holoptycho.config import ConfigError
from firstlight.compat.holoptycho.environment import registry_address
from firstlight.connectors.mlflow import azure
from firstlight.connectors.mlflow.http import RegistryError, address_of
from firstlight.connectors.mlflow.onnx_file import NotOnnx, elsewhere, whole
from firstlight.connectors.mlflow.registry import Registry
from firstlight.core.errors import MissingExtra
from firstlight.jobs.networks import fetch_model
from firstlight.operators.learn.models import find_model

from ..operators.networks import write_network

onnx = pytest.importorskip("onnx")


@pytest.fixture
def network(tmp_path):
    return write_network(tmp_path / "made.onnx", 16, {"normalization": "1"}, probe=np.ones((16, 16), complex))


@pytest.fixture
def parted(network, tmp_path):
    """The same with its weights in another file, as MLflow writes it."""
    path = tmp_path / "parted" / "model.onnx"
    path.parent.mkdir()
    onnx.save_model(
        onnx.load(network),
        path,
        save_as_external_data=True,
        location="w.data",
        size_threshold=0,
        convert_attribute=False,
    )
    return path


def test_weights_in_another_file_come_into_one(network, parted):
    assert elsewhere(parted.read_bytes()) == {"w.data"}
    made = whole(parted.read_bytes(), lambda name: (parted.parent / name).read_bytes())
    assert onnx.load_from_string(made) == onnx.load(network)
    assert not elsewhere(made)
    assert whole(network.read_bytes(), lambda _: b"") == network.read_bytes()
    with pytest.raises(NotOnnx, match="has 3 bytes"):
        whole(parted.read_bytes(), lambda _: b"abc")
    for name in (b"../w.d", b"/w.dat", b"w\x00data"):
        with pytest.raises(NotOnnx, match="same folder"):
            elsewhere(parted.read_bytes().replace(b"w.data", name))


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_damaged_bytes_are_told_or_read(data, tmp_path_factory):
    path = write_network(tmp_path_factory.mktemp("n") / "n.onnx", 8)
    good = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(good[: data.draw(st.integers(0, len(good)))])
    try:
        elsewhere(damaged)
        whole(damaged, lambda _: b"")
    except NotOnnx:
        pass


@given(st.binary(max_size=200))
def test_any_bytes_are_told_or_read(message):
    try:
        elsewhere(message)
    except NotOnnx:
        pass


class _Server(BaseHTTPRequestHandler):
    """Answers as the fixture `told` says, and notes who asked."""

    def do_GET(self):
        path = self.path.partition("?")[0]
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        status, body, headers = self.server.told.get(path, (404, {"message": "no such thing"}, {}))
        if callable(body):
            body = body(self.path)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    made.told, made.asked = {}, []
    made.address = f"http://127.0.0.1:{made.server_address[1]}"
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


SEARCH, WHERE = "/api/2.0/mlflow/model-versions/search", "/api/2.0/mlflow/model-versions/get-download-uri"


def version(number, status="READY", name="eight"):
    return {"name": name, "version": str(number), "status": status}


def test_pages_are_followed_and_the_newest_that_is_ready_is_found(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    pages = [
        {"model_versions": [version(2), version(10)], "next_page_token": "a b"},
        {"model_versions": [version(11, "PENDING_REGISTRATION"), version(9)]},
    ]
    server.told[SEARCH] = (200, lambda path: pages["page_token=a+b" in path], {})
    registry = Registry(server.address + "/")
    assert [each.version for each in registry.versions("eight")] == [2, 9, 10, 11]
    assert registry.find("eight").version == 10
    assert {who for _, who in server.asked} == {"Bearer secret"}
    with pytest.raises(RegistryError, match="no model 'eight, version 11' that is ready") as told:
        registry.find("eight", 11)
    assert "secret" not in str(told.value)


def test_a_store_that_the_server_alone_reaches(server, network, parted):
    """By the route of its pages, with the weights in a file of their own."""
    files = {"MLmodel": b"flavors:\n  onnx:\n    data: model.onnx\n", "model.onnx": parted.read_bytes()}
    files["w.data"] = (parted.parent / "w.data").read_bytes()
    server.told[SEARCH] = (200, {"model_versions": [version(1)]}, {})
    server.told[WHERE] = (200, {"artifact_uri": "s3://bucket/x"}, {})
    server.told["/model-versions/get-artifact"] = (200, lambda path: files[path.rpartition("path=")[2]], {})
    registry = Registry(server.address)
    assert onnx.load_from_string(registry.fetch(registry.find("eight"))) == onnx.load(network)
    files["MLmodel"] = b"flavors:\n  pytorch: {}\n"
    with pytest.raises(RegistryError, match="no ONNX model"):
        registry.fetch(registry.find("eight"))


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((200, b"<html>", {}), "no MLflow tracking server"),
        ((200, b"[1]", {}), "no MLflow tracking server"),
        ((200, b"[" * 100_000, {}), "no MLflow tracking server"),
        ((200, {"model_versions": [{"version": "x"}]}, {}), "makes no sense"),
        ((200, {"model_versions": 3}, {}), "makes no sense"),
        ((401, {"message": "who are you"}, {}), "401 who are you.*MLFLOW_TRACKING_TOKEN"),
        ((500, b"", {}), "refuses: 500"),
        ((302, b"", {"Location": "http://127.0.0.1:9/"}), "refuses: 302"),
        ((200, b"{}", {"Content-Length": "100", "Connection": "close"}), "stopped early"),
    ],
)
def test_bad_answers_are_told(server, answer, text, monkeypatch):
    monkeypatch.setattr("firstlight.connectors.mlflow.http.PATIENCE", 2.0)
    server.told[SEARCH] = answer
    with pytest.raises(RegistryError, match=text):
        Registry(server.address).versions()


def test_addresses(monkeypatch):
    assert address_of(" http://a:5000/ ") == "http://a:5000"
    for wrong in ("a:5000", "file:///tmp", "http://", "http://me:secret@a", "databricks"):
        with pytest.raises(RegistryError, match="no address") as told:
            address_of(wrong)
        assert "secret" not in str(told.value)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(RegistryError, match="No model registry answers"):
            Registry(f"http://127.0.0.1:{free.getsockname()[1]}").versions()


def test_what_is_fetched_is_kept_and_not_fetched_again(server, network, tmp_path):
    folder = tmp_path / "models"
    place, proxy = "mlflow-artifacts:/0/m/artifacts", "/api/2.0/mlflow-artifacts/artifacts"
    server.told[SEARCH] = (200, {"model_versions": [version(3)]}, {})
    server.told[WHERE] = (200, {"artifact_uri": place}, {})
    server.told[proxy] = (200, {"files": [{"path": "MLmodel"}, {"path": "net.onnx", "file_size": 1}]}, {})
    server.told[f"{proxy}/0/m/artifacts/net.onnx"] = (200, network.read_bytes()[:-30], {})
    with pytest.raises(Exception, match=r"can not be used|no whole ONNX file"):
        fetch_model(server.address, "eight", folder)
    assert not list(folder.iterdir())
    server.told[f"{proxy}/0/m/artifacts/net.onnx"] = (200, network.read_bytes(), {})
    found = fetch_model(server.address, "eight", folder)
    assert found == find_model("eight", folder)
    assert found.path.read_bytes() == network.read_bytes()
    asked = len(server.asked)
    assert fetch_model(server.address, "eight_v3", folder) == found
    assert len(server.asked) == asked
    found.path.with_suffix(".json").unlink()
    with pytest.raises(RegistryError, match="another network of that name and version"):
        fetch_model(server.address, "eight", folder)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("store", ["proxied", "direct"])
def test_a_real_tracking_server(store, tmp_path, monkeypatch):
    """Listed, chosen and described by the commands; MLflow's own way of writing a network, and one put there by hand."""
    bin_ = Path(os.environ.get("PEERS", "/nowhere")) / "mlflow" / "bin"
    if not (bin_ / "mlflow").exists():
        pytest.skip("no MLflow: PEERS names no folder with mlflow")
    network = find_model("phantom").path
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kept = (
        ["--artifacts-destination", str(tmp_path / "store")]
        if store == "proxied"
        else ["--no-serve-artifacts", "--default-artifact-root", str(tmp_path / "store")]
    )
    address = f"http://127.0.0.1:{port}"
    command = [bin_ / "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/db.sqlite", *kept]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path, start_new_session=True)
    try:
        _wait_for(address, process)
        peer = [bin_ / "python", Path(__file__).parent / "mlflow_peer.py", address, network, "star"]
        told = subprocess.run(peer, capture_output=True, text=True, timeout=300)
        assert "versions 1 2" in told.stdout, told.stderr
        monkeypatch.setenv("FIRSTLIGHT_MODELS", str(tmp_path / "models"))
        monkeypatch.setenv("FIRSTLIGHT_MODEL_REGISTRY", address)

        def ask(*words):
            found = CliRunner().invoke(app, ["model", *words])
            assert not found.exit_code, found.stderr
            return found.stdout

        assert "star_v2  ready" in ask("list")
        assert ask("set", "star_v1").startswith("star_v1")
        if store == "proxied":  # by hand there is no MLmodel, and a store of its own can not be listed
            assert ask("set", "star").startswith("star_v2")
            status = json.loads(ask("status", "--json"))
            assert (status["from"]["tags"], status["from"]["description"]) == ({"beamline": "3"}, "by hand")
        listed = json.loads(ask("list", "--json"))
        assert [each["fetched"] for each in listed if "fetched" in each] == [True, store == "proxied"]
        for each in (tmp_path / "models").glob("*.onnx"):
            assert onnx.load(each) == onnx.load(network)
        check_azures_client(address, tmp_path, network)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its workers too
        process.wait(60)


def check_azures_client(address, tmp_path, network):
    """The way to Azure, up to its plugin: MLflow's own client lists, finds and fetches, here from MLflow's own server."""
    python = Path(os.environ["PEERS"]) / "azureml" / "bin" / "python"
    if not python.exists():
        return
    folders = [each for each in sys.path if each.endswith(("site-packages", "src"))]
    out = tmp_path / "from_azure.onnx"
    command = [python, Path(__file__).parent / "azure_peer.py", address, "star", out, *folders]
    told = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout.splitlines()[-1])
    assert found["plugin"].startswith("azureml.mlflow")
    assert (found["known"], found["tags"]) == (["star_v1", "star_v2"], {"beamline": "3"})
    assert onnx.load(out) == onnx.load(network)


def test_azure_needs_its_plugin_and_a_whole_name(tmp_path):
    workspace = "azureml://west.api.azureml.ms/mlflow/v1.0/subscriptions/s"
    if importlib.util.find_spec("azureml") is None:
        with pytest.raises(MissingExtra, match=r"azureml-mlflow.*firstlight\[azure\]"):
            fetch_model(workspace, "eight", tmp_path)
    with pytest.raises(RegistryError, match="no address"):
        Registry(workspace)
    named = {"AZURE_SUBSCRIPTION_ID": "a b", "AZURE_RESOURCE_GROUP": "g", "AZURE_ML_WORKSPACE": "w"}
    scope = "/subscriptions/a%20b/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
    assert registry_address(named) == f"azureml://{scope}"
    assert registry_address(named | {"FIRSTLIGHT_MODEL_REGISTRY": "http://m"}) == "http://m"
    assert registry_address({"AZURE_TENANT_ID": "t"}) == ""
    with pytest.raises(ConfigError, match="lacks AZURE_ML_WORKSPACE"):
        registry_address({**named, "AZURE_ML_WORKSPACE": ""})


def test_the_certificate_is_a_file_only_as_long_as_it_is_needed(monkeypatch):
    monkeypatch.delenv("AZURE_CLIENT_CERTIFICATE_PATH", raising=False)
    monkeypatch.setenv("AZURE_CERTIFICATE_B64", base64.b64encode(b"a certificate").decode())
    with azure._certificate():
        path = Path(os.environ["AZURE_CLIENT_CERTIFICATE_PATH"])
        assert (path.read_bytes(), path.stat().st_mode & 0o077) == (b"a certificate", 0)
    assert "AZURE_CLIENT_CERTIFICATE_PATH" not in os.environ
    assert not path.exists()
    monkeypatch.setenv("AZURE_CERTIFICATE_B64", "!geheim!")
    with pytest.raises(RegistryError, match="no base64") as told, azure._certificate():
        pass
    assert "geheim" not in str(told.value)


def _wait_for(address, process):
    for _ in range(300):
        assert process.poll() is None, "MLflow's server ended"
        try:
            Registry(address).versions()
        except RegistryError:
            time.sleep(0.5)
        else:
            return
    raise AssertionError("MLflow's server does not answer.")
