"""``firstlight show NAME``: what something does, and its parameters."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from .say import JsonOption, say, verb


@verb
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A step, source, sink, view, runner or simulator.")],
    json_: JsonOption = False,
) -> None:
    """Show what something does, and the parameters that it takes."""
    import json

    from firstlight.jobs.protocol import plain

    found = find(name)
    if json_:
        say(json.dumps(plain(found if len(found) > 1 else found[0], nan=False), indent=1))
        return
    from rich.console import Console

    console = Console()
    for entry in found:
        _print(console, entry)


def find(name: str) -> list[dict[str, Any]]:
    """Everything of a name, of whatever kind.

    Raises:
        UnknownName: There is nothing of that name; close names are suggested.
    """
    import difflib

    from firstlight.core import registry
    from firstlight.core.errors import UnknownName
    from firstlight.jobs.catalogue import describe

    kinds = [kind for kind in registry.KINDS if name in registry.names(kind)]
    if not kinds and name in registry.aliases():
        return find(registry.aliases()[name])  # what another program calls it
    if not kinds:
        every = sorted({known for kind in registry.KINDS for known in registry.names(kind)})
        close = difflib.get_close_matches(name, every, n=3)
        raise UnknownName(
            f"There is nothing called '{name}'.",
            field="name",
            value=name,
            expected="a name that 'firstlight list operators' (or sources, sinks, …) shows",
            next_move=f"Did you mean {' or '.join(close)}?" if close else None,
        )
    return [describe(kind, name) for kind in kinds]


def _print(console: Any, entry: dict[str, Any]) -> None:
    from rich.markup import escape

    console.print(f"[bold]{entry['name']}[/bold] ({entry['kind']})  {escape(entry['summary'])}")
    for paragraph in str(entry["schema"].get("description", "")).split("\n\n")[1:]:
        if paragraph.startswith(("Args:", "Returns:", "Raises:")):
            break  # the parameters follow in a table
        console.print(escape(" ".join(paragraph.split())))
    if entry["signature"]:
        axes = re.sub(r": *(?=,|$)", "", entry["signature"])  # single numbers have none
        console.print(f"  axes: {escape(axes)}")
    if entry["missing"]:
        console.print(f"  {escape(entry['missing'])}")
    print_parameters(console, entry["schema"])
    for doi in entry["cites"]:
        console.print(f"  https://doi.org/{doi}")
    console.print()


def print_parameters(console: Any, schema: dict[str, Any], prefix: str = "") -> None:
    """Print the parameters of a JSON schema as a table."""
    from rich.markup import escape
    from rich.table import Table

    properties = schema.get("properties", {})
    if not properties:
        return
    table = Table("parameter", "type", "default", "meaning", box=None, padding=(0, 1), header_style="dim")
    for name, described in properties.items():
        default = "(needed)" if name in schema.get("required", []) else _text(described.get("default"))
        table.add_row(
            f"{prefix}{name}", escape(type_of(described)), escape(default), escape(described.get("description", ""))
        )
    console.print(table)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def type_of(described: dict[str, Any]) -> str:
    """What a parameter may be, in a few words."""
    if "enum" in described:
        return " | ".join(str(choice) for choice in described["enum"])
    if "const" in described:
        return str(described["const"])
    options = described.get("anyOf") or described.get("oneOf")
    if options:
        return " | ".join(dict.fromkeys(type_of(option) for option in options if option.get("type") != "null"))
    limits = [f"{sign} {described[key]}" for key, sign in _LIMITS.items() if key in described]
    return " ".join(
        [str(described.get("type", "value")), *([described["unit"]] if "unit" in described else []), *limits]
    )


_LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
