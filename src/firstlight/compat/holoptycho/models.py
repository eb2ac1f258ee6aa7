"""Networks in a local folder, and in a registry where one is named, as holoptycho's routes of models show them."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

from firstlight.core.errors import FirstlightError
from firstlight.jobs.networks import fetch_model, registered
from firstlight.operators.learn.session import load_network

from .kept import Kept

_FILE = re.compile(r"(?P<name>.+)_v(?P<version>\d+)\.(?:onnx|engine)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class ModelError(FirstlightError):
    """A network that can not be chosen."""


class ModelBusy(FirstlightError):
    """A network can not be chosen while another one is being read."""


class Models:
    """Files ``NAME_vVERSION.onnx`` in a folder, and which of them is chosen. Safe to call from any thread.

    A network that is chosen is read and run once, on a thread of its own, before the choice is kept: the next run uses it.

    Args:
        folder: The files; it need not be there.
        kept: Where the choice is kept.
        registry: Address of an MLflow tracking server, or of a workspace of Azure, from which missing networks come; empty: none.
    """

    def __init__(self, folder: Path, kept: Kept, registry: str = "") -> None:
        """Look at nothing yet."""
        self._folder, self._kept, self._registry = folder, kept, registry
        self._fetching = False
        self._error: str | None = None
        self._lock = threading.Lock()
        self._loading: threading.Thread | None = None

    def status(self) -> dict[str, Any]:
        """State and choice."""
        return {
            "model_status": self._doing if self.busy else "error" if self._error else "ready",
            "model_error": self._error,
            "current_engine_path": self._kept.get("current_engine_path"),
            "current_model_name": self._kept.get("current_model_name"),
            "current_model_version": self._kept.get("current_model_version"),
        }

    @property
    def _doing(self) -> str:
        return "downloading" if self._fetching else "loading"

    @property
    def busy(self) -> bool:
        """True while a network is being read."""
        return self._loading is not None and self._loading.is_alive()

    @property
    def path(self) -> str | None:
        """The file of the chosen network; None if none is, or it is there no longer."""
        found = self._kept.get("current_engine_path")
        return found if isinstance(found, str) and Path(found).is_file() and found.endswith(".onnx") else None

    def files(self) -> list[dict[str, Any]]:
        """The files of the folder: name, path, size in MB."""
        found = sorted(self._folder.glob("*_v*.onnx")) + sorted(self._folder.glob("*_v*.engine"))
        return [
            {"filename": path.name, "path": str(path), "size_mb": round(path.stat().st_size / 1e6, 3)} for path in found
        ]

    def elsewhere(self) -> tuple[list[dict[str, Any]], bool]:
        """What the registry has, and whether there is one that answers."""
        if not self._registry:
            return [], False
        try:
            found = registered(self._registry, self._folder)
        except FirstlightError:
            return [], False
        return [
            {"name": each.name, "version": str(each.version), "description": each.description, "cached": there}
            for each, there in found
        ], True

    def choose(self, name: str, version: str | None) -> None:
        """Choose a network by name; without a version, its newest: the registry's where there is one. `status` tells if that failed.

        Raises:
            ModelError: The name or the version is malformed.
            ModelBusy: Another one is being read.
        """
        if not _NAME.fullmatch(name) or (version is not None and not re.fullmatch(r"\d{1,9}", version)):
            raise ModelError(
                "This is no name of a network.", field="name", value=name, expected="letters, digits, '.', '_' and '-'"
            )
        with self._lock:
            if self.busy:
                raise ModelBusy("Another network is being read.", next_move="Try again in a moment.")
            versions = {
                int(match["version"]): path
                for path in (Path(each["path"]) for each in self.files())
                if (match := _FILE.fullmatch(path.name)) and match["name"] == name
            }
            wanted = max(versions, default=None) if version is None else int(version)
            if self._registry and (version is None or wanted not in versions):
                self._error, self._fetching = None, True
                asked = name if version is None else f"{name}_v{int(version)}"
                self._loading = threading.Thread(target=self._fetch, args=(asked,), daemon=True)
                self._loading.start()
                return
            if wanted is None or wanted not in versions:
                asked = name if version is None else f"{name}_v{version}"
                self._error = f"There is no network '{asked}' in {self._folder}."
                return
            self._error = None
            self._loading = threading.Thread(target=self._load, args=(versions[wanted], name, wanted), daemon=True)
            self._loading.start()

    def _fetch(self, asked: str) -> None:
        try:
            found = fetch_model(self._registry, asked, self._folder)
        except FirstlightError as error:
            self._error = str(error)
            return
        finally:
            self._fetching = False
        self._load(found.path, found.name, found.version)

    def _load(self, path: Path, name: str, version: int) -> None:
        try:
            load_network(path)
        except FirstlightError as error:
            self._error = str(error)
            return
        self._kept.set(
            current_engine_path=str(path),
            current_model_name=name,
            current_model_version=str(version),
        )
