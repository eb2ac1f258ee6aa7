"""The local runner: held values, views, ends."""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firstlight.connectors.memory.source import MemorySource
from firstlight.core.buffer import BufferSettings
from firstlight.core.chunk import MAIN, Chunk, End, Gap, Scan, Stream
from firstlight.core.errors import FirstlightError, SinkError, StepFailed
from firstlight.core.fold import Fold
from firstlight.core.job import Job, RunnerSettings, SinkSpec, ViewSpec
from firstlight.core.pipeline import Emit, Node, Pipeline, Reference
from firstlight.core.run import ENDED
from firstlight.core.view import Shown, View
from firstlight.jobs.load import load_job
from firstlight.jobs.start import start as start_job
from firstlight.runners.local import LocalRunner
from firstlight.runners.naive import NaiveRunner
from firstlight.runners.placeholders import filled, safe
from firstlight.testing.jobs import flats, node
from firstlight.testing.play import cut, played, projections
from firstlight.testing.runner import wait_until
from firstlight.testing.steps import Adding, Collecting, level, linger, scale, subtract

from .started import held_open, start

RUNNERS = {"local": LocalRunner, "naive": NaiveRunner}


def test_a_step_that_waits_for_a_fold_of_its_own_frames_gets_its_buffer() -> None:
    scan, frames = projections(24, known=False)
    nodes = [
        Node(Adding(), "counter", {}, emit=Emit(frames=8)),
        node(scale(), "scale", "source.data", factor="counter.count"),
    ]
    for threads in (1, 3):
        run = start(cut(frames), nodes, scan=scan, live=True, collect=True, runner=RunnerSettings(threads=threads))
        result = run.finished(100)["scale"].data
        factors = (result / np.maximum(frames, 1e-9))[frames > 0]
        assert set(np.unique(factors.round(3))) <= {8.0, 16.0, 24.0}
        assert run.counts.done == 24


def test_without_any_version_the_frames_are_not_lost_silently() -> None:
    scan, frames = projections(24)
    nodes = [Node(subtract(), "subtract", {"background": Reference("source", "flat")})]
    for runner in RUNNERS.values():
        with pytest.raises(StepFailed, match="the stream ended without any"):
            runner().start(
                Job(played(scan, [End("flat"), *cut(frames)]), Pipeline(tuple(nodes)), collect=True)
            ).finished(100)
    passing = [Node(subtract(), "subtract", {"background": Reference("source", "flat")}, before_first="pass")]
    np.testing.assert_array_equal(
        start(cut(frames), passing, scan=scan, collect=True).finished(100)["subtract"].data, frames
    )
    failing = [Node(subtract(), "subtract", {"background": Reference("source", "flat")}, before_first="fail")]
    with pytest.raises(StepFailed, match="none has come yet"):
        start(cut(frames), failing, scan=scan, collect=True).finished(100)


class Screen(View):
    """Keeps what it is shown; slow, or broken."""

    use = "screen"  # type: ignore[misc]
    slow: float = 0.0
    broken: bool = False

    def open(self, name: str, stream: Stream) -> None:
        """Remember."""
        SCREENS.append((name, stream))

    def show(self, shown: Shown) -> None:
        """Remember."""
        time.sleep(self.slow)
        if self.broken:
            raise ValueError("no screen")
        SCREENS.append(shown)

    def close(self) -> None:
        """Remember."""
        SCREENS.append("closed")


class Counting(Fold[list[int]]):
    """A fold with a picture, and a number beside it."""

    use = "counting"  # type: ignore[misc]
    signature = "[angle] row col -> image: row col, count: "  # type: ignore[misc]

    def empty(self, scan: Scan) -> list[int]:
        """Nothing yet."""
        return [0]

    def add(self, state: list[int], chunk: Chunk, *held: Any) -> None:
        """Count."""
        state[0] += len(chunk)

    def result(self, state: list[int]) -> dict[str, Any]:
        """How many."""
        return {"image": np.full((3, 4), float(state[0])), "count": np.float64(state[0])}


def test_numbers_that_a_fold_has_found_are_there_while_it_runs() -> None:
    scan, frames = projections(24)
    go = threading.Event()
    views = (ViewSpec(Reference("counting", "image"), 1e-3),)
    run = start(held_open(frames, go), [node(Counting(), "counting")], scan=scan, live=True, views=views)
    wait_until(lambda: 0 < run.status().values.get("counting.count", 0) < 24)
    go.set()
    assert run.finished(100)["counting.count"].data == 24
    assert run.status().values["counting.count"] == 24


SCREENS: list[Any] = []


def test_views_never_slow_the_run() -> None:
    SCREENS.clear()
    scan, frames = projections(24)
    views = (
        ViewSpec(Reference("adding", "image"), 1e-3, (Screen(slow=0.3), Screen(broken=True))),
        ViewSpec(Reference("source"), 1e-3),
        ViewSpec(Reference("scale"), 1e-3),
    )
    cues = [cue for chunk in cut(frames, size=1) for cue in (2e-3, chunk)]
    run = start(cues, [node(scale(factor=2.0), "scale"), node(Adding(), "adding")], scan=scan, views=views)
    first = run.view("adding.image", timeout=10)
    assert first is not None
    run.finished(100)
    last = run.view("adding.image", after=first.version)
    assert last is not None
    np.testing.assert_array_equal(last.data, 2 * frames.sum(0))
    assert (last.epoch, last.id) == (0, 23)
    for name, wanted in (("source.data", frames), ("scale", 2 * frames)):
        shown = run.view(name)
        np.testing.assert_array_equal(shown.data, wanted)
        assert shown.coverage == 1.0
    status = run.status()
    assert status.skipped["view-screen-adding.image"] >= 0
    assert {info.name for info in run.views} == {"adding.image", "source.data", "scale"}
    assert status.latency_ms is None  # a recorded scan's frames do not arrive
    assert SCREENS.count("closed") == 2
    assert run.counts.done == 24
    naive = NaiveRunner().start(
        Job(
            played(scan, cut(frames)),
            Pipeline((node(scale(factor=2.0), "scale"), node(Adding(), "adding"))),
            views=views,
        )
    )
    for name in ("adding.image", "source.data", "scale"):
        np.testing.assert_array_equal(naive.view(name).data, run.view(name).data)
    assert naive.view("adding.image", after=0) is None
    assert naive.view("ghost") is None


def test_a_run_can_be_followed() -> None:
    scan, frames = projections(24)
    sink = Collecting(path="somewhere/{scan}.h5")
    run = start(
        cut(frames[:20]), [node(Adding(), "adding")], scan=scan, sinks=(SinkSpec(sink, Reference("adding", "count")),)
    )
    events = list(run.events())
    assert [e.text for e in events if e.kind == "state"] == ["running", "draining", "done"]
    assert any(e.kind == "loss" and "frames 20 to 23" in e.text for e in events)
    assert any(e.kind == "value" and "count" in e.text for e in events)
    assert list(run.events(follow=False)) == events
    run.finished()
    report = run.report()
    assert report["state"] in ENDED
    assert (report["done"], report["lost"], report["expected"]) == (20, 4, 24)
    assert report["values"]["adding.count"] == 20.0
    assert report["stages"]["adding"]["frames"] == 20
    assert report["consumers"]["sink adding.count"]["done"] == 1
    assert run.status().progress == 1.0
    with pytest.raises(KeyError, match="There is no result 'x'"):
        run.finished()["x"]


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_scan_names_the_file(runner: str, tmp_path: Path) -> None:
    from firstlight.connectors.hdf5.sink import Hdf5Sink

    scan, frames = projections(8)
    named = Scan(scan.streams, "../../a scan", coords=scan.coords)
    sink = Hdf5Sink(path=tmp_path / "{scan}_rec.h5")
    job = Job(played(named, cut(frames)), Pipeline((node(scale(), "scale"),)), (SinkSpec(sink, Reference("scale")),))
    run = RUNNERS[runner]().start(job)
    run.finished(100)
    assert [path.name for path in tmp_path.iterdir()] == ["_.._a_scan_rec.h5"]
    assert run.status().result == str(next(tmp_path.iterdir()))


def test_names_are_made_safe() -> None:
    assert safe("../../etc/passwd") == "_.._etc_passwd"
    assert safe("..") == "scan"
    assert safe("scan_0412.v2") == "scan_0412.v2"
    plain = Collecting(path="x")
    assert filled(plain, "y") is plain


def test_sinks_of_the_source_and_of_flats() -> None:
    scan, frames = projections(24)
    raw, dark = Collecting(), Collecting()
    sinks = (SinkSpec(raw, Reference("source", MAIN)), SinkSpec(dark, Reference("source", "flat")))
    run = start([*flats(), *cut(frames)], [node(Adding(), "adding")], scan=scan, sinks=sinks)
    run.finished(100)
    assert sum(map(len, raw.chunks)) == 24
    assert sum(map(len, dark.chunks)) == 5
    assert all(counts.conserved for counts in run.status().consumers.values())


def test_a_second_sink_that_can_not_open_closes_the_first() -> None:
    scan, frames = projections(8)
    first, second = Collecting(), Collecting(fail_in="open", path="/full")
    sinks = (SinkSpec(first, Reference("scale")), SinkSpec(second, Reference("scale")))
    source = played(scan, cut(frames))
    with pytest.raises(SinkError, match="/full"):
        LocalRunner().start(Job(source, Pipeline((node(scale(), "scale"),)), sinks))
    assert first.complete == [False]
    assert source.closed


@pytest.mark.parametrize("name", ["first.h5", "first.tif", "first", "first.raw"])
def test_what_a_sink_made_is_taken_away_when_another_can_not_open(tmp_path: Path, name: str) -> None:
    use = {".h5": "hdf5", ".raw": "raw"}.get(Path(name).suffix, "tiff")
    there = tmp_path / "there.h5"
    there.write_bytes(b"mine")
    sinks = [{"use": use, "path": str(tmp_path / name)}, {"use": "hdf5", "path": str(there)}]
    source = {"use": "phantom", "columns": 16, "rows": 2, "angles": 6}
    job = {
        "source": source,
        "steps": [{"use": "flat_field"}],
        "sinks": [{**sink, "of": "flat_field"} for sink in sinks],
    }
    with pytest.raises(SinkError, match="exists already"):
        start_job(load_job(job))
    assert [each.name for each in tmp_path.iterdir()] == ["there.h5"]
    assert there.read_bytes() == b"mine"


def test_stop_before_a_whole_axis_gives_what_there_is() -> None:
    scan, frames = projections(24)
    for given in (0, 2):
        chunks = cut(frames)[:given]
        source = played(scan, [*chunks, lambda s: None][:-1])
        source = played(scan, [*chunks, lambda: source.wait(100)])  # noqa: B023
        run = LocalRunner().start(
            Job(source, Pipeline((node(linger(), "linger"), node(level(), "level"))), collect=True)
        )
        wait_until(lambda: run.status().state == "running")  # noqa: B023
        time.sleep(0.05)
        run.stop()
        result = run.finished(100)["level"]
        assert run.counts.excluded == 24 - 4 * given
        assert run.counts.conserved
        assert result.data.shape == (3, 24, 8)
        assert np.isnan(result.data[:, 4 * given :]).all() or given == 0


def test_a_bad_value_from_another_step_is_named() -> None:
    scan, frames = projections(24)
    nodes = [node(Adding(factor=1e9), "adding"), node(scale(), "scale", "source.data", factor="adding.image")]
    for runner in RUNNERS.values():
        with pytest.raises(StepFailed, match="'scale' can not take the value that another step found for 'factor'"):
            runner().start(Job(played(scan, cut(frames)), Pipeline(tuple(nodes)), collect=True)).finished(100)


def test_more_frames_than_announced_are_rejected_by_name() -> None:
    scan, frames = projections(8)
    cues = [*cut(frames), *cut(frames[:4], epoch=1)]
    for runner in RUNNERS.values():
        run = runner().start(Job(played(scan, cues), Pipeline((node(level(), "level"),)), collect=True))
        run.finished(100)
        assert (run.counts.done, run.counts.rejected, run.counts.waiting) == (8, 4, 0)


def test_gaps_that_overlap_frames_are_counted_once() -> None:
    scan, frames = projections(24)
    cues = [*cut(frames[:8]), Gap(0, 6, 11, "maybe"), Gap(0, 10, 12, "again"), *cut(frames[10:], ids=np.arange(10, 24))]
    for runner in RUNNERS.values():
        run = runner().start(Job(played(scan, cues), Pipeline((node(scale(), "scale"),)), collect=True))
        run.finished(100)
        counts = run.counts
        assert (counts.done, counts.lost, counts.duplicates) == (19, 5, 3)
        assert counts.conserved


def test_a_step_that_can_not_be_prepared_ends_the_start() -> None:
    from firstlight.core.operator import operator

    @operator("->")
    def unprepared(values: Any) -> Any:
        """Fail early."""
        return values

    @unprepared.hook("prepare")
    def _prepare(step: Any, scan: Any) -> None:
        raise FirstlightError("no plan")

    scan, frames = projections(8)
    source = played(scan, cut(frames))
    sink = Collecting()
    with pytest.raises(FirstlightError, match="no plan"):
        LocalRunner().start(Job(source, Pipeline((node(unprepared(), "x"),)), (SinkSpec(sink, Reference("x")),)))
    assert source.closed
    assert sink.complete == [False]


def test_a_run_that_does_not_end_in_time_says_so() -> None:
    scan, frames = projections(24)
    source = played(scan, [*cut(frames), lambda: source.wait(100)])
    run = LocalRunner().start(Job(source, Pipeline((node(Adding(), "adding"),))))
    with pytest.raises(TimeoutError, match=r"did not end within 0\.05 s"):
        run.finished(0.05)
    run.stop()
    run.finished(100)


def test_a_fold_with_a_held_image_sees_later_versions() -> None:
    class Weighted(Adding):
        """Sum of frames minus the image that holds."""

        use = "weighted"  # type: ignore[misc]
        signature = "[angle] row col, row col -> image: row col, count: "  # type: ignore[assignment]
        arguments = ("frames", "flat")  # type: ignore[misc]

        def add(self, state: Any, chunk: Chunk, *held: Any) -> None:
            """Subtract what holds for each frame."""
            images = [held[0].versions[held[0].index((chunk.epoch, int(i)))].value for i in chunk.ids]
            super().add(state, chunk.with_data(chunk.data - np.stack(images), chunk.axes))

    scan, frames = projections(24)
    first, second = flats()[:2], flats()[2:]
    cues = [*first, *cut(frames[:12]), 0.05, *second, 0.05, *cut(frames[12:], ids=np.arange(12, 24))]
    scan = Scan(scan.streams, coords=scan.coords)
    run = start(
        cues, [node(Weighted(), "weighted")], scan=scan, live=True, buffers={"default": BufferSettings(policy="spill")}
    )
    wanted = frames.sum(0) - 12 * 2 - 12 * 5
    np.testing.assert_allclose(run.finished(100)["weighted.image"].data, wanted)


def test_rates_are_over_the_work_however_few_chunks_there_are() -> None:
    class Slow(Adding):
        """Takes a while for its only chunk."""

        use = "slow"  # type: ignore[misc]

        def add(self, state: Any, chunk: Chunk, *held: Any) -> None:
            """Sleep first."""
            time.sleep(0.3)
            super().add(state, chunk, *held)

    frames = projections(24)[1]
    source = MemorySource.of(frames, angles=np.arange(24.0), frames=24)
    run = LocalRunner().start(Job(source, Pipeline((node(Slow(), "slow"),))))
    run.finished(100)
    assert 0 < run.status().frames_per_second <= 24 / 0.3
