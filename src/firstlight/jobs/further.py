"""A scan that begins while a run still goes on: a run of its own, in the same process, over the same connections."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from firstlight.core.job import Job, parse_job
from firstlight.core.pipeline import Node
from firstlight.core.run import Run
from firstlight.core.source import Source

from .crash import born
from .store import RunFolder, new_folder

_LOOK = 0.1
"""Seconds between two looks whether the run has ended; a scan that begins is noticed at once."""

Begin = Callable[[Source], int]
"""Sees the next run through; its exit code."""


class FurtherScan:
    """Waits, beside a run, for the scan after its own, if its job asks for it.

    The source has had its follower since before it was opened.

    Args:
        run: The run.
        begin: Called with the source of the next scan, on a thread of ours, when that has begun.
    """

    def __init__(self, run: Run, begin: Begin) -> None:
        """Wait from now on."""
        job = job_of(run)
        self._run, self._begin, self._code = run, begin, 0
        wanted = job is not None and job.runner.further_scans
        self._source = job.source.follower() if wanted and job is not None else None
        self.impossible = wanted and self._source is None
        """It is asked for, and the source takes one scan only."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._wait, name="further scans", daemon=True)
        self._thread.start()

    def finish(self) -> int:
        """The run has ended: wait for no further scan, but see through one that has begun.

        Returns:
            Its exit code; 0 if there is none.
        """
        self._ended.set()
        self._thread.join()
        return self._code

    def _wait(self) -> None:
        source = self._source
        if source is None:
            return
        while not getattr(self._run, "stopping", False):
            last = self._ended.is_set()
            if source.begun(0.0 if last else _LOOK):
                self._code = self._begin(source)
                return
            if last:
                break
        source.close()


def job_of(run: Run) -> Job | None:
    """The job of a run of this process; None of others."""
    found = getattr(run, "job", None)
    return found if isinstance(found, Job) else None


def request_after(run: Run, folder: RunFolder) -> dict[str, Any]:
    """What is to be asked for the scan after a run's own: the same job, with other names for what it writes; and its number (`scan`).

    What the next scan begins with (a probe) is left in the run's folder.
    """
    asked: Mapping[str, Any] = folder.read("request.json") or {}
    first, number = asked.get("first") or folder.job(), int(asked.get("scan") or 1) + 1
    job = parse_job(first)
    job = replace(
        job,
        pipeline=replace(job.pipeline, nodes=tuple(_after(node, run, folder) for node in job.pipeline.nodes)),
        sinks=tuple(replace(spec, sink=spec.sink.numbered(number)) for spec in job.sinks),
        views=tuple(replace(spec, to=tuple(view.numbered(number) for view in spec.to)) for spec in job.views),
        snapshots=tuple(replace(s, path=s.path.with_stem(f"{s.path.stem}_{number}")) for s in job.snapshots),
        name=f"{job.name}_{number}",
    )
    roots: list[str] | None = asked.get("roots")
    if roots is not None:  # the folder of an earlier run is none of the owner's, and not needed any more
        roots = [*(root for root in roots if Path(root).parent != folder.path.parent), str(folder.path)]
    return {"job": job.to_dict(), "roots": roots, "first": first, "scan": number}


def _after(node: Node, run: Run, folder: RunFolder) -> Node:
    status = run.status()
    known = {output: status.values.get(f"{node.name}.{output}") for output in node.step.signature.outputs}
    for view in status.views:
        shown = run.view(view.name) if view.step == node.name else None
        if shown is not None:
            known[view.output] = shown.data
    found = {name: value for name, value in known.items() if value is not None}
    return replace(node, step=node.step.after_scan(found, folder.path))


def next_folder(folder: RunFolder, request: Mapping[str, Any]) -> RunFolder:
    """The folder of the run that follows, of the same process; the run before names it."""
    made = new_folder(folder.path.parent, request, str(request["job"]["name"]))
    made.write("process.json", {"pid": os.getpid(), "born": born(os.getpid())})
    folder.write("next.json", {"run": made.id})
    return made
