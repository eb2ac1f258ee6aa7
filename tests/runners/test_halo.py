"""Steps that need the axis of the blocks with a halo: overlapping blocks give exactly what the whole gives."""

import threading
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.check import check
from firstlight.core.chunk import MAIN, Chunk, Gap, Scan, Stream
from firstlight.core.errors import ChangeRefused
from firstlight.core.job import Job, RunnerSettings, SinkSpec
from firstlight.core.operator import operator
from firstlight.core.pipeline import Pipeline, Reference
from firstlight.core.plan import Cut, Plan, block_length
from firstlight.runners.gather import Gathered, overlapping
from firstlight.runners.local import LocalRunner
from firstlight.runners.naive import NaiveRunner
from firstlight.testing.jobs import node
from firstlight.testing.operator import OperatorContract, OperatorExample
from firstlight.testing.play import cut, played, projections, recut
from firstlight.testing.runner import wait_until
from firstlight.testing.steps import (
    Adding,
    Collecting,
    level,
    linger,
    median_of_angles,
    median_of_rows,
    row_steps,
    scale,
    total,
)

RUNNERS = {"local": LocalRunner, "naive": NaiveRunner}
LOST = (0, 7, 8)


@pytest.fixture(params=sorted(RUNNERS))
def runner(request: pytest.FixtureRequest) -> Any:
    return RUNNERS[request.param]()


@pytest.fixture(params=[1, 2, 5, 100])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Positions in a block."""
    length = int(request.param)
    monkeypatch.setattr("firstlight.runners.gather.block_length", lambda cut: length)
    return length


def scanned(rows: int = 11, lost: tuple[int, ...] = ()) -> tuple[Scan, Any, list[Any]]:
    scan, frames = projections(24, rows, 6)
    kept = np.array([i for i in range(24) if i not in lost])
    chunks = recut(cut(frames[kept], ids=kept, coords={"angle": scan.coords["angle"][kept]}), 3, seed=4)
    return scan, frames[kept], [*chunks, *(Gap(0, i, i, "never came") for i in lost)]


def job(scan: Scan, items: list[Any], *steps: Any, sinks: tuple[SinkSpec, ...] = ()) -> Job:
    source = played(scan, items)
    return Job(source, Pipeline(steps), sinks, runner=RunnerSettings(threads=3), collect=True)


def planned(scan: Scan, *steps: Any) -> Plan:
    return check(job(scan, [], *steps), scan)


def results(runner: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    return {name: result.data for name, result in runner.start(job(*args, **kwargs)).finished(100).items()}


def sinograms(frames: Any) -> Any:
    made = frames.transpose(1, 0, 2)
    return made - made[:, :1]


def test_a_median_on_sinograms_shares_the_cut(runner: Any, blocks: int) -> None:
    scan, frames, items = scanned()
    steps = (node(level(), "level"), node(median_of_rows(size=3), "median"))
    plan = planned(scan, *steps)
    assert [(c.along, c.halo) for c in plan.cuts] == [("row", 1)]
    assert "blocks along row with a halo of 1" in "\n".join(plan.describe())
    assert plan["median"].outputs["data"].main.arrival_axes == ("row",)
    found = results(runner, scan, items, *steps)["median.data"]
    np.testing.assert_array_equal(found, median_of_rows(sinograms(frames)[None], size=3)[0])


@pytest.mark.parametrize("size", [3, 9])
def test_several_halos_in_one_stage_and_takers_in_between(runner: Any, blocks: int, size: int) -> None:
    scan, frames, items = scanned()
    sink = Collecting()
    steps = (
        node(level(), "level"),
        node(median_of_rows(size=size), "first"),
        node(scale(factor=0.5), "frames", "first"),
        node(row_steps(), "steps", "first"),
        node(median_of_rows(size=3), "second", "steps"),
        node(Adding(), "adding", "frames"),
    )
    plan = planned(scan, *steps)
    assert plan["level"].cut is not None
    assert plan["level"].cut.halo == size // 2 + 2
    assert (plan["first"].margin, plan["steps"].margin, plan["second"].margin) == (2, 1, 0)
    found = results(runner, scan, items, *steps, sinks=(SinkSpec(sink, Reference("first")),))
    first = median_of_rows(sinograms(frames)[None], size=size)[0]
    steep = row_steps(first.transpose(1, 2, 0)).transpose(2, 0, 1)
    np.testing.assert_array_equal(found["second.data"], median_of_rows(steep[None], size=3)[0])
    np.testing.assert_array_equal(found["adding.image"], (first.transpose(1, 0, 2) * 0.5).sum(0))
    written = {int(i): line for chunk in sink.chunks for i, line in zip(chunk.ids, chunk.data, strict=True)}
    assert sorted(written) == list(range(11))
    assert sum(map(len, sink.chunks)) == 11
    np.testing.assert_array_equal(np.stack([written[row] for row in range(11)]), first)


@operator("angle col -> z=row angle col")
def renamed(sinograms: Array) -> Array:
    """Call the rows z."""
    return sinograms


@operator("z~size col -> z col")
def median_of_slices(slices: Array, *, size: Annotated[int, Field(ge=1, le=99)] = 3) -> Array:
    """Median along z, in front of which the angles stay free.

    Args:
        slices: shape (block, z, col).
        size: Slices of a window.
    """
    return median_of_rows(slices[:, :, None], size=size)[:, :, 0]


def test_an_axis_keeps_its_halo_under_another_name(runner: Any, blocks: int) -> None:
    scan, frames, items = scanned(lost=LOST)
    steps = (node(renamed(), "renamed"), node(median_of_slices(size=5), "median"))
    plan = planned(scan, *steps)
    assert [(c.along, c.halo) for c in plan.cuts] == [("row", 2)]
    assert plan["median"].outputs["data"].main.axes == ("z", "angle", "col")
    kept = [i for i in range(24) if i not in LOST]
    found = results(runner, scan, items, *steps)["median.data"]
    np.testing.assert_array_equal(found[:, kept], median_of_rows(frames.transpose(1, 0, 2)[None], size=5)[0])


@operator("col -> col")
def multiplied(lines: Array, *, factor: float = 1.0) -> Array:
    """Multiply.

    Args:
        lines: shape (block, col).
        factor: By what.
    """
    return (lines * np.float32(factor)).astype(np.float32)


def test_blocks_that_waited_for_a_fold_overlap_again(runner: Any, blocks: int) -> None:
    scan, frames, items = scanned()
    steps = (
        node(Adding(), "adding"),
        node(level(), "level", "source.data"),
        node(median_of_rows(size=5), "first", "level"),
        node(multiplied(), "multiplied", "first", factor="adding.count"),
        node(median_of_rows(size=3), "second", "multiplied"),
    )
    plan = planned(scan, *steps)
    assert [(c.along, c.halo) for c in plan.cuts] == [("row", 2), ("row", 1)]
    first = median_of_rows(sinograms(frames)[None], size=5) * np.float32(24)
    np.testing.assert_array_equal(results(runner, scan, items, *steps)["second.data"], median_of_rows(first, size=3)[0])


def test_lost_frames_are_no_neighbours(runner: Any, blocks: int) -> None:
    scan, frames, items = scanned(lost=LOST)
    steps = (node(median_of_angles(size=5), "median"), node(median_of_angles(size=3), "again"), node(total(), "total"))
    plan = planned(scan, *steps)
    assert [(c.along, c.halo, c.same_frames) for c in plan.cuts] == [("angle", 3, True)]
    kept = [i for i in range(24) if i not in LOST]
    wanted = median_of_angles(median_of_angles(frames[None], size=5), size=3)[0]
    np.testing.assert_array_equal(results(runner, scan, items, *steps)["total.data"][kept], total(wanted))
    np.testing.assert_array_equal(results(runner, scan, items, *steps[:2])["again.data"][kept], wanted)


def test_lines_of_a_grid_overlap(runner: Any, blocks: int) -> None:
    @operator("scan_y~1 scan_x~1 -> scan_y scan_x")
    def add_neighbours(maps: Array) -> Array:
        """Sum of the neighbours above and below."""
        padded = np.pad(maps, ((0, 0), (1, 1), (0, 0)), mode="edge")
        return (padded[:, 2:] + padded[:, :-2]).astype(np.float32)

    values = np.random.default_rng(1).integers(0, 9, 30).astype(np.float32)
    scan = Scan({MAIN: Stream(("scan_y", "scan_x"), {"scan_y": 5, "scan_x": 6}, "float32", arrival=2)})
    steps = (node(add_neighbours(), "added"),)
    assert planned(scan, *steps).cuts[0].halo == 1
    found = results(runner, scan, cut(values, ()), *steps)["added.data"]
    np.testing.assert_array_equal(found, add_neighbours(values.reshape(1, 5, 6))[0])


def test_a_parameter_that_is_found_later_makes_no_halo() -> None:
    scan, _, _ = scanned()
    steps = (
        node(Adding(), "adding"),
        node(level(), "level", "source.data"),
        node(median_of_rows(), "median", "level", size="adding.count"),
    )
    plan = planned(scan, *steps)
    assert plan["median"].along is None
    assert all(not each.halo for each in plan.cuts)


def test_a_step_that_changes_the_axis_sees_it_whole() -> None:
    @operator("row~1 col -> col")
    def flatten(frames: Array) -> Array:
        """Sum the rows."""
        return frames.sum(1)

    scan, _, _ = scanned()
    plan = planned(scan, node(level(), "level"), node(flatten(), "flatten"))
    assert plan["flatten"].along is None
    assert plan["flatten"].cut is not None


def test_a_larger_window_than_planned_is_refused() -> None:
    scan, frames, items = scanned()
    go = threading.Event()
    steps = (node(linger(), "linger"), node(level(), "level"), node(median_of_rows(size=5), "median"))
    run = LocalRunner().start(job(scan, [items[0], lambda: go.wait(100), *items[1:]], *steps))
    try:
        with pytest.raises(ChangeRefused, match="more neighbours along 'row'"):
            run.set({"median": {"size": 7}})
        run.set({"median": {"size": 3}})
    finally:
        go.set()
    found = run.finished(100)["median.data"].data
    np.testing.assert_array_equal(found, median_of_rows(sinograms(frames)[None], size=3)[0])


def test_parts_of_a_chunk_with_other_parameters_keep_their_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstlight.runners.gather.block_length", lambda cut: 5)
    scan, frames, _ = scanned()
    go = threading.Event()
    first, *rest = cut(frames, size=8)
    run = LocalRunner().start(job(scan, [first, lambda: go.wait(100), *rest], node(median_of_angles(size=5), "median")))
    try:
        wait_until(lambda: run.counts.done == 8)
        _, since = run.set({"median": {"size": 3}})
    finally:
        go.set()
    found = run.finished(100)["median.data"].data
    wide, narrow = (median_of_angles(frames[None], size=size)[0] for size in (5, 3))
    assert since == 8
    np.testing.assert_array_equal(found[:since], wide[:since])
    np.testing.assert_array_equal(found[since:], narrow[since:])


def test_the_contract_finds_a_halo_that_is_too_small() -> None:
    @operator("row~1 col -> row col")
    def reaching(frames: Array) -> Array:
        """Say one neighbour and take two."""
        padded = np.pad(frames, ((0, 0), (2, 2), (0, 0)), mode="edge")
        return (padded[:, 4:] + padded[:, :-4]).astype(np.float32)

    class Contract(OperatorContract):
        def example(self) -> OperatorExample:
            scan, frames = projections(5, 9, 6)
            step: Any = made
            return OperatorExample(step, scan, cut(frames, size=5)[0])

    made: Any = row_steps()
    Contract().test_blocks_with_a_halo_give_the_same_answer()
    made = reaching()
    with pytest.raises(AssertionError, match="along 'row' at once"):
        Contract().test_blocks_with_a_halo_give_the_same_answer()


def test_blocks_overlap_within_an_epoch() -> None:
    frames = np.arange(12.0, dtype=np.float32)[:, None]
    stream = Stream(("angle", "col"), {"angle": 12, "col": 1}, "float32")
    held = Gathered(Cut(("a", "b"), stream, "angle", halo=2), 1e9)
    for chunk in (*cut(frames[:6], ("col",)), *cut(frames[6:], ("col",), epoch=1)):
        held.place(chunk)
    found = [chunk for chunk in held.blocks() if isinstance(chunk, Chunk)]
    assert [(c.epoch, c.margin, len(c)) for c in found] == [(0, (0, 0), 6), (1, (0, 0), 6)]


def test_blocks_are_worth_their_margins() -> None:
    stream = Stream(("angle", "row", "col"), {"angle": 100, "row": 4, "col": 4}, "float32")
    assert block_length(Cut(("a", "b"), stream, "angle"), target_bytes=64) == 1
    assert block_length(Cut(("a", "b"), stream, "angle", halo=3), target_bytes=64) == 6
    assert [margin for _, margin in overlapping(5, 2, 3)] == [(0, 3), (2, 1), (3, 0)]


def test_margins_are_trimmed() -> None:
    (chunk,) = cut(np.arange(10.0)[:, None], ("col",), size=10)
    wide = replace(chunk, margin=(3, 1))
    assert wide.within(5) is wide
    assert wide.within(2).ids.tolist() == list(range(1, 10))
    assert wide.within(2).margin == (2, 1)
    assert wide.within(0).ids.tolist() == list(range(3, 9))
    assert wide.take(slice(0, 2)).margin == (0, 0)
