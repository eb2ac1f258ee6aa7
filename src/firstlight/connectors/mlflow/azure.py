"""Registered models of a workspace of Azure Machine Learning: MLflow's own client, and the plugin that Microsoft gives it.

Azure keeps files in stores of its own, which MLflow's REST protocol does not reach; the plugin does (package ``azureml-mlflow``, which
knows addresses ``azureml://``, and brings Azure's ways to say who asks).
"""

from __future__ import annotations

import base64
import binascii
import importlib.util
import os
import tempfile
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from firstlight.core.errors import MissingExtra

from .http import RegistryError, ask
from .onnx_file import NotOnnx, elsewhere, whole
from .versions import Registered, newest

SCHEME = "azureml"
MANAGEMENT = "https://management.azure.com"
"""Where Azure tells the address of a workspace."""
_VERSION = "2024-04-01"
_CERTIFICATE = "AZURE_CLIENT_CERTIFICATE_PATH"
_lock = threading.Lock()


class AzureRegistry:
    """A workspace; each question is a request of its own.

    Args:
        address: As Azure shows it (``azureml://REGION.api.azureml.ms/mlflow/v1.0/subscriptions/…/workspaces/NAME``), or without the host
            (``azureml:///subscriptions/…/workspaces/NAME``), which Azure then tells.

    Raises:
        MissingExtra: The plugin is not installed.
    """

    def __init__(self, address: str) -> None:
        """Ask nothing yet."""
        # importlib looks for the parents first, and complains of a missing one
        if importlib.util.find_spec("mlflow") is None or importlib.util.find_spec("azureml") is None:
            raise MissingExtra("azureml-mlflow", "azure", "A registry at azureml://")
        self.address = address.strip().rstrip("/?")

    def versions(self, name: str | None = None) -> list[Registered]:
        """All versions of all models, or of one, by name and number.

        Raises:
            RegistryError: Azure refuses or does not answer.
        """
        if name is not None and "'" in name:
            raise RegistryError("This is no name of a model.", field="name", value=name)
        with self._client() as client:
            found = client.search_model_versions(None if name is None else f"name='{name}'")
        return sorted((_registered(each) for each in found), key=lambda each: (each.name, each.version))

    def find(self, name: str, version: int | None = None) -> Registered:
        """One version of a model; without a number the newest that is ready.

        Raises:
            RegistryError: There is none; or Azure refuses or does not answer.
        """
        return newest(self.versions(name), name, version)

    def fetch(self, model: Registered) -> bytes:
        """The ONNX file of a model, as one file even if its weights lie in others.

        Raises:
            RegistryError: It has none, or several; or Azure refuses or does not answer.
        """
        with tempfile.TemporaryDirectory(prefix="firstlight-") as spare, self._client() as client:
            place = client.get_model_version_download_uri(model.name, str(model.version))
            files = _fetched(place, spare, client)
            if len(files) != 1:
                raise RegistryError(
                    f"The model '{model.name}' has {len(files)} ONNX files.",
                    field="model",
                    value=f"{model.name}_v{model.version}",
                    expected="one",
                )
            graph = files[0].read_bytes()
            try:
                beside = {each: (files[0].parent / each).read_bytes() for each in elsewhere(graph)}
                return whole(graph, beside.__getitem__) if beside else graph
            except (NotOnnx, OSError) as error:
                raise RegistryError(f"The model can not be used: {error}", field="model", value=model.name) from None

    @contextmanager
    def _client(self) -> Iterator[Any]:
        """MLflow's client of the workspace; whatever it raises becomes an error of ours."""
        with _lock, _certificate():
            try:
                from mlflow import MlflowClient  # pyright: ignore[reportMissingImports]

                place = self.address if urllib.parse.urlsplit(self.address).netloc else _place_of(self.address)
                yield MlflowClient(tracking_uri=place, registry_uri=place)
            except RegistryError:
                raise
            except Exception as error:  # Azure's packages raise classes of many kinds
                text = " ".join(str(error).split())[:500] or type(error).__name__
                raise RegistryError(
                    f"Azure does not give what was asked for: {text}",
                    field="registry",
                    value=self.address,
                    next_move="Say who asks: 'az login', or AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CERTIFICATE_B64.",
                ) from None


def _fetched(place: str, folder: str, client: Any) -> list[Path]:
    """The ONNX files of a model, in a folder of this machine."""
    from mlflow.artifacts import download_artifacts  # pyright: ignore[reportMissingImports]

    root = Path(download_artifacts(artifact_uri=place, dst_path=folder, tracking_uri=client.tracking_uri))
    return [root] if root.is_file() else sorted(root.rglob("*.onnx"))


def _place_of(address: str) -> str:
    """The address of a workspace with its host, which Azure tells."""
    from azure.identity import DefaultAzureCredential  # pyright: ignore[reportMissingImports]

    token = DefaultAzureCredential().get_token(f"{MANAGEMENT}/.default").token
    path = urllib.parse.unquote(urllib.parse.urlsplit(address).path)
    told = ask(MANAGEMENT, path, {"api-version": _VERSION}, token=token).get("properties")
    found = told.get("mlFlowTrackingUri") if isinstance(told, dict) else None
    if not isinstance(found, str) or not found.startswith(f"{SCHEME}://"):
        raise RegistryError("Azure tells no address of this workspace.", field="registry", value=address)
    return found.rstrip("?")


@contextmanager
def _certificate() -> Iterator[None]:
    """AZURE_CERTIFICATE_B64 as the file that Azure's package reads, for as long as it is needed; nobody else can read it.

    Raises:
        RegistryError: That is no base64.
    """
    given = os.environ.get("AZURE_CERTIFICATE_B64")
    if not given or os.environ.get(_CERTIFICATE):
        yield
        return
    try:
        data = base64.b64decode("".join(given.split()), validate=True)
    except binascii.Error:
        raise RegistryError("AZURE_CERTIFICATE_B64 is no base64.", field="AZURE_CERTIFICATE_B64") from None
    with tempfile.NamedTemporaryFile(prefix="firstlight-", suffix=".pem") as file:  # only its owner can read it
        file.write(data)
        file.flush()
        os.environ[_CERTIFICATE] = file.name
        try:
            yield
        finally:
            del os.environ[_CERTIFICATE]


def _registered(told: Any) -> Registered:
    tags = {str(name): str(value) for name, value in (told.tags or {}).items()}
    return Registered(
        str(told.name), int(told.version), str(told.description or ""), str(told.status), str(told.run_id or ""), tags
    )
