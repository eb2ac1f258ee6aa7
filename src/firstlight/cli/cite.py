"""``firstlight cite JOB|RESULT``: the methods paragraph, and the papers behind it."""

from __future__ import annotations

import textwrap
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .say import JsonOption, check_report, remark, say, verb


class Form(StrEnum):
    """How the citation is written."""

    text = "text"
    bibtex = "bibtex"
    ris = "ris"


@verb
def cite(
    path: Annotated[Path, typer.Argument(metavar="JOB|RESULT", help="A job file, or a result with its record.")],
    form: Annotated[Form, typer.Option("--format", help="A paragraph with its list of references, or these alone.")] = (
        Form.text
    ),
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE", help="Write it to a file.")] = None,
    json_: JsonOption = False,
) -> None:
    """Write the methods paragraph of a job or a result: what was done, with which values, and whose work it was."""
    import json
    from dataclasses import asdict

    from firstlight.jobs.cite import cite as citation_of
    from firstlight.jobs.references import bibtex, ris

    check_report(out)
    found = citation_of(path)
    if json_:
        told = json.dumps({"paragraph": found.paragraph, "papers": [asdict(work) for work in found.papers]}, indent=1)
    elif form is Form.bibtex:
        told = bibtex(found.papers)
    elif form is Form.ris:
        told = ris(found.papers)
    else:
        listed = [f"[{number}] {work}" for number, work in enumerate(found.papers, 1)]
        told = "\n".join([textwrap.fill(found.paragraph, 100), "", *listed])
    if out is None:
        say(told.rstrip("\n"))
        return
    out.write_text(told.rstrip("\n") + "\n", encoding="utf-8")
    remark(f"Written to {out}.")
