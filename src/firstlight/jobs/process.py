"""The process of one run: loads the job, runs it, owns its sinks and record, and lets others watch.

Started by `supervise` as ``python -m firstlight.jobs.process FOLDER``. It needs nobody: the service may die and come back.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from firstlight.core.errors import FirstlightError, JobError
from firstlight.core.job import Job
from firstlight.core.run import ENDED, Event, Run, Status
from firstlight.core.source import Source
from firstlight.core.step import Step

from .confine import confine, refuse_foreign_code, refuse_foreign_profile
from .further import FurtherScan, next_folder, request_after
from .journal import Journal
from .master import write_master_of
from .protocol import plain
from .server import RunServer
from .snapshots import write_snapshots
from .store import RunFolder

Start = Callable[[Mapping[str, Any], RunFolder], Run]
"""Makes a run of a request (``{job, overrides, runner, roots}``), and writes ``job.json`` and ``steps.json``."""

_TICK = 0.25
"""Seconds between two looks at the run's state."""


class _StopRequested(BaseException):
    """SIGTERM came before there was a run to stop."""


def start_job(request: Mapping[str, Any], folder: RunFolder, source: Source | None = None) -> Run:
    """Load the job that was asked for, and start it on threads of this process.

    Args:
        request: What was asked for.
        folder: Of the run.
        source: Over connections that are there, in place of the job's own.

    Raises:
        JobError: It has mistakes.
        FirstlightError: Its source can not be opened.
    """
    from .load import load_job
    from .start import start

    if request.get("roots") is not None:
        refuse_foreign_profile(request["job"])
        refuse_foreign_code(request["job"])
    job = load_job(request["job"], dict(request.get("overrides") or {}))
    if request.get("roots") is not None:
        confine(job, [Path(root) for root in request["roots"]])
    if source is not None:
        job = replace(job, source=source)
    folder.write("job.json", job.to_dict())
    folder.write("steps.json", describe_steps(job))
    folder.update(name=job.name)
    job.source.on_listening(lambda: folder.write("listening.json", {"at": time.time()}))
    follower = job.source.follower() if job.runner.further_scans else None
    try:
        return start(job)
    except BaseException:
        if follower is not None:
            follower.close()
        raise


def describe_steps(job: Job) -> dict[str, Any]:
    """Title, summary and schema of each step's parameters, by step name."""
    return {node.name: describe_step(node.step) for node in job.pipeline.nodes}


def describe_step(step: Step) -> dict[str, Any]:
    """Title, summary and schema of a step's parameters."""
    return {"title": type(step).title(), "summary": type(step).summary(), "schema": type(step).model_json_schema()}


def execute(folder: RunFolder, start: Start = start_job) -> int:
    """Run what a folder's request asks for, to its end.

    Returns:
        The exit code: 0 done or stopped, 1 failed, 2 a job with mistakes.
    """
    stop = _Signals()
    try:
        run = start(folder.read("request.json"), folder)
    except _StopRequested:
        folder.update(state="stopped", ended=time.time())
        return 0
    except Exception as error:
        return _failed_to_start(folder, error)
    return _see_through(run, folder, stop)


def _see_through(run: Run, folder: RunFolder, stop: _Signals) -> int:
    """Let others watch a run until it has ended, and the run of a scan that begins meanwhile; the worse of their exit codes."""
    stop.send_to(run)  # before all else: a signal without a run to stop ends the process
    journal = Journal(folder.path / "log.jsonl")
    journal.follow(run)
    server = RunServer(run, journal, folder.path)
    folder.update(state="running", address=server.address, result=run.status().result)
    further = FurtherScan(run, lambda source: _next_scan(source, run, folder, journal, stop))
    if further.impossible:
        text = "Further scans are not taken: a scan of this source has connections of its own."
        journal.add(Event("log", text, level="warning"))
    error = _watch(run, folder)
    try:
        journal.close()
        code = _end(run, folder, error)
    finally:
        server.close()
    return max(code, further.finish())


def _next_scan(source: Source, run: Run, before: RunFolder, journal: Journal, stop: _Signals) -> int:
    """See the run of the scan through that has begun."""
    try:
        request = request_after(run, before)
        folder = next_folder(before, request)
    except Exception as error:  # the run that goes on must not end by it
        traceback.print_exception(error)
        journal.add(Event("log", f"Another scan began, and no run could be made for it: {error}", level="error"))
        source.close()
        return 1
    journal.add(
        Event("log", f"Another scan began: number {request['scan']} is the run {folder.id}.", data={"run": folder.id})
    )
    try:
        following = start_job(request, folder, source)
    except Exception as error:
        source.close()
        return _failed_to_start(folder, error)
    if getattr(run, "stopping", False):  # asked while this one began
        following.stop()
    return _see_through(following, folder, stop)


def _failed_to_start(folder: RunFolder, error: Exception) -> int:
    problems = (
        list(error.problems)
        if isinstance(error, JobError)
        else [str(error)]
        if isinstance(error, FirstlightError)
        else []
    )
    if not isinstance(error, FirstlightError):
        traceback.print_exception(error)
    text = str(error) if isinstance(error, FirstlightError) else f"{type(error).__name__}: {error}"
    folder.update(state="failed", ended=time.time(), error=text, problems=problems)
    return 2 if isinstance(error, JobError) else 1


def _watch(run: Run, folder: RunFolder) -> Exception | None:
    """Wait for the end, keeping the files fresh meanwhile; the error that ended it, if one did."""
    looks = 0
    while True:
        try:
            run.finished(timeout=_TICK)
            return None
        except TimeoutError:
            status = run.status()
            if status.state in ENDED:
                return None if status.error is None else FirstlightError(status.error)
        except Exception as error:
            return error
        if status.state != folder.entry().state:
            folder.update(state=status.state, result=status.result)
        if looks % 4 == 0:  # once a second: after a crash this is what is known
            folder.keep_status(status)
        looks += 1


def _end(run: Run, folder: RunFolder, error: Exception | None) -> int:
    """Write down everything that must outlive the process; the state comes last, so that the rest is there with it."""
    status = run.status()
    if error is not None and not isinstance(error, FirstlightError):
        traceback.print_exception(error)
    text = status.error or (None if error is None else str(error))
    state = status.state if status.state in ENDED else "failed" if error is not None else "done"
    _keep_views(run, status, folder)
    record: Mapping[str, Any] = getattr(run, "record", {})
    unwritten = write_snapshots(getattr(run, "snapshots", ()), record) + links_of(record)
    if unwritten:
        text, state = text or " ".join(unwritten), "failed"
    report = plain(run.report(), nan=False)
    folder.write("report.json", report)
    folder.keep_status(status)
    wanted = (folder.read("request.json") or {}).get("report")
    if wanted:
        try:
            Path(wanted).write_text(json.dumps(report, indent=1) + "\n")
        except OSError as failed:
            text = text or f"The report could not be written to {wanted}: {failed}"
            state = "failed"
    folder.update(state=state, ended=time.time(), error=text, result=status.result)
    return 1 if state == "failed" else 0


def links_of(record: Mapping[str, Any]) -> list[str]:
    """Write the file of links where every step was saved; what went wrong, in words."""
    job = record.get("job", {})
    if not record.get("complete") or not job.get("runner", {}).get("save_all"):
        return []
    try:
        write_master_of(job, record)
    except FirstlightError as error:
        return [str(error)]
    return []


def _keep_views(run: Run, status: Status, folder: RunFolder) -> None:
    """Keep the last pictures, as far as they are small enough and the disk has room: they are a kindness, no result."""
    for view in status.views:
        with contextlib.suppress(FirstlightError, OSError):
            shown = run.view(view.name)
            if shown is not None:
                folder.keep_view(view.name, shown)


class _Signals:
    """SIGTERM and SIGINT end the runs in order; the second one ends the process."""

    def __init__(self) -> None:
        self._runs: list[Run] = []
        self._asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def send_to(self, run: Run) -> None:
        self._runs.append(run)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._runs:
            raise _StopRequested
        if self._asked:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._asked = True
        for run in self._runs:
            run.stop()


def main(arguments: list[str]) -> int:
    """Run what the folder given as the only argument asks for."""
    faulthandler.enable()
    return execute(RunFolder(Path(arguments[0])))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
