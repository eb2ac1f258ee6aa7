"""Networks from a model registry into the folder where they are used."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from firstlight.connectors.mlflow.azure import AzureRegistry
from firstlight.connectors.mlflow.http import RegistryError
from firstlight.connectors.mlflow.registry import Registry, registry_of
from firstlight.connectors.mlflow.versions import Registered
from firstlight.core.errors import FirstlightError
from firstlight.operators.learn.models import NAME, Model, models, models_folder
from firstlight.operators.learn.session import load_network


def fetch_model(registry: str, wanted: str, folder: Path | None = None) -> Model:
    """Have a network of a registry in the folder; a version that is there already is not fetched again.

    Args:
        registry: Address of an MLflow tracking server, or of a workspace of Azure Machine Learning (``azureml://``).
        wanted: ``NAME``, the newest version that is ready, or ``NAME_v3``.
        folder: Where networks lie; None: the user's.

    Raises:
        RegistryError: There is none of that name, or the server does not answer.
        StepFailed: What it gives is no network that can be run here.
        FirstlightError: The folder can not be written to, or what Azure needs is not installed.
    """
    match, server = NAME.fullmatch(wanted), registry_of(registry)
    if match is None:
        raise RegistryError(
            "This is no name of a model.", field="model", value=wanted[:120], expected="NAME or NAME_v3"
        )
    version = None if match["version"] is None else int(match["version"])
    if version is not None and (known := _there(server, match["name"], version, folder)) is not None:
        return known
    found = server.find(match["name"], version)
    return _there(server, found.name, found.version, folder) or _fetched(server, found, folder)


def registered(registry: str, folder: Path | None = None) -> list[tuple[Registered, bool]]:
    """What a registry has, and of each version whether it lies in the folder.

    Raises:
        RegistryError: The server refuses or does not answer.
    """
    server = registry_of(registry)
    return [(each, _there(server, each.name, each.version, folder) is not None) for each in server.versions()]


def origin(model: Model) -> dict[str, Any]:
    """Where a network came from, as it was written down when it was fetched; nothing for others."""
    try:
        found = json.loads(model.path.with_suffix(".json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _there(server: Registry | AzureRegistry, name: str, version: int, folder: Path | None) -> Model | None:
    """The network in the folder, if it came from this registry."""
    for each in models(folder):
        if (each.name, each.version) == (name, version) and origin(each).get("registry") == server.address:
            return each
    return None


def _fetched(server: Registry | AzureRegistry, found: Registered, folder: Path | None) -> Model:
    place = models_folder() if folder is None else folder
    path = place / f"{found.name}_v{found.version}.onnx"
    if path.exists():
        raise RegistryError(
            "The folder has another network of that name and version.",
            field="model",
            value=str(path),
            next_move="Move it away, or use it by its name without the registry.",
        )
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetched-", dir=place) as spare:
            whole = Path(spare) / path.name
            whole.write_bytes(server.fetch(found))
            load_network(whole)
            about = {"registry": server.address, **asdict(found)}
            path.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n")
            whole.replace(path)
    except OSError as error:
        raise FirstlightError(f"The network can not be kept: {error}", field="folder", value=str(place)) from error
    return Model(found.name, found.version, path)
