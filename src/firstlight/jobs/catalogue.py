"""Everything that a job may name, with the schema of its parameters.

Also a command, ``python -m firstlight.jobs.catalogue``, which prints it as JSON: the service asks it that way, because
loading every plugin keeps the interpreter busy for seconds, and a service must answer meanwhile.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from firstlight.core import registry
from firstlight.core.errors import FirstlightError, MissingExtra, UnknownName
from firstlight.core.operator import OperatorFunction

from .protocol import plain

LISTED = ("operators", "sources", "sinks", "views", "runners", "simulators")


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


def catalogue_of_another_process(timeout: float = 120.0) -> dict[str, list[dict[str, Any]]]:
    """The catalogue, made in a process of its own.

    Raises:
        FirstlightError: That process failed; the message has what it printed last.
    """
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
    return json.loads(done.stdout)


if __name__ == "__main__":
    json.dump(plain(catalogue(), nan=False), sys.stdout)
