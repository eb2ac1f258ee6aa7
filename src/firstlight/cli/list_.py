"""``firstlight list KIND``: what there is, without loading any of it."""

from __future__ import annotations

import ast
from importlib.metadata import EntryPoint
from typing import Annotated, Any

import typer

from .say import JsonOption, say, verb


@verb
def list_plugins(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND", help="operators (all steps), sources, sinks, views, runners, simulators or runs."
        ),
    ],
    json_: JsonOption = False,
) -> None:
    """List everything of a kind that a job may name; or the runs that were and are."""
    import json

    found = _runs() if kind == "runs" else _plugins("operators" if kind == "steps" else kind)
    if json_:
        say(json.dumps(found, indent=1))
        return
    width = max((len(item["name"]) for item in found), default=0)
    for item in found:
        say(f"{item['name']:{width}}  {item['summary']}".rstrip())


def _plugins(kind: str) -> list[dict[str, Any]]:
    from importlib.metadata import entry_points

    from firstlight.core import registry

    points = {point.name: point for point in entry_points(group=f"firstlight.{kind}")}
    return [
        {"name": name, "kind": kind.removesuffix("s"), "summary": _summary(points.get(name))}
        for name in registry.names(kind)
    ]


def _summary(point: EntryPoint | None) -> str:
    """First line of a plugin's docstring, read from its source: nothing heavy is imported for a list."""
    from importlib.util import find_spec
    from pathlib import Path

    if point is None:
        return ""
    try:
        spec = find_spec(point.module)
        tree = ast.parse(Path(spec.origin).read_bytes()) if spec is not None and spec.origin else ast.Module([], [])
    except (ImportError, OSError, SyntaxError):
        return ""
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == point.attr:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    return ""


def _runs() -> list[dict[str, Any]]:
    import time

    from firstlight.jobs.supervise import Supervisor

    supervisor = Supervisor()
    try:
        entries = supervisor.entries()
    finally:
        supervisor.close()
    return [
        {
            "name": entry.id,
            "title": entry.name,
            "state": entry.state,
            "started": entry.started,
            "ended": entry.ended,
            "summary": f"{entry.state:9} {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(entry.started))}  {entry.name}",
        }
        for entry in entries
    ]
