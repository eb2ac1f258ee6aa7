"""The environment variables of holoptycho's service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from firstlight.core.curve import BadKey, z85_key

from .config import ConfigError

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
"""Of lines of the log, the least first."""
_KEYS = ("SERVER_PUBLIC_KEY", "CLIENT_PUBLIC_KEY", "CLIENT_SECRET_KEY")


@dataclass(frozen=True, slots=True)
class Environment:
    """Where streams come from and where things are kept."""

    eiger: str
    panda: str
    server_key: str | None = None
    """Public key of the streams' server (Z85), where they speak CurveZMQ."""
    secret_key: str | None = None
    """Name of the variable with our own secret key."""
    tiled: str | None = None
    tiled_catalog: str = "hxn/processed/holoptycho"
    database: Path | None = None
    """SQLite file of the service's settings; holoptycho's own will do."""
    models: Path = field(default=Path("/models"))
    inputs: Path | None = None
    """Folder for what the engine worked on."""


def read_environment(variables: Mapping[str, str]) -> Environment:
    """Read the variables.

    Raises:
        ConfigError: The address of a stream is not set, or the keys of CurveZMQ are not complete, or none.
    """
    missing = [name for name in ("SERVER_STREAM_SOURCE", "PANDA_STREAM_SOURCE") if not variables.get(name)]
    if missing:
        raise ConfigError(
            f"The environment of the service lacks {' and '.join(missing)}.",
            expected="addresses such as tcp://localhost:5555",
            next_move="Set them and start the service again.",
        )
    server = _curve(variables)
    if "?" in variables.get("TILED_BASE_URL", ""):
        raise ConfigError("TILED_BASE_URL holds more than an address.", next_move="Put the key into TILED_API_KEY.")
    database = variables.get("HOLOPTYCHO_DB_PATH")
    return Environment(
        variables["SERVER_STREAM_SOURCE"],
        variables["PANDA_STREAM_SOURCE"],
        server,
        None if server is None else "CLIENT_SECRET_KEY",
        variables.get("TILED_BASE_URL") or None,
        variables.get("TILED_CATALOG_PATH") or "hxn/processed/holoptycho",
        Path(database) if database else None,
        models_folder(variables),
        inputs_folder(variables),
    )


def models_folder(variables: Mapping[str, str]) -> Path:
    """Where networks are kept."""
    return Path(variables.get("ENGINE_CACHE_DIR") or "/models").absolute()


def inputs_folder(variables: Mapping[str, str]) -> Path | None:
    """Where what the engine worked on is written, if it shall be."""
    given = variables.get("HOLOPTYCHO_DUMP_ENGINE_INPUTS")
    return Path(given).absolute() if given else None


_AZURE = ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZURE_ML_WORKSPACE")


def registry_address(variables: Mapping[str, str]) -> str:
    """Where missing networks come from: FIRSTLIGHT_MODEL_REGISTRY, or the workspace that holoptycho's variables name; else nothing.

    Raises:
        ConfigError: The workspace is not named whole.
    """
    given = variables.get("FIRSTLIGHT_MODEL_REGISTRY")
    missing = [name for name in _AZURE if not variables.get(name)]
    if given or len(missing) == len(_AZURE):
        return given or ""
    if missing:
        raise ConfigError(
            f"The workspace of Azure Machine Learning lacks {' and '.join(missing)}.",
            expected=f"{', '.join(_AZURE)}: all three, or none",
        )
    subscription, group, workspace = (quote(variables[name], safe="") for name in _AZURE)
    provider = "providers/Microsoft.MachineLearningServices"
    return f"azureml:///subscriptions/{subscription}/resourceGroups/{group}/{provider}/workspaces/{workspace}"


def log_level(variables: Mapping[str, str]) -> str:
    """The least level of the lines that `logs` shows, one of `LEVELS`.

    Raises:
        ConfigError: It is none.
    """
    given = (variables.get("HOLOPTYCHO_LOG_LEVEL") or "INFO").upper()
    found = {"WARN": "WARNING", "CRITICAL": "ERROR", "FATAL": "ERROR"}.get(given, given)
    if found not in LEVELS:
        raise ConfigError(
            "There is no such level.", field="HOLOPTYCHO_LOG_LEVEL", value=given[:80], expected=", ".join(LEVELS)
        )
    return found


def _curve(variables: Mapping[str, str]) -> str | None:
    """The server's public key, if the streams speak CurveZMQ."""
    given = [name for name in _KEYS if variables.get(name)]
    if not given:
        return None
    if len(given) < len(_KEYS):
        missing = ", ".join(name for name in _KEYS if name not in given)
        raise ConfigError(
            f"Incomplete ZMQ auth configuration: {', '.join(given)} set. Missing: {missing}.",
            expected="all three variables, or none",
        )
    for name in _KEYS:
        z85(variables[name], name)
    _check_pair(variables)
    return z85(variables["SERVER_PUBLIC_KEY"], "SERVER_PUBLIC_KEY")


def _check_pair(variables: Mapping[str, str]) -> None:
    """Refuse keys of two pairs: the wrong one is silent on the wire."""
    try:
        import zmq
    except ModuleNotFoundError:
        return  # the source that needs it says which extra is missing
    public = zmq.curve_public(z85(variables["CLIENT_SECRET_KEY"], "CLIENT_SECRET_KEY").encode("ascii"))
    if public.decode("ascii") != z85(variables["CLIENT_PUBLIC_KEY"], "CLIENT_PUBLIC_KEY"):
        raise ConfigError("CLIENT_PUBLIC_KEY and CLIENT_SECRET_KEY are no pair.", expected="two keys made together")


def z85(text: str, name: str) -> str:
    """A CurveZMQ key as Z85: it is given so (40 characters), or as base64 of its 32 bytes.

    Raises:
        ConfigError: It is neither; the message does not repeat it.
    """
    try:
        return z85_key(text, name)
    except BadKey as error:
        raise ConfigError(error.message, expected=error.expected) from None
