"""The record that a result carries, whatever its format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from firstlight.core import registry
from firstlight.core.errors import SourceError

LARGEST = 256 * 2**20
"""Bytes of the largest JSON file that is read as a record."""


def read_record(path: Path) -> dict[str, Any]:
    """The record of a result: of an HDF5 file, of a folder (``record.json``, Zarr's attributes), or of a JSON file beside it.

    Raises:
        SourceError: There is none: the file can not be read, or another program wrote it.
    """
    if not path.exists():
        raise SourceError("There is no such result.", field="path", value=str(path), next_move="Check the path.")
    plugin = None if path.is_dir() else _of_plugin(path)
    if plugin is not None:
        found = plugin
    elif path.is_dir():
        found = _of_folder(path)
    elif path.suffix.lower() == ".json":
        found = _json(path)
    else:
        found = _of_file(path)
    record = found.get("record", found)
    if not isinstance(record, Mapping) or not isinstance(cast("Mapping[str, Any]", record).get("job"), Mapping):
        raise _none(path)
    return dict(cast("Mapping[str, Any]", record))


def _none(path: Path) -> SourceError:
    return SourceError(
        "This holds no record of firstlight.",
        field="path",
        value=str(path),
        expected="a result of 'firstlight run', or the job file that made it",
    )


def _of_plugin(path: Path) -> dict[str, Any] | None:
    """The record as a sink reads it that has a format of its own: its class method ``record_of(path)`` gives it, or None."""
    for name in registry.names("sinks"):
        try:
            read = getattr(registry.get("sinks", name), "record_of", None)
        except ImportError:
            continue
        found = None if read is None else read(path)
        if found is not None:
            return dict(found)
    return None


def _of_folder(path: Path) -> dict[str, Any]:
    for name in ("record.json", "zarr.json", ".zattrs"):
        if (path / name).is_file():
            found = _json(path / name)
            attributes = found.get("attributes", found)
            own = (
                cast("Mapping[str, Any]", attributes).get("firstlight", attributes)
                if isinstance(attributes, Mapping)
                else {}
            )
            return dict(cast("Mapping[str, Any]", own)) if isinstance(own, Mapping) else {}
    raise _none(path)


def _of_file(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        if file.read(8) == b"\x89HDF\r\n\x1a\n":
            from firstlight.connectors.hdf5.state import read_state

            return read_state(path).record
    for beside in (path.with_suffix(".json"), path.with_name(path.name + ".json")):
        if beside.is_file():
            return _json(beside)
    raise _none(path)


def _json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > LARGEST:
        raise _none(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"This is no JSON: {error}.", field="path", value=str(path)) from None
    if not isinstance(found, dict):
        raise _none(path)
    return cast("dict[str, Any]", found)
