"""What every runner must keep: the same results as the naive one, every frame accounted for, and an end in every case."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from firstlight.core import registry
from firstlight.core.buffer import BufferSettings
from firstlight.core.chunk import MAIN, Chunk
from firstlight.core.errors import FirstlightError
from firstlight.core.job import Job, RunnerSettings, SinkSpec
from firstlight.core.pipeline import Pipeline, Reference
from firstlight.core.run import Counts, Results, Run

from .demand import by_place, demand, demand_equal
from .jobs import EXAMPLES, Example, node, per_frame
from .play import Cue, cut, played, projections, recut, with_pauses
from .steps import Adding, Blocked, Collecting, linger, scale

PATIENCE = 100.0
"""Seconds after which a run counts as hanging."""

ONE_CHUNK = {"default": BufferSettings(memory=1)}


class RunnerContract(ABC):
    """Inherit, and give `make`."""

    steers = True
    """False for a runner that works in `start` and can not be stopped or changed."""

    @abstractmethod
    def make(self) -> Any:
        """A runner."""

    # ---- the same as naive -------------------------------------------------------------------------------------------

    def test_equals_the_naive_runner(self) -> None:
        """On every example, as it is."""
        self._every_example(lambda example: [*example.main])

    def test_equals_the_naive_runner_with_buffers_of_one_chunk(self) -> None:
        """Whoever holds frames elsewhere than in a buffer is found."""
        self._every_example(lambda example: [*example.main], buffers=ONE_CHUNK)

    def test_equals_the_naive_runner_with_shuffled_frames_and_random_delays(self) -> None:
        """Decisions are made by id, never by arrival."""
        for seed in (1, 2):
            self._every_example(lambda example, s=seed: with_pauses(recut(example.main, 3, seed=s), s), threads=4)
        self._every_example(lambda example: recut(example.main, 1, seed=3), buffers=ONE_CHUNK)

    def _every_example(
        self,
        main: Callable[[Example], Sequence[Cue]],
        *,
        buffers: dict[str, BufferSettings] | None = None,
        threads: int = 2,
    ) -> None:
        for make in EXAMPLES:
            example = make()
            plain = played(example.scan, [*example.before, *example.main, *example.gaps])
            wanted = registry.get("runners", "naive")().start(Job(plain, example.pipeline, collect=True))
            source = played(example.scan, [*example.before, *main(example), *example.gaps])
            job = Job(
                source,
                example.pipeline,
                buffers=buffers or {},
                runner=RunnerSettings(threads=threads),
                collect=True,
            )
            run = self.make().start(job)
            results = run.finished(PATIENCE)
            demand_same_results(results, wanted.finished(), make.__name__)
            demand_conserved(run, make.__name__)
            demand(run.counts == wanted.counts, f"{make.__name__}: {run.counts}. Expected {wanted.counts}.")
            demand(source.closed, f"{make.__name__}: the source was not closed.")

    # ---- conservation ------------------------------------------------------------------------------------------------

    def test_frames_are_conserved_under_every_policy_with_a_slow_consumer(self) -> None:
        """What a buffer drops is counted once by each consumer, and stands in record and events."""
        for policy in ("wait", "drop_oldest", "spill", "fail"):
            self._slow_consumer(BufferSettings(policy=policy, memory=400, disk=800))  # type: ignore[arg-type]

    def _slow_consumer(self, settings: BufferSettings) -> None:
        scan, frames = projections(60)
        sink = Collecting(slow=2e-3)
        steps = Pipeline((node(linger(seconds=2e-3), "linger"), node(Adding(slow=1e-3), "adding")))
        job = Job(
            played(scan, list(cut(frames, size=2))),
            steps,
            (SinkSpec(sink, Reference("linger")),),
            buffers={"default": settings},
            runner=RunnerSettings(threads=2),
        )
        run = self.make().start(job)
        try:
            run.finished(PATIENCE)
        except FirstlightError as error:
            demand(settings.policy == "fail" and "full" in str(error), f"{settings.policy}: {error}")
            demand(sink.complete == [False], "A sink of a failed run must be closed as incomplete.")
            return
        demand_conserved(run, settings.policy)
        counts = run.counts
        demand(counts.waiting == 0, f"{settings.policy}: {counts} at the end.")
        written = sum(map(len, sink.chunks))
        demand(written == counts.done, f"{settings.policy}: {written} frames written. Expected {counts.done}.")
        demand(sum(map(len, sink.gaps)) == counts.dropped, f"{settings.policy}: the sink was told of other gaps.")
        recorded = sum(gap["last"] - gap["first"] + 1 for gap in sink.records[-1]["gaps"])
        demand(recorded == counts.dropped, f"{settings.policy}: {recorded} in the record. Expected {counts.dropped}.")
        told = [event for event in run.events(follow=False) if event.kind == "loss"]
        demand(bool(told) == bool(counts.dropped), f"{settings.policy}: losses are events.")
        if settings.policy == "wait":
            demand(counts.done == 60, f"wait: {counts}")

    def test_heads_tails_duplicates_and_doubled_gaps_are_counted_once(self) -> None:
        """Whatever a source reports twice, or not at all."""
        scan, frames = projections(24)
        sink = Collecting()
        chunks = cut(frames[3:20], ids=np.arange(3, 20))
        twice = [*chunks[:2], chunks[1], *chunks[3:], chunks[0]]
        job = Job(played(scan, twice), Pipeline((node(scale(), "scale"),)), (SinkSpec(sink, Reference("scale")),))
        run = self.make().start(job)
        run.finished(PATIENCE)
        wanted = Counts(expected=24, done=13, lost=11, duplicates=8)
        demand(run.counts == wanted, f"{run.counts}. Expected {wanted}.")
        missing = sorted(i for gap in sink.gaps for i in range(gap.first, gap.last + 1))
        demand(missing == [0, 1, 2, 11, 12, 13, 14, 20, 21, 22, 23], f"missing: {missing}")

    # ---- ends --------------------------------------------------------------------------------------------------------

    def test_stop_returns_promptly_and_what_has_arrived_is_drained(self) -> None:
        """What was still to come is excluded; the files are whole, and say that they are not complete."""
        if not self.steers:
            return
        scan, frames = projections(24)
        chunks = cut(frames, coords={"angle": scan.coords["angle"]})
        sink = Collecting()
        arrived = threading.Event()
        source = played(scan, [*chunks[:3], arrived.set, lambda: source.wait(PATIENCE), *chunks[3:]])
        adding = Blocked()
        steps = Pipeline((node(linger(seconds=2e-2), "linger"), node(adding, "adding")))
        run = self.make().start(Job(source, steps, (SinkSpec(sink, Reference("linger")),)))
        demand(arrived.wait(PATIENCE), "The first frames were never taken.")
        asking = threading.Thread(target=lambda: (run.stop(), run.stop()))
        asking.start()
        asking.join(PATIENCE / 2)
        demand(not asking.is_alive(), "stop() did not return promptly: it waits for what is worked on.")
        adding.go()
        results = run.finished(PATIENCE)
        counts = run.counts
        demand((counts.done, counts.excluded, counts.waiting) == (12, 12, 0), f"after stop: {counts}")
        demand(run.status().state == "stopped", f"state {run.status().state}. Expected stopped.")
        demand_equal(results["adding.image"].data, frames[:12].sum(0), "the sum of what had arrived")
        demand(sink.complete == [False], "A stopped run is not complete.")

    def test_an_unbounded_scan_ends_by_stop_as_done(self) -> None:
        """Nothing is excluded where nothing was announced."""
        if not self.steers:
            return
        scan, frames = projections(8, known=False)
        source = played(scan, [*cut(frames), lambda: source.wait(PATIENCE)], live=True)
        run = self.make().start(Job(source, Pipeline((node(Adding(), "adding"),))))
        wait_until(lambda: run.counts.done == 8)
        run.stop()
        run.finished(PATIENCE)
        demand(run.counts == Counts(expected=8, done=8), f"{run.counts}")
        demand(run.status().state == "done", run.status().state)

    def test_whatever_fails_is_named_and_fails_the_run(self) -> None:
        """A step with its parameters and frames; a fold wherever it fails; a source; a sink: never a hang."""
        scan, frames = projections(24)
        frames[9] = 7
        chunks: list[Cue] = list(cut(frames))
        lingering = node(linger(fail_on=7), "linger")
        cases: list[tuple[Sequence[Cue], Sequence[Any], Collecting | None, tuple[str, ...]]] = [
            (chunks, [lingering], None, ("linger", "fail_on", "7", "frames 8 to 11", "as it was told to")),
            (chunks, [node(Adding(fail_at=8), "adding")], None, ("adding", "fail_at", "8", "frames 4 to 7")),
            (chunks, [node(Adding(fail_at=8, fail_in="digest"), "adding")], None, ("adding", "fail_at", "told to")),
            (chunks, [node(Adding(fail_at=8, fail_in="result"), "adding")], None, ("adding", "fail_at", "told to")),
            ([*chunks[:2], OSError("cable")], [node(scale(), "scale")], None, ("source", "played", "cable")),
            (chunks, [node(scale(), "scale")], Collecting(fail_in="open"), ("No space left", "/full")),
            (chunks, [node(scale(), "scale")], Collecting(fail_in="write"), ("No space left", "/full")),
            (chunks, [node(scale(), "scale")], Collecting(fail_in="close"), ("No space left", "/full")),
            ([*chunks[:2], *chunks[3:]], [node(scale(), "scale")], Collecting(fail_in="miss"), ("No space left",)),
        ]
        for cues, nodes, sink, words in cases:
            self._fails(scan, cues, nodes, sink, words)

    def _fails(
        self, scan: Any, cues: Sequence[Cue], nodes: Sequence[Any], sink: Collecting | None, words: tuple[str, ...]
    ) -> None:
        kept = Collecting()
        first = Reference(nodes[-1].name, "image" if isinstance(nodes[-1].step, Adding) else None)
        sinks = [SinkSpec(kept, Reference("source", MAIN)), SinkSpec(sink or Collecting(), first)]
        source = played(scan, cues)
        job = Job(source, Pipeline(tuple(nodes)), tuple(sinks), buffers=ONE_CHUNK)
        error = self._error(job)
        missing = [word for word in words if word not in str(error)]
        demand(not missing, f"The error does not name {missing}: {error}")
        demand(source.closed, f"The source was not closed after: {error}")
        closing = sink is not None and sink.fail_in == "close"
        demand(closing or True not in kept.complete, f"A sink was closed as complete after: {error}")
        demand(len(kept.complete) == len(kept.records[:1]), f"An open sink was not closed after: {error}")

    def _error(self, job: Job) -> FirstlightError:
        try:
            run = self.make().start(job)
            run.finished(PATIENCE)
        except FirstlightError as error:
            return error
        raise AssertionError("The run did not fail.")

    def test_a_sink_that_fails_ends_a_run_whose_source_is_silent(self) -> None:
        """Nobody waits for frames that nobody wants any more."""
        if not self.steers:
            return
        scan, frames = projections(24, known=False)
        source = played(scan, [*cut(frames), lambda: source.wait(PATIENCE)], live=True)
        sink = Collecting(fail_in="write")
        job = Job(source, Pipeline((node(scale(), "scale"),)), (SinkSpec(sink, Reference("scale")),))
        started = time.monotonic()
        demand("No space left" in str(self._error(job)), "The error of the sink was lost.")
        demand(time.monotonic() - started < PATIENCE / 2, "The run waited for its silent source.")

    # ---- steering ----------------------------------------------------------------------------------------------------

    def test_a_change_holds_from_the_frame_that_set_names(self) -> None:
        """Whatever the order in which frames come, and while they come."""
        if not self.steers:
            return
        scan, _ = projections(200)
        frames = np.ones((200, 3, 8), np.float32)
        go = threading.Event()
        chunks = cut(frames, size=2)
        cues = [*chunks[:20], lambda: go.wait(PATIENCE), *with_pauses(recut(chunks[20:], 3, seed=4), 5, 1e-3)]
        job = Job(
            played(scan, cues), Pipeline((node(scale(), "scale"),)), collect=True, runner=RunnerSettings(threads=4)
        )
        run = self.make().start(job)
        wait_until(lambda: run.counts.done >= 40)
        place = run.set({"scale": {"factor": 3.0}})
        go.set()
        result = run.finished(PATIENCE)["scale"].data[:, 0, 0]
        demand(place == (0, 40), f"set() answered {place}. Expected (0, 40).")
        demand((result[:40] == 1).all() and (result[40:] == 3).all(), "The change holds for other frames.")

    def test_changes_while_frames_stream_hold_from_their_frame_on(self) -> None:
        """No frame comes in between the answer and the change."""
        if not self.steers:
            return
        scan, _ = projections(3000)
        chunks = cut(np.ones((3000, 3, 8), np.float32), size=2)
        cues: list[Cue] = [cue for chunk in chunks for cue in (1e-4, chunk)]
        job = Job(
            played(scan, cues), Pipeline((node(scale(), "scale"),)), collect=True, runner=RunnerSettings(threads=2)
        )
        run = self.make().start(job)
        places: list[tuple[int, float]] = []
        while run.status().state in ("starting", "running") and len(places) < 40:
            factor = 2.0 + len(places)
            try:
                places.append((run.set({"scale": {"factor": factor}})[1], factor))
            except FirstlightError:
                break
            time.sleep(2e-3)
        wanted = np.ones(3000)
        for place, factor in places:
            wanted[place:] = factor
        demand_equal(run.finished(PATIENCE)["scale"].data[:, 0, 0], wanted, "the factor of each frame")


def demand_same_results(found: Results, wanted: Results, what: str) -> None:
    """Every result has the same values, axes and coverage.

    Raises:
        AssertionError: Some differ.
    """
    demand(found.keys() == wanted.keys(), f"{what}: results {sorted(found)}. Expected {sorted(wanted)}.")
    for name, result in found.items():
        demand(result.axes == wanted[name].axes, f"{what}: {name}: axes {result.axes}. Expected {wanted[name].axes}.")
        demand_equal(result.data, wanted[name].data, f"{what}: {name}", tolerance=1e-6)
        covered, other = result.covered, wanted[name].covered
        demand((covered is None) == (other is None), f"{what}: {name}: coverage {covered}. Expected {other}.")
        if covered is not None:
            demand_equal(covered, other, f"{what}: coverage of {name}")


def demand_conserved(run: Run, what: str) -> None:
    """The sum holds for the run and for each consumer, and nothing waits at the end.

    Raises:
        AssertionError: It does not.
    """
    for name, counts in {"run": run.counts, **run.status().consumers}.items():
        demand(counts.conserved, f"{what}: {name}: {counts} is not conserved.")
        demand(not counts.waiting, f"{what}: {name}: {counts} still waits at the end.")


def wait_until(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait for a condition.

    Raises:
        AssertionError: It did not come true in time.
    """
    end = time.monotonic() + patience
    while not condition():
        demand(time.monotonic() < end, "What the test waits for did not happen in time.")
        time.sleep(1e-3)


__all__ = ["Chunk", "RunnerContract", "by_place", "demand_conserved", "demand_same_results", "per_frame", "wait_until"]
