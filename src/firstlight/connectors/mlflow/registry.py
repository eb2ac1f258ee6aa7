"""Registered models of an MLflow tracking server, by its REST protocol (version 2.0): listed, and their ONNX files fetched.

Specification: mlflow.org/docs/latest/rest-api.html. Nothing of MLflow itself is needed. Files come through the server, from its
artifact proxy, or by the route of its own pages, which serves whatever store a model lies in.
"""

from __future__ import annotations

import re
from typing import Any

from .azure import SCHEME, AzureRegistry
from .http import RegistryError, address_of, ask, file_of
from .onnx_file import NotOnnx, elsewhere, whole
from .versions import Registered, newest

_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_PAGE = 200
_PAGES = 50
_DEEP = 2
"""Folders inside a model's folder that are looked into."""
_SERVED = "/model-versions/get-artifact"
_DATA = re.compile(r"^\s*data:\s*['\"]?([\w.-]+\.onnx)['\"]?\s*$", re.MULTILINE)
"""Where an MLmodel file names the ONNX file."""


def registry_of(address: str) -> Registry | AzureRegistry:
    """The registry at an address: ``http(s)://`` of an MLflow tracking server, or ``azureml://`` of a workspace of Azure.

    Raises:
        RegistryError: That is no address.
        MissingExtra: Azure's plugin for MLflow is not installed.
    """
    return AzureRegistry(address) if address.strip().startswith(f"{SCHEME}://") else Registry(address)


class Registry:
    """A tracking server; each question is a request of its own.

    Args:
        address: Of the server, such as ``http://models.example.org:5000``.

    Raises:
        RegistryError: That is no address.
    """

    def __init__(self, address: str) -> None:
        """Ask nothing yet."""
        self.address = address_of(address)

    def versions(self, name: str | None = None) -> list[Registered]:
        """All versions of all models, or of one, by name and number.

        Raises:
            RegistryError: The server refuses or does not answer.
        """
        asked = {"max_results": str(_PAGE)}
        if name is not None:
            if "'" in name:
                raise RegistryError("This is no name of a model.", field="name", value=name)
            asked["filter"] = f"name='{name}'"
        found: list[Registered] = []
        for _ in range(_PAGES):
            answer = ask(self.address, f"{_API}/model-versions/search", asked)
            found += [_registered(each) for each in _list(answer, "model_versions")]
            token = answer.get("next_page_token")
            if not token:
                break
            asked["page_token"] = str(token)
        return sorted(found, key=lambda each: (each.name, each.version))

    def find(self, name: str, version: int | None = None) -> Registered:
        """One version of a model; without a number the newest that is ready.

        Raises:
            RegistryError: There is none; or the server refuses or does not answer.
        """
        return newest(self.versions(name), name, version)

    def fetch(self, model: Registered) -> bytes:
        """The ONNX file of a model, as one file even if its weights lie in others.

        Raises:
            RegistryError: It has none, or several; or the server refuses or does not answer.
        """
        named = {"name": model.name, "version": str(model.version)}
        place = str(ask(self.address, f"{_API}/model-versions/get-download-uri", named).get("artifact_uri", ""))
        if place.startswith("mlflow-artifacts:"):
            found = self._only(re.sub(r"^mlflow-artifacts:(//[^/]*)?/*", "", place), model)
            beside, _, name = found.rpartition("/")

            def read(file: str) -> bytes:
                return b"".join(file_of(self.address, f"{_ARTIFACTS}/{beside}/{file}", {}))
        else:
            name = self._named(named)

            def read(file: str) -> bytes:
                return b"".join(file_of(self.address, _SERVED, {**named, "path": file}))

        graph = read(name)
        try:
            weights = {file: read(file) for file in elsewhere(graph)}
            return whole(graph, weights.__getitem__) if weights else graph
        except NotOnnx as error:
            raise RegistryError(f"The model can not be used: {error}", field="model", value=name) from None

    def _only(self, folder: str, model: Registered) -> str:
        """Path of the only ONNX file in a folder of the artifact proxy."""
        found, folders = list[str](), [(folder, 0)]
        while folders:
            place, depth = folders.pop()
            for each in _list(ask(self.address, _ARTIFACTS, {"path": place}), "files"):
                path = f"{place}/{str(each.get('path', '')).rpartition('/')[2]}"
                if each.get("is_dir") and depth < _DEEP:
                    folders.append((path, depth + 1))
                elif path.endswith(".onnx"):
                    found.append(path)
        if len(found) != 1:
            raise RegistryError(
                f"The model '{model.name}' has {len(found)} ONNX files.",
                field="model",
                value=f"{model.name}_v{model.version}",
                expected="one, as mlflow.onnx.log_model writes it",
            )
        return found[0]

    def _named(self, named: dict[str, str]) -> str:
        """Name of the ONNX file in a store that the server alone can reach: MLmodel says it."""
        about = b"".join(file_of(self.address, _SERVED, {**named, "path": "MLmodel"}))
        match = _DATA.search(about.decode(errors="replace"))
        if match is None:
            raise RegistryError(
                "The model is no ONNX model.", field="model", value=named["name"], expected="MLflow's flavor onnx"
            )
        return match[1]


def _list(answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = answer.get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise RegistryError("The registry's answer makes no sense.", field=name, value=str(found)[:200])
    return found


def _registered(told: dict[str, Any]) -> Registered:
    try:
        version = int(told["version"])
    except (KeyError, TypeError, ValueError):
        raise RegistryError("The registry's answer makes no sense.", field="version", value=str(told)[:200]) from None
    tags = told.get("tags")
    known = [each for each in tags if isinstance(each, dict)] if isinstance(tags, list) else []
    return Registered(
        str(told.get("name", "")),
        version,
        str(told.get("description") or ""),
        str(told.get("status") or ""),
        str(told.get("run_id") or ""),
        {str(each.get("key")): str(each.get("value")) for each in known},
    )
