"""Starting runs as processes of their own, and finding them again."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from firstlight.core.run import ENDED

from .crash import adopt, born, look_after, reap
from .remote import RemoteRun
from .store import RunEntry, Store

PROCESS = (sys.executable, "-m", "firstlight.jobs.process")
_GONE = 30.0
"""Seconds to wait at most for the process of a run that is over: what is left to do there takes longer on a busy machine."""


class Supervisor:
    """Starts, lists and finds runs. It keeps nothing that the store does not know: another one can take over any time.

    Args:
        store: The runs' folders.
        process: The command of a run process; the run's folder is added.
    """

    def __init__(self, store: Store | None = None, process: Sequence[str] = PROCESS) -> None:
        """Look at nothing yet."""
        self.store = store or Store()
        self._process = tuple(process)
        self._lock = threading.Lock()
        self._runs: dict[str, RemoteRun] = {}

    def start(
        self,
        job: Mapping[str, Any] | Path,
        *,
        overrides: Mapping[str, str] | None = None,
        report: Path | None = None,
        roots: Sequence[Path] | None = None,
    ) -> RemoteRun:
        """Start a job in a process of its own, which outlives this one.

        Args:
            job: The job as plain values, or the path of a job file.
            overrides: ``step.parameter`` to value, as texts.
            report: Where the run shall write its machine-readable report.
            roots: Folders that its paths must lie in; None for a job of the machine's own user.

        Returns:
            The run, which is starting; `started` waits until it does more.
        """
        request = {
            "job": str(job.absolute()) if isinstance(job, Path) else dict(job),
            "overrides": dict(overrides or {}),
            "report": None if report is None else str(report.absolute()),
            "roots": None if roots is None else [str(root) for root in roots],
        }
        self.store.prune()
        folder = self.store.create(request, _name_of(job))
        with (folder.path / "output.txt").open("wb") as output:
            # a session of its own: Ctrl-C in the terminal is for us to pass on, not for the system
            child = subprocess.Popen(  # noqa: S603
                [*self._process, str(folder.path)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        adopt(folder.id, child)
        folder.write("process.json", {"pid": child.pid, "born": born(child.pid)})
        return self.run(folder.id)

    def run(self, run: str) -> RemoteRun:
        """One run by id, whoever started it.

        Raises:
            UnknownName: There is none.
        """
        folder = self.store.folder(run)
        with self._lock:
            return self._runs.setdefault(run, RemoteRun(folder))

    def entries(self) -> list[RunEntry]:
        """All runs, newest first; notices crashes."""
        return [look_after(folder) for folder in self.store.folders()]

    def forget(self, run: str) -> None:
        """Take an ended run out of the store."""
        with self._lock:
            known = self._runs.pop(run, None)
        if known is not None:
            known.close()
        self.store.remove(run)

    def close(self) -> None:
        """Close the connections to all runs; the runs go on."""
        with self._lock:
            known, self._runs = list(self._runs.values()), {}
        for run in known:
            run.close()
            if run.folder.entry().over:
                reap(run.id, _GONE)


def started(run: RemoteRun, timeout: float) -> RunEntry:
    """Wait until a run has left the state ``starting``, or for `timeout` second."""
    deadline = time.monotonic() + timeout
    while True:
        entry = run.entry()
        if entry.state != "starting" or entry.state in ENDED or time.monotonic() >= deadline:
            return entry
        time.sleep(0.02)


def _name_of(job: Mapping[str, Any] | Path) -> str:
    return job.stem if isinstance(job, Path) else str(job.get("name") or "run")
