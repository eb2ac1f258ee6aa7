"""``firstlight init TEMPLATE``: a job file to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .say import remark, say, verb


@verb
def init(
    template: Annotated[
        str | None, typer.Argument(metavar="TEMPLATE", help="A technique or a profile; without one they are listed.")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="JOB", help="Write it to a file (YAML).")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A recorded scan that the job will read.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a commented job with every option of each step at its default, for a technique or a beamline."""
    from firstlight.core.errors import FirstlightError
    from firstlight.jobs.templates import described
    from firstlight.jobs.templates import template as text_of

    if template is None:
        say("\n".join(f"{name:10} {what}" for name, what in described().items()))
        return
    text = text_of(template, *((None, None) if file is None else _suited(template, file)))
    if out is None:
        say(text.rstrip("\n"))
        return
    if out.exists() and not force:
        raise FirstlightError(
            "The file is there already.",
            field="--out",
            value=str(out),
            next_move="Choose another name, or give --force.",
        )
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FirstlightError(
            "It can not be written.", field="--out", value=str(out), expected=str(error.strerror)
        ) from None
    remark(f"Written to {out}. Next: firstlight check {out}")


def _suited(template: str, file: Path) -> tuple[dict[str, Any], list[dict[str, Any]] | None]:
    """The source for a recorded scan, and for tomography the steps that it needs; None: those of the template."""
    from firstlight.core.errors import SourceError
    from firstlight.jobs.defaults import source_of, suggest

    plain = {"use": source_of(file), "path": str(file.absolute())}
    if template != "tomo":
        return plain, None
    try:
        found = suggest(file.absolute(), "reconstruction.nxs")
    except SourceError as error:
        remark(f"note: {error}")
        return plain, None
    if not any(step["use"] == "fbp" for step in found.job["steps"]):
        return plain, None
    for assumption in found.assumptions:
        remark(f"assumed: {assumption}")
    return found.job["source"], found.job["steps"]
