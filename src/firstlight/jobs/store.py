"""The runs that were and are: one folder each, with plain files in it.

No database: each folder has one writer (its run process), is read by whoever lists runs, and must be whole when either
dies; files that are written aside and renamed give just that, and a run can be copied or sent to somebody as it is.

A run's folder holds ``request.json`` (what was asked for), ``process.json`` (its process; both written by who starts it),
``job.json`` (the job as loaded), ``listening.json`` (since when it hears the detector), ``state.json``, ``steps.json`` (schemas of its steps), ``status.json`` (at most a second old), ``log.jsonl``, ``output.txt`` (what the process printed),
``report.json``, ``next.json`` (the run of the scan that began meanwhile), and ``views/`` (the last picture of each view).
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

from firstlight.core.errors import UnknownName
from firstlight.core.run import ENDED, RunState, Status
from firstlight.core.view import Shown
from firstlight.runners.state_folder import state_folder

from .messages import shown_message, shown_of, status_fields, status_of
from .protocol import Decoder, ProtocolError, encode, plain

KEPT_RUNS = 200
"""Folders of ended runs that are kept; the oldest go first."""


@dataclass(frozen=True, slots=True)
class RunEntry:
    """One run as the store knows it; times are Unix times in second."""

    id: str
    name: str = "run"
    state: RunState = "starting"
    started: float = 0.0
    ended: float | None = None
    error: str | None = None
    problems: tuple[str, ...] = ()
    """Every mistake that was found in the job."""
    pid: int | None = None
    born: float | None = None
    """When that process was created: a number alone may belong to somebody else by now."""
    address: str | None = None
    """The Unix socket on which the run process listens."""
    result: str | None = None

    @property
    def over(self) -> bool:
        """True if the run has ended in any way."""
        return self.state in ENDED


class RunFolder:
    """The files of one run. Writing is atomic; reading never sees half a file."""

    def __init__(self, path: Path) -> None:
        """Use a folder; it need not exist yet."""
        self.path = path

    @property
    def id(self) -> str:
        """The run's id: the folder's name."""
        return self.path.name

    def read(self, name: str) -> Any:
        """The content of a JSON file, or None if there is none."""
        try:
            return json.loads((self.path / name).read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None

    def write(self, name: str, value: Any) -> None:
        """Write a JSON file in one step."""
        self.write_bytes(name, json.dumps(plain(value), indent=1).encode())

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a file in one step: aside, then renamed."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}")
        aside.write_bytes(data)
        aside.replace(target)

    def entry(self) -> RunEntry:
        """What is known about the run; a folder without a state is a run that is about to start."""
        found = self.read("state.json")
        given = {**(self.read("process.json") or {}), **(found if isinstance(found, dict) else {})}
        known = {item.name: given[item.name] for item in fields(RunEntry) if item.name in given and item.name != "id"}
        known["problems"] = tuple(known.get("problems") or ())
        return RunEntry(id=self.id, **known)

    def update(self, **changes: Any) -> RunEntry:
        """Change some fields of the state."""
        entry = replace(self.entry(), **changes)
        self.write(
            "state.json", {name: value for name, value in asdict(entry).items() if name not in ("id", "pid", "born")}
        )
        return entry

    def job(self) -> dict[str, Any]:
        """The job as loaded, or as asked for if it was never loaded."""
        found = self.read("job.json")
        if found is None:
            asked = (self.read("request.json") or {}).get("job")
            found = asked if isinstance(asked, dict) else {"path": asked}
        return cast("dict[str, Any]", found)

    def next(self) -> str | None:
        """Id of the run for the scan that began while this one went on; None if there is none."""
        found = self.read("next.json")
        return str(found["run"]) if isinstance(found, dict) and "run" in found else None

    def listens(self) -> bool:
        """True once nothing is missed that a detector sends: the run goes on, or waits for its scan to begin."""
        return self.read("listening.json") is not None or self.entry().state in ("running", "draining", "done")

    def last_status(self) -> Status | None:
        """The status at the end of the run, or None if the process could not write one."""
        found = self.read("status.json")
        try:
            return status_of(found) if isinstance(found, dict) else None
        except ProtocolError:
            return None

    def keep_status(self, status: Status) -> None:
        """Write the last status."""
        self.write("status.json", status_fields(status))

    def keep_view(self, name: str, shown: Shown) -> None:
        """Write the last picture of a view."""
        self.write_bytes(f"views/{_file_name(name)}", b"".join(bytes(part) for part in encode(shown_message(shown))))

    def last_view(self, name: str) -> Shown | None:
        """The last picture of a view, or None if none was kept."""
        try:
            messages = Decoder().feed((self.path / "views" / _file_name(name)).read_bytes())
            return shown_of(messages[0]) if messages else None
        except (FileNotFoundError, ProtocolError):
            return None

    def log(self, after: int = 0) -> list[dict[str, Any]]:
        """Lines of the log numbered `after` and up: ``{n, at, level, kind, text}``; counted from 0."""
        lines: list[dict[str, Any]] = []
        try:
            raw = (self.path / "log.jsonl").read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        for number, line in enumerate(raw[after:-1], after):
            try:
                lines.append({**json.loads(line), "n": number})
            except ValueError:
                lines.append(
                    {"n": number, "at": 0.0, "level": "warning", "kind": "log", "text": line.decode(errors="replace")}
                )
        return lines

    def printed(self, lines: int = 10) -> list[str]:
        """The last lines that the process printed."""
        try:
            with (self.path / "output.txt").open("rb") as file:
                file.seek(max(0, (self.path / "output.txt").stat().st_size - 16384))
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return []
        return [line for line in text.splitlines() if line.strip()][-lines:]


def _file_name(view: str) -> str:
    return (
        "".join(sign if sign.isalnum() or sign in "._-" else f"%{ord(sign):02x}" for sign in view).lstrip(".")
        + ".shown"
    )


def new_folder(among: Path, request: Mapping[str, Any], name: str) -> RunFolder:
    """Make the folder of a new run.

    Args:
        among: Where the folders of runs are.
        request: What is asked for.
        name: Of the run, for people.
    """
    run = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    folder = RunFolder(among / run)
    folder.path.mkdir(mode=0o700)
    folder.write("request.json", request)
    folder.update(name=name, started=time.time())
    return folder


class Store:
    """The folders of all runs.

    Args:
        root: Where they are; `state_folder()` if not given.
    """

    def __init__(self, root: Path | None = None) -> None:
        """Make the folder if it is not there; others on the machine can not read it."""
        self.root = (root or state_folder()) / "runs"
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def create(self, request: Mapping[str, Any], name: str) -> RunFolder:
        """Make the folder of a new run."""
        return new_folder(self.root, request, name)

    def folders(self) -> list[RunFolder]:
        """All runs, newest first."""
        found = [path for path in self.root.iterdir() if path.is_dir() and not path.name.startswith(".")]
        return [RunFolder(path) for path in sorted(found, reverse=True)]

    def folder(self, run: str) -> RunFolder:
        """One run by id.

        Raises:
            UnknownName: There is none.
        """
        path = self.root / run
        if not run or path.parent != self.root or run.startswith(".") or not path.is_dir():
            raise UnknownName(
                "There is no such run.", field="run", value=run, expected="an id that the list of runs shows"
            )
        return RunFolder(path)

    def remove(self, run: str) -> None:
        """Forget a run and everything in its folder; harmless if there is none."""
        shutil.rmtree(self.root / self.folder(run).id, ignore_errors=True)

    def prune(self, keep: int = KEPT_RUNS) -> None:
        """Forget the oldest ended runs beyond `keep`."""
        for folder in [folder for folder in self.folders() if folder.entry().over][keep:]:
            self.remove(folder.id)
