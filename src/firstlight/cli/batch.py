"""``firstlight batch FOLDER JOB``: one job over many recorded scans."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from .say import (
    FAILED,
    DeviceOption,
    JsonOption,
    MemoryOption,
    OnlyOption,
    SetOption,
    parse_scale,
    parse_sets,
    remark,
    say,
    verb,
)


@verb
def batch(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the scans are, at any depth.")],
    job: Annotated[Path, typer.Argument(metavar="JOB", help="A job file; each scan in turn is its source.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FOLDER", help="Where results and summary go.")],
    pattern: Annotated[
        str | None,
        typer.Option("--pattern", help="Names that count, such as 'scan_*.h5'. Default: what the source recognises."),
    ] = None,
    darks: Annotated[str | None, typer.Option("--darks", help="Dark frames for all scans: a file or folder.")] = None,
    flats: Annotated[str | None, typer.Option("--flats", help="Flat frames for all scans, likewise.")] = None,
    set_: SetOption = None,
    only: OnlyOption = None,
    memory: MemoryOption = None,
    device: DeviceOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the scans.")] = False,
    json_: JsonOption = False,
) -> None:
    """Reconstruct every scan below a folder; what is done is skipped, what fails does not stop the others.

    The summary is written to batch.csv and batch.txt after each scan; the same command again goes on where it ended.
    """
    import json
    from dataclasses import asdict

    from firstlight.core.errors import JobError, SourceError
    from firstlight.jobs.batch import SUMMARY, Batch, Row, as_text
    from firstlight.jobs.protocol import plain

    if not job.is_file():
        raise JobError([f"The job file '{job}' does not exist. Give the path of a YAML file."])
    overrides = parse_sets(set_, only=only) | parse_scale(memory, device)
    found = Batch.of(folder, out, job, overrides=overrides, darks=darks, flats=flats)
    scans = found.scans(pattern)
    if not scans:
        raise SourceError(
            "There is no scan below this folder.",
            field="folder",
            value=str(folder),
            expected=f"files that the source '{found.job['source']['use']}' recognises" if pattern is None else pattern,
            next_move="Name them with --pattern, or use another source.",
        )
    if dry_run:
        say("\n".join(str(scan.relative_to(found.folder)) for scan in scans))
        return
    place = iter(range(1, len(scans) + 1))

    def tell(row: Row) -> None:
        remark(f"[{next(place)}/{len(scans)}] {row.scan}: {row.state}{f' ({row.error})' if row.error else ''}")
        for text in row.warnings:
            remark(f"  warning: {text}")

    rows = found.run(_carry, scans, tell)
    say(json.dumps(plain([asdict(row) for row in rows], nan=False), indent=1) if json_ else as_text(rows))
    remark(f"Summary in {found.out / SUMMARY}.csv and .txt.")
    if any(row.state in ("failed", "stopped") for row in rows):
        raise typer.Exit(FAILED)


def _carry(job: Mapping[str, Any]) -> dict[str, Any]:
    """Run a job to its end in a process of its own; a crash is then that scan's alone.

    Raises:
        KeyboardInterrupt: The user stopped it; the run has ended in order.
    """
    from firstlight.jobs.supervise import Supervisor

    supervisor = Supervisor()
    try:
        run = supervisor.start(job)
        try:
            run.finished()
        except KeyboardInterrupt:
            run.stop()
            run.finished(60.0)
            raise
        return {**run.report(), "state": run.entry().state}
    finally:
        supervisor.close()
