"""The runner that uses every core: threads carry chunks, each fold has one owner, buffers make feeders wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from firstlight.core.check import check
from firstlight.core.chunk import MAIN, Chunk, End, Gap, Item
from firstlight.core.counts import Intake, worst
from firstlight.core.errors import ChangeRefused, FirstlightError, StepFailed, Stopped
from firstlight.core.held import Place
from firstlight.core.job import Job
from firstlight.core.plan import Plan
from firstlight.core.record import end_record, start_record
from firstlight.core.run import Counts, Event, Results, RunState, Status, ViewInfo
from firstlight.core.solver import Solver
from firstlight.core.step import Step
from firstlight.core.view import Shown

from .calibrated import calibrated
from .changes import apply_changes
from .checkpoint import Checkpoint, begin, nothing_noted, open_checkpoint
from .consumers import counts_by_consumer
from .context import READING, Context
from .describe import devices_of, job_dict, percentiles, report_of, sizes_of, small_values, step_infos, view_infos
from .failing import part_failed
from .following import Following
from .inputs import inputs_of
from .logs import EventLog
from .progress import Progress
from .room import budget_of, cores, with_sizes
from .snapshot import Snapshot
from .wiring import Wiring

_BURST = 0.1
"""Seconds within which all frames may have come without telling a rate."""


def _close(items: Any) -> None:
    """End a generator, so that what it holds open is given back now."""
    if isinstance(items, Generator):
        items.close()


class LocalRunner:
    """Works on a job with the threads of this process."""

    def start(self, job: Job) -> LocalRun:
        """Open the source, check the job, and start; returns while it runs.

        Raises:
            JobError: The job can not run on what the source gives.
            SourceError: The source can not be opened.
        """
        scan = job.played.open()
        try:
            plan = check(job, scan)
            checkpoint = open_checkpoint(plan, *budget_of(job))
            sizes = budget_of(job) if checkpoint is None else (checkpoint.budget, checkpoint.threads)
            run = LocalRun(job, with_sizes(plan, *sizes), checkpoint)
            run.start()
        except BaseException:
            job.played.close()
            raise
        return run


class LocalRun(Following):
    """A job that runs on threads. Every method is safe to call from any thread."""

    def __init__(self, job: Job, plan: Plan, checkpoint: Checkpoint | None = None) -> None:
        """Connect everything; sinks and views are opened."""
        self.job = job
        self.plan = plan
        self._checkpoint = checkpoint
        self._started = time.time()
        self._ended: float | None = None
        self._first_frame: float | None = None
        self._last_frame = 0.0
        self._state: RunState = "starting"
        self._context = Context(plan, Intake(plan.scan.main))
        self._record = start_record(
            job_dict(job), plan.scan, job.pipeline.cites, self._started, inputs_of(job.source), devices_of(plan)
        )
        self._context.checkpoint = checkpoint
        threads = cores() if plan.sizes is None else plan.sizes.threads
        with nothing_noted(plan, checkpoint):
            self._wiring = Wiring(self._context, threads, self._record, checkpoint)
            if checkpoint is not None:
                try:
                    begin(checkpoint, plan)
                except BaseException:
                    self._wiring.give_back()
                    raise
        self._reader = threading.Thread(target=self._read, name="reader", daemon=True)
        self._finisher = threading.Thread(target=self._finish, name="finisher", daemon=True)
        self._over = threading.Event()
        self._pace = Progress(job.runner.threads or cores())
        self._log = EventLog(self._context)

    def start(self) -> None:
        """Start all threads.

        Raises:
            StepFailed: A step could not be prepared; everything is closed again.
        """
        self._context.failing.append(self.job.played.stop)
        self._log.attach()
        self._become("running")
        try:
            self._wiring.start()
        except Exception as error:
            self._log.detach()
            self._context.fail(error)
            self._close_sinks()
            raise
        self._reader.start()
        self._finisher.start()

    def _become(self, state: RunState) -> None:
        if self._state in ("failed", "stopped", "done"):
            return
        self._state = state
        level = "error" if state == "failed" else "info"
        self._context.tell(Event("state", state, level, data={"state": state}))

    # ---- reading -----------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        ended: set[str] = set()
        items = self.job.played.items()
        try:
            for item in self._timed(items):
                if self._context.failed.is_set():
                    break
                if isinstance(item, End) and item.set is None:
                    ended.add(item.stream)
                self._admit(item)
        except Stopped:
            pass
        except Exception as error:
            self._context.fail(part_failed(f"source '{self.job.source.use}'", error))
        finally:
            _close(items)
            self._end_streams(ended)

    def _timed(self, items: Iterator[Item]) -> Iterator[Item]:
        """The items, with the time that each took to come noted, and frames looked at."""
        while True:
            started = time.perf_counter()
            item = next(items, None)
            if item is None:
                return
            if isinstance(item, Chunk):
                self._context.worked(READING, time.perf_counter() - started, item)
                self._context.watch.source(item)
            yield item

    def _end_streams(self, ended: set[str]) -> None:
        """Name what is missing, and end every stream that the source did not end itself."""
        try:
            for stream in self.plan.scan.streams:
                buffer = self._wiring.input(stream)
                if buffer is not None and stream not in ended:
                    self._end(stream)
        except Stopped:
            pass
        finally:
            if not self.plan.reads_again:
                self._close_source()

    def _close_source(self) -> None:
        try:
            self.job.played.close()
        except Exception as error:
            self._context.fail(part_failed(f"source '{self.job.source.use}'", error))

    def _end(self, stream: str) -> None:
        buffer = self._wiring.input(stream)
        if buffer is None:
            return
        if stream == MAIN and not self._context.halted:
            for gap in self._context.intake.missing(stopped=self._context.stopping):
                self._miss(gap)
            self._become("draining")
        buffer.put(End(stream))

    def _admit(self, item: Item) -> None:
        if isinstance(item, End) and item.set is None:
            self._end(item.stream)
            return
        buffer = self._wiring.input(item.stream)
        if item.stream == MAIN:
            if isinstance(item, Chunk):
                fresh = self._context.intake.take(item)
                self._first_frame = self._first_frame or time.time()
                self._last_frame = time.time()
                if fresh is None:
                    return
                item = fresh
            elif isinstance(item, Gap):
                self._miss(item)
                return
        if buffer is not None:
            buffer.put(item)

    def _miss(self, gap: Gap) -> None:
        """Note a gap of the main stream, once, and hand it on."""
        buffer = self._wiring.input(MAIN)
        for part in self._context.intake.miss(gap):
            self._context.miss(part)
            if buffer is not None:
                buffer.put(part)

    # ---- ending ------------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        self._reader.join()
        self._wiring.join()
        if self.plan.reads_again:
            self._close_source()
        try:
            self._wiring.close()
            for name, assembled in self._wiring.collected.items():
                result = assembled.result()
                self._context.results[name] = result
                self._context.values.update(small_values(name, result.data))
        except Exception as error:
            self._context.fail(error)
        self._ended = time.time()
        self._close_sinks()
        failed, stopped = self._context.error is not None, self._context.stopping
        if self._checkpoint is not None:
            self._checkpoint.end(keep=self._left_undone or (failed and not stopped), closed=not failed)
        self._become("failed" if failed else "stopped" if stopped and self.plan.scan.bounded else "done")
        self._log.detach()
        self._context.close_events()
        self._over.set()

    def _close_sinks(self) -> None:
        counts = self.counts
        cut_short = self._left_undone or (self._context.stopping and counts.excluded > 0)
        complete = self._context.error is None and counts.waiting == 0 and not cut_short
        record = end_record(
            self._record,
            counts=counts,
            gaps=list(self._context.gaps),
            changes=self._context.changes,
            values=self._context.values,
            chosen=self._context.findings.get("chosen", {}),
            ended=self._ended or time.time(),
            complete=complete,
        )
        record |= {name: found for name, found in self._watched().items() if found}
        self.record = record
        for sink in self._wiring.sinks:
            try:
                sink.close(record, complete=complete)
            except Exception as error:
                self._context.fail(part_failed(f"sink '{sink.use}'", error))

    @property
    def _left_undone(self) -> bool:
        """True if the run was halted before everything was written."""
        return self._context.halted and any(counts.waiting for counts in self._consumers().values())

    # ---- the handle --------------------------------------------------------------------------------------------------

    @property
    def counts(self) -> Counts:
        """The worst consumer's counts."""
        own = {n: c for n, c in self._consumers().items() if self.plan.counts_source_frames(n)}
        intake = self._context.intake
        return worst(own) if own else Counts(intake.expected, intake.frames, duplicates=self._duplicates)

    @property
    def _duplicates(self) -> int:
        return self._context.intake.duplicates + int(getattr(self.job.source, "duplicates", 0))

    def _consumers(self) -> dict[str, Counts]:
        ledgers, intake = dict(self._context.ledgers), self._context.intake
        return counts_by_consumer(self.plan, ledgers, expected=intake.expected, duplicates=self._duplicates)

    @property
    def views(self) -> tuple[ViewInfo, ...]:
        """What can be shown."""
        return view_infos(self.plan)

    def _watched(self) -> dict[str, Any]:
        """What was seen of the data."""
        return {"statistics": self._context.watch.statistics_of(), "faults": self._context.watch.faults_of()}

    @property
    def snapshots(self) -> list[Snapshot]:
        """The pictures of steps that the job asked for, as far as there are any."""
        return [found for each in self._wiring.snapshots if (found := each.snapshot()) is not None]

    def status(self) -> Status:
        """Everything a screen shows, now."""
        context, intake = self._context, self._context.intake
        seconds = self._seconds()
        main = self._wiring.input(MAIN)
        consumers = self._consumers()
        return Status(
            state=self._state,
            counts=self.counts,
            consumers=consumers,
            frames_per_second=intake.frames / seconds if intake.frames else 0.0,
            bytes_per_second=intake.bytes / seconds if intake.frames else 0.0,
            latency_ms=None if self.job.source.pausable else percentiles(list(context.board.latency_ms)),
            queue_bytes=main.bytes if main else 0,
            queue_capacity=int(main.settings.memory) if main else 0,
            queue_frames=main.frames if main else 0,
            skipped={showing.name: showing.skipped for showing in self._wiring.showing},
            views=self.views,
            steps=step_infos(self.plan, self._current_steps()),
            values=dict(context.values),
            changes=tuple(context.changes),
            error=None if context.error is None else str(context.error),
            result=next((place for sink in self._wiring.sinks if (place := sink.location())), None),
            **self._pace.told(consumers, context, self._state),
            **self._watched(),
        )

    def _seconds(self) -> float:
        """What rates are counted over: of a recording the whole work, of a detector from its first frame to its last.

        A detector whose frames came in one burst tells no rate: that of the run is given then.
        """
        now = self._ended or time.time()
        first, last = self._first_frame or now, now if self.job.source.pausable else self._last_frame
        return last - first if last - first > _BURST else max(now - self._started, 1e-3)

    def _current_steps(self) -> dict[str, Step]:
        """Every step with the parameters that hold now, those that other steps found included."""
        found = {name: self._context.current(name) for name in self._context.settings}
        return found | {name: station.fold for name, station in self._wiring.folds.items()}

    def view(self, name: str, *, after: int = -1, timeout: float | None = 0.0) -> Shown | None:
        """The newest version of a view, if newer than `after`; waits up to `timeout` second for one."""
        return self._context.board.get(name, after, timeout)

    def events(self, *, follow: bool = True) -> Iterator[Event]:
        """Events from the start of the run; with `follow`, until the run has ended."""
        return self._context.events(follow=follow)

    def set(self, changes: Mapping[str, Mapping[str, Any]]) -> Place:
        """Change parameters of one or several steps at once: all or none."""
        if self._over.is_set():
            raise ChangeRefused("The run has ended.", field="state", value=self._state, next_move="Start it again.")
        return apply_changes(self._context, self._wiring.folds, changes)

    def stop(self) -> None:
        """Ask the run to end; sinks are closed.

        A recorded scan can be worked on again: what is finished is kept, and the rest left for ``--resume``. Where nothing
        could go on with it, what has arrived is drained, unless that takes so long that a step pauses in it, such as an
        iterative one: then the rest is left undone. What a detector sent is always drained, and so is what a solver
        improves (its state is a result). A run that has all its frames and only stays open for somebody who looks is done.
        """
        if self._context.lingering and not self.counts.waiting:
            self._context.seen_enough.set()
            return
        self._context.stopping = True
        if self.job.source.pausable and not any(isinstance(each.step, Solver) for each in self.plan.steps):
            self._context.only_short_work = True
        if self._context.only_short_work and self._checkpoint is not None:
            self._context.halt()
        self.job.played.stop()

    @property
    def stopping(self) -> bool:
        """True once it was asked to stop."""
        return self._context.stopping

    def finished(self, timeout: float | None = None) -> Results:
        """Wait for the end.

        Raises:
            StepFailed: A step, source or sink raised.
            TimeoutError: It did not end in time.
        """
        if not self._over.wait(timeout):
            raise TimeoutError(f"The run '{self.job.name}' did not end within {timeout} s; it is {self._state}.")
        error = self._context.error
        if isinstance(error, FirstlightError):
            raise error
        if error is not None:
            raise StepFailed(f"{type(error).__name__}: {error}") from error
        return calibrated(self._context.results, self.plan)

    def report(self) -> dict[str, Any]:
        """The machine-readable report."""
        stages = {name: asdict(times) for name, times in dict(self._context.times).items()}
        there = {"device_blocks": dict(self._context.devices.blocks)}
        planned = sizes_of(self.plan) | there
        return report_of(self.status(), stages, self._context.changes) | planned | self._context.findings
