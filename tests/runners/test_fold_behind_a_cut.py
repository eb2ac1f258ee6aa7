"""Folds over an axis along which the data do not arrive: sinograms are regrouped to projections in front of them."""

from typing import Any

import numpy as np
import pytest

from firstlight.connectors.memory.source import MemorySource
from firstlight.connectors.phantom.source import PhantomSource
from firstlight.core.arrays import Array
from firstlight.core.check import check
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import JobError
from firstlight.core.job import Job, RunnerSettings
from firstlight.core.pipeline import pipeline
from firstlight.jobs.start import start
from firstlight.runners.naive import NaiveRunner
from firstlight.testing.play import played

COLUMNS, ROWS, ANGLES, AXIS = 48, 7, 90, 25.5
STEPS: list[Any] = [
    {"use": "minus_log"},
    {"use": "find_center"},
    {"use": "fbp", "inputs": ["minus_log"], "center": {"from": "find_center"}},
]


def projections() -> tuple[Array, Array]:
    """Transmission (angle, row, col) of the phantom, and the angles."""
    source = PhantomSource(columns=COLUMNS, rows=ROWS, angles=ANGLES, center=AXIS, noise=False)
    job = Job(source, pipeline([{"use": "flat_field"}]), collect=True, runner=RunnerSettings(threads=1))
    found = start(job).finished(60)["flat_field.data"]
    return found.data, np.arange(ANGLES) * 180.0 / ANGLES


@pytest.fixture(scope="module")
def scans() -> dict[str, MemorySource]:
    frames, angles = projections()
    return {
        "projections": MemorySource.of(frames, angles=angles, frames=11),
        "sinograms": MemorySource.of(
            np.ascontiguousarray(frames.swapaxes(0, 1)),
            "row angle col",
            arrival=1,
            coords={"angle": np.broadcast_to(angles, (ROWS, ANGLES))},
            frames=2,
        ),
    }


def ran(
    source: MemorySource, steps: list[Any], regroup: str = "auto", *, naive: bool = False, memory: float = 2**31
) -> Any:
    runner = RunnerSettings(threads=2, memory=memory, regroup=regroup)  # pyright: ignore[reportArgumentType]
    job = Job(source, pipeline(steps), collect=True, runner=runner)
    return NaiveRunner().start(job) if naive else start(job)


@pytest.mark.parametrize("way", ["memory", "disk", "naive"])
def test_the_axis_of_sinograms_is_that_of_their_projections(scans: dict[str, MemorySource], way: str) -> None:
    expected = ran(scans["projections"], STEPS).finished(60)
    regroup = {"disk": "disk"}.get(way, "auto")
    run = ran(scans["sinograms"], STEPS, regroup, naive=way == "naive", memory=1.0 if way == "disk" else 2**31)
    found = run.finished(60)
    center = float(found["find_center.center"].data)
    assert center == pytest.approx(AXIS, abs=0.1)
    assert center == float(expected["find_center.center"].data)
    assert np.allclose(found["fbp.data"].data, expected["fbp.data"].data, rtol=0, atol=1e-4)
    counts = run.status().consumers["find_center"]
    assert (counts.expected, counts.done) == (ROWS, ROWS)


def test_it_is_planned() -> None:
    sizes = {"row": 5, "angle": 20, "col": 16}
    scan = Scan({MAIN: Stream(("row", "angle", "col"), sizes, "float32", arrival=1)})
    plan = check(Job(played(scan, []), pipeline([{"use": "find_center"}]), collect=True), scan)
    cut = plan["find_center"].cut
    assert cut is not None
    assert (cut.along, cut.after.axes, cut.after.arrival_axes) == ("angle", ("angle", "row", "col"), ("angle",))


def test_sinograms_without_end_can_not_be_turned() -> None:
    scan = Scan({MAIN: Stream(("row", "angle", "col"), {"row": None, "angle": 20, "col": 16}, "float32", arrival=1)})
    with pytest.raises(JobError, match=r"folds 'angle'.*known end"):
        check(Job(played(scan, [], live=True), pipeline([{"use": "find_center"}]), collect=True), scan)


def test_a_lost_sinogram_stays_a_gap(scans: dict[str, MemorySource]) -> None:
    frames, angles = projections()
    ids = [0, 1, 2, 4, 5, 6]
    source = MemorySource.of(
        np.ascontiguousarray(frames.swapaxes(0, 1)),
        "row angle col",
        arrival=1,
        coords={"angle": np.broadcast_to(angles, (ROWS, ANGLES))},
        ids=ids,
        frames=2,
    )
    run = ran(source, [{"use": "find_center"}])
    run.finished(60)
    counts = run.status().consumers["find_center"]
    assert (counts.done, counts.lost) == (len(ids), 1)
