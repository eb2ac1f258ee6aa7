"""Everything that a job may name, with the schema of its parameters.

Also a command, ``python -m firstlight.jobs.catalogue``, which prints it as JSON: the service asks it that way, because
loading every plugin keeps the interpreter busy for seconds, and a service must answer meanwhile. What it printed is kept
in a file until something is installed, removed or edited.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from firstlight.core import registry
from firstlight.core.errors import FirstlightError, MissingExtra, UnknownName
from firstlight.core.operator import OperatorFunction

from .protocol import plain

LISTED = ("operators", "sources", "sinks", "views")


def catalogue() -> dict[str, list[dict[str, Any]]]:
    """Plugins by kind: ``{name, kind, title, summary, signature, schema, cites, missing}``."""
    return {kind: [describe(kind, name) for name in registry.names(kind)] for kind in LISTED}


def describe(kind: str, name: str) -> dict[str, Any]:
    """One plugin. Where a library is not installed, ``missing`` says how to get it and the schema is empty.

    Raises:
        UnknownName: There is no such kind, or none of that name.
    """
    try:
        found = registry.get(kind, name)
    except UnknownName:
        raise
    except MissingExtra as missing:
        return _entry(kind, name, name.replace("_", " ").capitalize(), missing.message, missing=str(missing))
    except Exception as broken:  # one plugin that does not load must not hide the others
        return _entry(kind, name, name, "", missing=f"It does not load: {type(broken).__name__}: {broken}")
    model = found.step if isinstance(found, OperatorFunction) else found
    title = model.title() if hasattr(model, "title") else name.replace("_", " ").capitalize()
    summary = model.summary() if hasattr(model, "summary") else (model.__doc__ or "").strip().partition("\n")[0]
    signature = getattr(model, "signature", None)
    return _entry(
        kind,
        name,
        title,
        summary,
        signature=getattr(signature, "text", None),
        schema=model.model_json_schema() if hasattr(model, "model_json_schema") else {},
        cites=list(getattr(model, "cites", ())),
    )


def _entry(
    kind: str,
    name: str,
    title: str,
    summary: str,
    *,
    signature: str | None = None,
    schema: dict[str, Any] | None = None,
    cites: list[str] | None = None,
    missing: str | None = None,
) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind.removesuffix("s"),
        "title": title,
        "summary": summary,
        "signature": signature,
        "schema": schema or {},
        "cites": cites or [],
        "missing": missing,
    }


def catalogue_text(folder: Path, timeout: float = 120.0) -> bytes:
    """The catalogue as JSON: as it was kept, or made by a process of its own and kept.

    Args:
        folder: Where it is kept.
        timeout: Seconds that the process may take.

    Raises:
        FirstlightError: That process failed; the message has what it printed last.
    """
    kept = folder / f"catalogue-{fingerprint()}.json"
    try:
        return kept.read_bytes()
    except OSError:
        text = _made_by_another_process(timeout)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("catalogue-*.json"):
            old.unlink()
        aside = kept.with_suffix(f".{os.getpid()}")
        aside.write_bytes(text)
        aside.replace(kept)
    except OSError:  # a full disk, say: it is made again the next time
        pass
    return text


def fingerprint() -> str:
    """Another text whenever something was installed, removed, or edited in a package that brings plugins."""
    points = [point for kind in registry.KINDS for point in entry_points(group=f"firstlight.{kind}")]
    found = hashlib.sha256(f"{sys.version} {sorted(map(str, points))}".encode())
    for place in map(Path, sys.path):
        if place.name in ("site-packages", "dist-packages") and place.is_dir():
            found.update(f"{place} {place.stat().st_mtime_ns}".encode())  # libraries that steps need may come and go
    for package in sorted({point.value.partition(".")[0].partition(":")[0] for point in points}):
        spec = importlib.util.find_spec(package)
        for place in (spec and spec.submodule_search_locations) or ():
            for source in sorted(Path(place).rglob("*.py")):
                stat = source.stat()
                found.update(f"{source} {stat.st_size} {stat.st_mtime_ns}".encode())
    return found.hexdigest()[:24]


def _made_by_another_process(timeout: float) -> bytes:
    command = [sys.executable, "-m", "firstlight.jobs.catalogue"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)  # noqa: S603
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise FirstlightError(
            "The catalogue could not be made.",
            field="catalogue",
            value=" ".join(last),
            next_move="Run 'firstlight list operators' to see which plugin fails.",
        )
    return done.stdout


if __name__ == "__main__":
    json.dump(plain(catalogue(), nan=False), sys.stdout)
