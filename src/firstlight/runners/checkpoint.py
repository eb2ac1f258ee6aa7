"""What an interrupted run leaves beside its output, so that another one can go on where it stopped.

A folder ``OUTPUT.resume`` holds the identity of the run (job, scan, source file, sizes), for each sink the ids of the
frames that are written and flushed, and the final values of folds. It goes when the run has come to its end. For an output
that is no file of this machine (``s3://…``) it lies in our state folder, so that the same machine can go on.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import JobError, SinkError, StepFailed
from firstlight.core.job import Job
from firstlight.core.plan import Plan
from firstlight.core.record import describe_scan, versions
from firstlight.core.sink import Sink
from firstlight.parser import ONE_AT_A_TIME

from .describe import job_dict
from .done import DoneLog
from .hold import LOCK, hold, is_held
from .inputs import inputs_of
from .noting import noted
from .placed import PlacedLog
from .placeholders import filled
from .state_folder import state_folder

ENDING = ".resume"
_JOB = "run.json"
_INPUTS = "inputs"
_CLOSED = "closed"
"""Stands in the folder once every sink was closed in order."""
_BUSY = "A run that writes this output is still going on ('{}' is held). Wait for it, or stop it: 'firstlight list runs' names it."


class Checkpoint:
    """The folder of one run."""

    def __init__(self, folder: Path, *, resumed: bool, budget: float, threads: int) -> None:
        """Use `open_checkpoint`."""
        self.folder, self.resumed = folder, resumed
        self.budget, self.threads = budget, threads
        self._scratch: list[Path] = []
        self._held: IO[bytes] | None = None

    def take(self) -> None:
        """Hold the folder while this run goes on.

        Raises:
            StepFailed: Another run took it just now, or the disk is full.
        """
        with noted(self.folder):
            self._held = hold(self.folder)
        if self._held is None:
            raise StepFailed(_BUSY.format(self.folder))

    def log(self, sink: int) -> DoneLog:
        """What a sink has written; sinks are counted as in the job."""
        path = self.folder / f"sink-{sink}.log"
        return DoneLog(path, fresh=not (self.resumed and path.exists()))

    def placed(self, port: str, scratch: str | None) -> PlacedLog:
        """What lies in the scratch file of a regrouping.

        Args:
            port: What is regrouped.
            scratch: Folder for the file; None: this one.
        """
        own = hashlib.blake2b(os.path.abspath(self.folder).encode(), digest_size=8).hexdigest()
        file = (
            self.folder / f"{port}.scratch" if scratch is None else Path(scratch) / f"firstlight-{own}-{port}.scratch"
        )
        self._scratch.append(file)
        return PlacedLog(self.folder / f"{port}.placed", file, fresh=not self.resumed)

    def saved(self, step: str) -> dict[str, Array] | None:
        """The final values of a fold, if an interrupted run had come so far."""
        path = self._value(step)
        if not self.resumed or not path.exists():
            return None
        with ONE_AT_A_TIME, np.load(path) as saved:
            return {name: saved[name] for name in saved.files}

    def keep(self, step: str, values: Mapping[str, Array]) -> None:
        """Keep the final values of a fold.

        Raises:
            StepFailed: The disk is full.
        """
        path = self._value(step)
        part = path.with_suffix(".part")
        arrays: dict[str, Any] = {name: np.asarray(value) for name, value in values.items()}
        with noted(path):
            with part.open("wb") as file:
                np.savez(file, **arrays)
            part.replace(path)

    def _value(self, step: str) -> Path:
        return self.folder / f"value-{step}.npz"

    def end(self, *, keep: bool, closed: bool = False) -> None:
        """The run is over; keep what a later run could go on with.

        Args:
            keep: There is something to go on with.
            closed: Every sink was closed in order.
        """
        if keep and closed:
            with suppress(OSError):  # then it counts as killed
                (self.folder / _CLOSED).touch()
        if not keep:
            self._remove()
        if self._held is not None:
            self._held.close()
        if not keep:
            with suppress(OSError):
                (self.folder / LOCK).unlink(missing_ok=True)
                self.folder.rmdir()

    def _remove(self) -> None:
        """Remove all but what holds the folder; the identity first, so that nobody goes on with a part of the rest."""
        with suppress(OSError):
            job = self.folder / _JOB
            for file in (job, *self._scratch, *self.folder.iterdir()):
                if file.name != LOCK:
                    file.unlink(missing_ok=True)


def sinks_of(plan: Plan) -> list[Sink]:
    """The sinks of a plan, with their placeholders filled."""
    return [filled(spec.sink, plan.scan.name) for spec in plan.job.sinks]


def open_checkpoint(plan: Plan, budget: float, threads: int) -> Checkpoint | None:
    """The folder for a run, new or of the run that is to be resumed; None where a run can not be resumed.

    Args:
        plan: What will run.
        budget: Memory in byte; a resumed run takes that of the run before, so that its blocks are the same.
        threads: Likewise.

    Raises:
        JobError: It is to be resumed and can not be: nothing was left, or it was left by something else.
    """
    sinks = sinks_of(plan)
    wanted = plan.job.runner.resume
    problem = _unfit(plan, sinks)
    if problem:
        if wanted:
            raise JobError([f"--resume: {problem}"])
        return None
    folder = folder_of(sinks[0])
    told = identity(plan)
    if is_held(folder):
        raise JobError([("--resume: " if wanted else "") + _BUSY.format(folder)])
    if wanted:
        return _resumed(folder, told, sinks)
    there = next(each for each in folder.absolute().parents if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        return None  # the sink will say what is wrong
    return Checkpoint(folder, resumed=False, budget=budget, threads=threads)


def folder_of(sink: Sink) -> Path:
    """The folder beside what a sink writes."""
    return _folder_at(str(sink.location()))


def _folder_at(place: str) -> Path:
    """The folder of what goes to a path, or to an address."""
    if "://" in place:
        own = hashlib.blake2b(place.encode(), digest_size=8).hexdigest()
        return state_folder() / "interrupted" / f"{place.rstrip('/').rpartition('/')[2]}-{own}{ENDING}"
    path = Path(place).expanduser()
    return path.with_name(path.name + ENDING)


def can_go_on(result: str) -> bool:
    """True if an interrupted run left, for this output, what another run can go on with."""
    return (_folder_at(result) / _JOB).is_file()


def interrupted(job: Job, result: Path) -> bool:
    """True if an interrupted run of this very job, on the same file, left what another run can go on with.

    Args:
        job: The job; how it is run does not count.
        result: What its first sink writes.
    """
    try:
        left = json.loads((_folder_at(str(result)) / _JOB).read_text())
    except (OSError, ValueError):
        return False
    told = json.loads(json.dumps(_identity_of_job(job), default=str))
    return isinstance(left, dict) and all(left.get(name) == value for name, value in told.items())


def checkpoint_folder(plan: Plan) -> Path | None:
    """Where a run of this plan notes how far it has come; None where it can not be resumed."""
    sinks = sinks_of(plan)
    return None if _unfit(plan, sinks) else folder_of(sinks[0])


def begin(checkpoint: Checkpoint, plan: Plan) -> None:
    """Note that every sink is open: from here on there is something to go on with.

    Raises:
        StepFailed: The disk is full.
    """
    folder, job = checkpoint.folder, checkpoint.folder / _JOB
    if not checkpoint.resumed:
        shutil.rmtree(folder, ignore_errors=True)
        with noted(folder):
            folder.mkdir(parents=True)
    checkpoint.take()
    if not checkpoint.resumed:
        told = {**identity(plan), "sizes": {"budget": checkpoint.budget, "threads": checkpoint.threads}}
        with noted(folder):
            for number in range(len(plan.sinks)):
                (folder / f"sink-{number}.log").touch()
            part = job.with_suffix(".part")
            part.write_text(json.dumps(told, indent=1, default=str))
            part.replace(job)


@contextmanager
def nothing_noted(plan: Plan, checkpoint: Checkpoint | None) -> Iterator[None]:
    """While sinks are opened, what earlier runs noted of their files does not hold.

    A sink makes it untrue with its first write, when it replaces a file or goes on in one that was closed in order; a run
    that is killed just then must not be gone on with. Where a sink refuses, and none may replace anything, it holds again.

    Raises:
        JobError: A run that writes one of them is still going on.
        SinkError: A sink refuses; also told is whether an interrupted run could be gone on with.
    """
    resumed = checkpoint.folder if checkpoint is not None and checkpoint.resumed else None
    marks: list[tuple[Path, bool]] = []
    for sink in sinks_of(plan):
        if sink.location() is None:
            continue
        folder = folder_of(sink)
        if is_held(folder):
            raise JobError([_BUSY.format(folder)])
        mark = folder / (_CLOSED if folder == resumed else _JOB)
        if mark.exists():
            with noted(mark):
                mark.replace(_aside(mark))
            marks.append((mark, folder == resumed or not getattr(sink, "overwrite", False)))
    try:
        yield
    except BaseException as error:
        kept = [mark for mark, untouched in marks if untouched]
        for mark in kept:
            with suppress(OSError):
                _aside(mark).replace(mark)
        if kept and resumed is None and isinstance(error, SinkError):
            move = f"An interrupted run left it: --resume goes on with it. {error.next_move or ''}".rstrip()
            told = {"field": error.field, "value": error.value, "expected": error.expected, "next_move": move}
            raise SinkError(error.message, **told) from error
        raise
    for mark, _ in marks:
        _aside(mark).unlink(missing_ok=True)


def _aside(mark: Path) -> Path:
    return mark.with_suffix(".aside")


def _unfit(plan: Plan, sinks: list[Sink]) -> str | None:
    """Why a run of this job can not be resumed."""
    if not plan.job.source.pausable or not plan.scan.bounded:
        return "Only a recorded scan can be worked on again; what a detector sent is gone."
    if job_dict(plan.job)["source"].get("in_memory"):
        return "The source lives in memory: whether it is the same again can not be seen."
    if not sinks:
        return "The job has no sink that keeps what was finished."
    for sink in sinks:
        if not sink.resumable or sink.location() is None:
            return (
                f"The sink '{sink.use}' as it is set can not go on with what an interrupted run left."
                " Use hdf5, raw, tiff or zarr; what was written there till now must be made again."
            )
    return None


def _resumed(folder: Path, told: dict[str, Any], sinks: list[Sink]) -> Checkpoint:
    try:
        left = json.loads((folder / _JOB).read_text())
        sizes = left.pop("sizes")
        budget, threads = float(sizes["budget"]), int(sizes["threads"])
    except FileNotFoundError:
        problem = (
            f"--resume: there is nothing to go on with: '{folder}' does not exist. The run had ended, or never began."
            " Run the job without --resume."
        )
        raise JobError([problem]) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"--resume: '{folder}' can not be read ({error}). Run the job without --resume."
        raise JobError([problem]) from None
    told = json.loads(json.dumps(told, default=str))
    differences = _other_inputs(left.pop(_INPUTS, ()), told.pop(_INPUTS, ())) + _differences(left, told)
    if differences:
        lines = [f"--resume: {text}" for text in differences[:8]]
        lines.append("--resume: what was finished belongs to another run. Give the same job, or run without --resume.")
        raise JobError(lines)
    harmed = [sink for sink in sinks if not (sink.survives_a_kill or (folder / _CLOSED).exists())]
    if harmed:
        problem = (
            f"--resume: the run was killed while '{harmed[0].location()}' was open. In a file with compression, or with"
            " storage chunks of several frames, the block that was being written may be torn, and so may its index: what is"
            " there can not be trusted. Run without --resume, and with 'overwrite: true' in that sink. (A run that ends in"
            " order, as by Ctrl-C, can go on there; one that writes without compression also after a kill.)"
        )
        raise JobError([problem])
    return Checkpoint(folder, resumed=True, budget=budget, threads=threads)


def identity(plan: Plan) -> dict[str, Any]:
    """What must be the same in a run that goes on: the job without its runner, the scan, the source's file, our version."""
    return {**_identity_of_job(plan.job), "scan": describe_scan(plan.scan)}


def _identity_of_job(job: Job) -> dict[str, Any]:
    kept = {name: part for name, part in job_dict(job).items() if name not in ("runner", "views", "buffers")}
    device = {} if job.runner.device == "auto" else {"device": job.runner.device}
    return {"job": kept, **device, _INPUTS: inputs_of(job.source), "firstlight": versions().get("firstlight")}


def _other_inputs(old: Any, new: Any) -> list[str]:
    """Files and folders that the source reads, and that are not what they were, in words."""
    now = {each["path"]: each for each in new}
    return [
        f"'{each['path']}' was changed since, or copied without its time (cp -p and rsync -a keep it)."
        for each in old
        if now.get(each["path"], each) != each  # another path shows in the job itself
    ]


def _differences(old: Any, new: Any, place: str = "") -> list[str]:
    """Where two sets of plain values differ, in words."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found: list[str] = []
        for name in dict.fromkeys([*old, *new]):
            found += _differences(old.get(name), new.get(name), f"{place}.{name}" if place else str(name))
        return found
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [
            text for n, pair in enumerate(zip(old, new, strict=True)) for text in _differences(*pair, f"{place}[{n}]")
        ]
    return [] if old == new else [f"{place} was {_short(old)}, and is {_short(new)} now."]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 80 else text[:77] + "..."
