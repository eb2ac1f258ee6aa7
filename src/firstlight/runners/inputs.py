"""What a run read, so that a later one can tell whether it is still the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from firstlight.core.source import Source

BLOCK = 2**20
BLOCKS = 16
"""So many blocks of a file are looked at, spread over it: a scan may be larger than what can be read in a while."""


def inputs_of(source: Source) -> list[dict[str, Any]]:
    """The files and folders that a source names, by the field that names them."""
    found: list[dict[str, Any]] = []
    for field in type(source).model_fields:
        value = getattr(source, field)
        if isinstance(value, Path):
            with suppress(OSError):
                found.append({"field": field, **fingerprint(value.expanduser())})
    return found


def fingerprint(path: Path) -> dict[str, Any]:
    """Size, time and a hash of a file's blocks, or of a folder's list of files.

    Raises:
        OSError: It is not there, or not ours to read.
    """
    place = path.absolute()
    if place.is_dir():
        return {"path": str(place), **_folder(place)}
    told = place.stat()
    return {"path": str(place), "bytes": told.st_size, "modified": told.st_mtime_ns, "sha256": _blocks(place)}


def _blocks(path: Path) -> str:
    """Hash of the whole file if it is small, else of blocks from its start to its end."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        size = file.seek(0, 2)
        last = max(size - BLOCK, 0)
        many = min(BLOCKS, -(-last // BLOCK) + 1)
        for number in range(many):
            file.seek(last * number // max(many - 1, 1))
            found.update(file.read(BLOCK))
    return found.hexdigest()


def _folder(path: Path) -> dict[str, Any]:
    files = sorted(each for each in path.rglob("*") if each.is_file())
    found, size, newest = hashlib.sha256(), 0, 0
    for each in files:
        told = each.stat()
        size, newest = size + told.st_size, max(newest, told.st_mtime_ns)
        found.update(f"{each.relative_to(path)} {told.st_size} {told.st_mtime_ns}\n".encode())
    return {"files": len(files), "bytes": size, "modified": newest, "sha256": found.hexdigest()}


def difference(noted: Mapping[str, Any], path: Path) -> str | None:
    """Why a file or folder is not what it was, in words; None if it is."""
    try:
        now = fingerprint(path)
    except OSError as error:
        return f"'{path}' can not be read any more: {error.strerror or error}."
    if now["bytes"] != noted.get("bytes"):
        return f"'{path}' has {now['bytes']} bytes now, and had {noted.get('bytes')}."
    if now["modified"] != noted.get("modified") and now["sha256"] != noted.get("sha256"):
        return f"'{path}' has been written to since."
    return None
