"""``firstlight import FILE``: the job that another program's settings mean."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import typer

from .say import remark, say, verb


def importers() -> Iterator[tuple[str, Any]]:
    """Programs whose settings are understood, and the modules that read them (``recognises`` and ``read``)."""
    for point in sorted(entry_points(group="firstlight.importers"), key=lambda point: point.name):
        yield point.name, point.load()


@verb
def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A Savu process list, HTTomo pipeline, tofu or tomocupy configuration."),
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="JOB", help="Write the job to a file (YAML).")
    ] = None,
    scan: Annotated[Path | None, typer.Option("--scan", help="The recorded scan that the job will read.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Turn the settings of another program into a job, and list what could not be carried over."""
    import textwrap

    import yaml

    from firstlight.core.errors import FirstlightError, SourceError

    if not file.is_file():
        raise SourceError("There is no such file.", field="path", value=str(file), next_move="Check the path.")
    if out is not None and out.exists() and not force:
        raise FirstlightError(
            "The file is there already.",
            field="--out",
            value=str(out),
            next_move="Choose another name, or give --force.",
        )
    known = dict(importers())
    reader = next((module for module in known.values() if module.recognises(file)), None)
    if reader is None:
        raise SourceError(
            "No program whose settings are understood wrote this file.",
            field="path",
            value=str(file),
            expected="settings of " + ", ".join(known),
        )
    found = reader.read(file)
    job = {**found.job, "source": {**found.job["source"], **({"path": str(scan)} if scan else {})}}
    missing = [each for each in found.remarks if scan is None or not each.startswith("The scan is not named")]
    notes = [f"# Made of {file.name} ({found.program}) by 'firstlight import'."]
    notes += ["# To be looked at:"] * bool(missing)
    for each in missing:
        notes += textwrap.wrap(each, 110, initial_indent="#   - ", subsequent_indent="#     ")
    text = "\n".join([*notes, yaml.safe_dump(job, sort_keys=False, allow_unicode=True, width=110)])
    if out is None:
        say(text.rstrip("\n"))
    else:
        out.write_text(text, encoding="utf-8")
        remark(f"Written to {out}: {len(job['steps'])} steps.")
    for each in missing:
        remark(f"to be looked at: {each}")
