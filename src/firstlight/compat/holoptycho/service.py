"""Starting, stopping and watching one run after the other, as holoptycho's service does."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firstlight.core.errors import FirstlightError, UnknownName
from firstlight.core.run import ENDED
from firstlight.jobs.remote import RemoteRun
from firstlight.jobs.supervise import Supervisor

from .config import ConfigError, read_config
from .environment import LEVELS, inputs_folder, log_level, models_folder, read_environment, registry_address
from .job import job_of
from .kept import Kept, write_ini
from .models import Models

KEPT_LOGS = 20
"""Runs whose lines `logs` still shows."""
PRINTED = 100_000
"""Bytes of what a process printed, at most."""


class Refused(FirstlightError):
    """A request that the service does not carry out, with the code that holoptycho answers.

    Args:
        status: Code of HTTP.
        message: Why.
    """

    def __init__(self, status: int, message: str) -> None:
        """Keep the code."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that requests wait at most; holoptycho's own."""

    ready: float = 60.0
    previous: float = 30.0
    stop: float = 20.0
    kill: float = 5.0


@dataclass
class Service:
    """One run at a time, from a config that is kept. Safe to call from any thread.

    Args:
        supervisor: Starts the runs.
        variables: The environment.
        roots: Folders that runs may read and write; results go to the first one.
        patience: How long requests wait.
    """

    supervisor: Supervisor
    variables: Mapping[str, str]
    roots: Sequence[Path]
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        """Take over what an earlier service left: its config, and its run if that still goes on.

        Raises:
            ConfigError: The environment lacks the address of a stream, or has some keys of CurveZMQ and not all.
        """
        read_environment(self.variables)
        self._shown = LEVELS[LEVELS.index(log_level(self.variables)) :]
        given = self.variables.get("HOLOPTYCHO_DB_PATH")
        self.kept = Kept(Path(given) if given else self.supervisor.store.root.parent / "holoptycho.db")
        self.models = Models(models_folder(self.variables), self.kept, registry_address(self.variables))
        self._busy = threading.Lock()

    # ---- what goes on ------------------------------------------------------------------------------------------------

    def _current(self) -> RemoteRun | None:
        """The newest run, whoever started it: of a scan that began while another one was reconstructed, its own."""
        known = self.kept.get("current_run")
        try:
            run = None if known is None else self.supervisor.run(known)
            while run is not None and (following := run.folder.next()) is not None:
                run = self.supervisor.run(following)
                self.kept.set(current_run=run.id, logged=[*self._logged(), run.id][-KEPT_LOGS:])
        except UnknownName:
            return None
        return run

    def snapshot(self) -> dict[str, Any]:
        """Everything that `status` tells."""
        run = self._current()
        status, error, ready, since = "stopped", None, False, None
        if run is not None:
            entry = run.entry()
            ready = run.folder.listens()
            status, error = _status(entry.state, ready), entry.error if entry.state in ("failed", "crashed") else None
            since = None if entry.over else entry.started
        return {
            "status": status,
            "uptime_seconds": None if since is None else round(time.time() - since, 1),
            "error": error,
            "pipeline_ready": ready and status == "running",
            "last_config": self.kept.get("last_config"),
            **self.models.status(),
            "log_file": None if run is None else str(run.folder.path / "log.jsonl"),
            "run": None if run is None else run.id,
        }

    def config(self) -> dict[str, str]:
        """The config that was run last.

        Raises:
            Refused: There is none.
        """
        found = self.kept.get("last_config")
        if not isinstance(found, dict):
            raise Refused(404, "No config has been set yet.")
        return found

    # ---- run, stop, restart --------------------------------------------------------------------------------------------

    def run(self, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Start a run, and wait until it listens to its streams.

        Args:
            config: Flat config; None: the one that was run last.

        Raises:
            Refused: One runs already or is still ending, or the config is not right (400), or the run ended before it
                listened (500), or does not listen yet (504).
        """
        if not self._busy.acquire(timeout=self.patience.previous):
            raise Refused(400, "The previous run is still shutting down.")
        try:
            if self._runs():
                raise Refused(400, "Pipeline is already running.")
            return self._start(config)
        finally:
            self._busy.release()

    def stop(self) -> None:
        """End the run, and those of earlier scans that still go on beside it, and wait until they are over; what does not end is killed.

        Raises:
            Refused: None runs.
        """
        if not self._busy.acquire(timeout=self.patience.previous):
            raise Refused(400, "The previous run is still shutting down.")
        try:
            if not self._going():
                raise Refused(400, "Pipeline is not running.")
            self._end()
        finally:
            self._busy.release()

    def restart(self, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """End the run if one goes on, and start another; also after `stop`, where holoptycho refuses.

        Raises:
            Refused: As `run`; nothing is stopped for a config that is not right.
        """
        if not self._busy.acquire(timeout=self.patience.previous):
            raise Refused(400, "The previous run is still shutting down.")
        try:
            self._job(config)
            if self._runs():
                self._end()
            return self._start(config)
        finally:
            self._busy.release()

    def _runs(self) -> bool:
        run = self._current()
        return run is not None and not run.entry().over

    def _going(self) -> list[RemoteRun]:
        """The newest run, and those of earlier scans in the same process, as far as they are not over."""
        run = self._current()
        if run is None:
            return []
        process = run.entry().pid or -1
        same = [each.id for each in self.supervisor.entries() if each.id == run.id or each.pid == process]
        return [each for each in map(self.supervisor.run, same) if not each.entry().over]

    def _end(self) -> None:
        going = self._going()
        for run in going:
            run.stop()
        _wait_for(going, self.patience.stop)
        for run in going:
            run.kill()  # harmless when it is over
        _wait_for(going, self.patience.kill)

    def _job(self, config: Mapping[str, Any] | None) -> tuple[dict[str, str], dict[str, Any], tuple[str, ...]]:
        """The config to keep, the job, and warnings.

        Raises:
            Refused: The config is not right, or there is none.
        """
        if config is None and self.kept.get("last_config") is None:
            raise Refused(400, "No config: give one, or run with one first.")
        try:
            found = read_config(self.config() if config is None else config)
            job = job_of(found, read_environment(self.variables), Path(self.roots[0]), self.models.path)
        except ConfigError as error:
            raise Refused(400, str(error)) from None
        return found.given, job, found.warnings

    def _start(self, config: Mapping[str, Any] | None) -> dict[str, Any]:
        given, job, warnings = self._job(config)
        # the chosen network may lie anywhere, and what is dumped go anywhere: the owner of the service says so, not who asks for the run
        dumped = inputs_folder(self.variables)
        chosen = [] if self.models.path is None else [Path(self.models.path)]
        chosen += [] if dumped is None else [dumped]
        run = self.supervisor.start(job, roots=[*self.roots, *chosen])
        kept = [*self._logged(), run.id][-KEPT_LOGS:]
        folder = self.variables.get("HOLOPTYCHO_CONFIG_DIR")
        if folder:
            write_ini(Path(folder), given)
        self.kept.set(last_config=given, current_run=run.id, logged=kept, warnings=list(warnings))
        deadline = time.monotonic() + self.patience.ready
        while True:
            entry = run.entry()
            if entry.state in ENDED and entry.state != "done":
                wrong = bool(entry.problems)
                raise Refused(400 if wrong else 500, entry.error or "The run ended before it was ready.")
            if run.folder.listens():
                return self.snapshot()
            if time.monotonic() > deadline:
                raise Refused(504, f"The run is not ready after {self.patience.ready:g} s; it goes on trying.")
            time.sleep(0.05)

    # ---- logs ----------------------------------------------------------------------------------------------------------

    def _logged(self) -> list[str]:
        found = self.kept.get("logged")
        return [str(run) for run in found] if isinstance(found, list) else []

    def logs(self, lines: int) -> list[str]:
        """The last lines of the runs since the log was cleared, of the level that HOLOPTYCHO_LOG_LEVEL says, and above."""
        found: list[str] = []
        cleared = self.kept.get("cleared") or {}
        for run in reversed(self._logged()):
            if len(found) >= lines:
                break
            found = self._lines_of(run, int(cleared.get(run, 0))) + found
        return found[-lines:] if lines else []

    def _lines_of(self, run: str, after: int) -> list[str]:
        try:
            folder = self.supervisor.store.folder(run)
        except UnknownName:
            return []
        found: list[Mapping[str, Any]] = [*folder.log(after)]
        if run == self.kept.get("current_run") and not after:
            found = [{"level": "warning", "text": text} for text in self.kept.get("warnings") or []] + found
        if "DEBUG" in self._shown:
            # in front: nobody knows when they were printed, and who follows the log looks at its end
            found = [{"level": "debug", "text": text} for text in _printed(folder.path / "output.txt")] + found
        entry = folder.entry()
        if entry.error is not None:
            found.append({"at": entry.ended, "level": "error", "text": entry.error})
        return [_line(each) for each in found if _level(each) in self._shown]

    def clear_logs(self) -> list[str]:
        """Forget the lines so far; which runs' lines are gone for good."""
        runs, current = self._logged(), self.kept.get("current_run")
        left = [run for run in runs if run == current]
        count = {run: len(self.supervisor.store.folder(run).log()) for run in left if self._current() is not None}
        self.kept.set(logged=left, cleared=count, warnings=[])
        return [run for run in runs if run != current]


def _wait_for(runs: Sequence[RemoteRun], seconds: float) -> None:
    """Wait until runs are over, or for so long."""
    deadline = time.monotonic() + seconds
    while not all(run.entry().over for run in runs) and time.monotonic() < deadline:
        time.sleep(0.05)


def _status(state: str, ready: bool) -> str:
    if state == "starting":
        return "running" if ready else "starting"
    known = {"running": "running", "draining": "running", "done": "finished", "stopped": "stopped"}
    return known.get(state, "error")


def _level(line: Mapping[str, Any]) -> str:
    return str(line.get("level", "info")).upper()


def _line(line: Mapping[str, Any]) -> str:
    at = line.get("at")
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) + " " if isinstance(at, int | float) and at else ""
    return f"{stamp}{_level(line)} {line.get('text', '')}"


def _printed(path: Path) -> list[str]:
    """The last of what the process of a run printed: mostly what libraries have to say."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - PRINTED))
            return file.read(PRINTED).decode(errors="replace").splitlines()
    except OSError:
        return []
