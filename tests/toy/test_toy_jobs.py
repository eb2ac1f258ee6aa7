"""Three jobs of different techniques, on toy steps: the core has to be right before any real step exists."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from firstlight.core import registry
from firstlight.core.buffer import BufferSettings
from firstlight.core.chunk import MAIN, Chunk, End, Gap, Scan, Stream
from firstlight.core.errors import JobError
from firstlight.core.job import Job, RunnerSettings, ViewSpec
from firstlight.core.pipeline import Node, Pipeline, Reference, pipeline
from firstlight.operators.reduce.mean import Mean
from firstlight.runners.local import LocalRunner
from firstlight.runners.naive import NaiveRunner

from .toys import Average, Fit, Middle, Script, Smear, blob, chunks, divide, inside, scale, tomography

RUNNERS = {"naive": NaiveRunner, "local": LocalRunner}


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    toys = {
        "divide": divide,
        "scale": scale,
        "inside": inside,
        "average": Average,
        "smear": Smear,
        "middle": Middle,
        "fit": Fit,
    }
    for name, toy in toys.items():
        registry.add("operators", name, toy)
    yield
    for name in toys:
        registry.remove("operators", name)


def live_tomography(*, after: int = 5, total: int = 24) -> tuple[Scan, list[object]]:
    """Projections with a flat that comes after the first of them."""
    angles = np.linspace(0, 180, total, endpoint=False)
    flat = np.full((2, 16), 4.0, np.float32)
    frames = np.stack([blob(a, 1.0) * flat for a in angles])
    cut = chunks(frames, ("row", "col"), np.arange(total), 3, angle=angles)
    late = [Chunk(flat[None], ("row", "col"), np.array([-1]), stream="flat"), End("flat", 0)]
    return tomography(None), [*cut[:after], 0.05, *late, *cut[after:]]


@pytest.mark.parametrize("threads", [1, 3])
def test_live_tomography_holds_frames_until_the_flat_comes_and_uses_the_centre_that_it_finds(threads: int) -> None:
    scan, items = live_tomography()
    steps = pipeline(
        [
            {"use": "divide"},
            {"use": "scale", "factor": 2.0},
            {"use": "middle", "emit": "6 frames"},
            {"use": "smear", "inputs": ["scale"], "shift": {"from": "middle"}},
        ]
    )
    job = Job(
        Script.of(scan, items, live=True),
        steps,
        views=(ViewSpec(Reference("smear"), every=0.01),),
        runner=RunnerSettings(threads=threads),
    )
    run = LocalRunner().start(job)
    results = run.finished(20)
    assert run.counts.conserved
    assert run.counts.done == run.counts.expected == 24
    assert float(results["middle"].data) == pytest.approx(1.0, abs=0.05)
    plane = results["smear"].data
    assert np.unravel_index(plane.argmax(), plane.shape) in {(7, 7), (7, 8), (8, 7), (8, 8)}
    assert plane.max() == pytest.approx(24 * 2 * 2 * np.exp(-0.25 / 4), rel=0.05)
    shown = run.view("smear", after=-1)
    assert shown is not None
    np.testing.assert_array_equal(shown.data, plane)


def test_a_parameter_holds_from_its_frame_on_whatever_the_order_of_the_chunks() -> None:
    frames = np.ones((40, 2, 16), np.float32)
    cut = chunks(frames, ("row", "col"), np.arange(40), 2)
    go = threading.Event()
    scan = Scan({MAIN: Stream(("angle", "row", "col"), {"angle": 40, "row": 2, "col": 16}, "float32")})
    items = [*cut[:10], lambda: go.wait(10), *cut[10:][::-1]]
    job = Job(Script.of(scan, items), pipeline([{"use": "scale"}]), collect=True)
    run = LocalRunner().start(job)
    while run.status().consumers.get("result scale.data") is None or run.counts.done < 20:
        pass
    place = run.set({"scale": {"factor": 3.0}})
    go.set()
    result = run.finished(20)["scale"].data
    assert place == (0, 20)
    assert (result[:20] == 1).all()
    assert (result[20:] == 3).all()
    change = run.report()["changes"][0]
    assert (change["old"], change["new"], change["id"]) == (1.0, 3.0, 20)


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_four_dimensional_scan_gives_an_image_and_a_mean(runner: str) -> None:
    rng = np.random.default_rng(0)
    data = rng.random((5, 6, 8, 8), dtype=np.float32)
    flat_data = data.reshape(30, 8, 8)
    order = rng.permutation(10)
    cut = [chunks(flat_data, ("row", "col"), np.arange(30), 3)[n] for n in order]
    stream = Stream(
        ("scan_y", "scan_x", "row", "col"), {"scan_y": 5, "scan_x": 6, "row": 8, "col": 8}, "float32", arrival=2
    )
    steps = Pipeline(
        (Node(inside(radius=2.0), "disk"), Node(Average(), "average", {"frames": Reference("source", "data")}))
    )
    run = RUNNERS[runner]().start(Job(Script.of(Scan({MAIN: stream}), cut), steps, collect=True))
    results = run.finished(20)
    rows, cols = np.indices((8, 8)) - 3.5
    mask = rows**2 + cols**2 <= 4
    np.testing.assert_allclose(results["disk"].data, data[..., mask].sum(-1), rtol=1e-5)
    assert results["disk"].axes == ("scan_y", "scan_x")
    np.testing.assert_allclose(results["average"].data, data.mean((0, 1)), rtol=1e-5)
    assert run.counts.done == 30


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("size", [1, 4, 30])
def test_two_streams_join_by_id_with_gaps_into_a_solver(runner: str, size: int) -> None:
    rng = np.random.default_rng(1)
    xy = rng.random((30, 2)).astype(np.float32)
    frames = (2.5 * np.hypot(*xy.T))[:, None, None] * np.ones((30, 3, 3), np.float32)
    lost = {4, 5, 17}
    kept = [i for i in range(30) if i not in lost]
    scan = Scan(
        {
            MAIN: Stream(("position", "row", "col"), {"position": None, "row": 3, "col": 3}, "float32"),
            "positions": Stream(("position", "xy"), {"position": None, "xy": 2}, "float32"),
        }
    )
    pictures = chunks(frames[kept], ("row", "col"), kept, size)
    places = [
        Chunk(c.data, c.axes, c.ids, stream="positions")
        for c in chunks(xy, ("xy",), np.arange(30), 7)
        if 21 not in c.ids
    ]
    items: list[object] = [*pictures, *places]
    rng.shuffle(items)
    items += [
        Gap(0, 4, 5, "lost on the wire"),
        Gap(0, 17, 17, "lost on the wire"),
        Gap(0, 21, 27, "no encoder", stream="positions"),
    ]
    job = Job(Script.of(scan, items), pipeline([{"use": "fit"}]), collect=True)
    run = RUNNERS[runner]().start(job)
    results = run.finished(20)
    assert float(results["fit.slope"].data) == pytest.approx(2.5, rel=1e-3)
    assert int(results["fit.used"].data) == 30 - 3 - 7
    assert run.counts.conserved
    assert (run.counts.done, run.counts.lost, run.counts.waiting) == (20, 10, 0)


def test_a_solver_goes_round_while_frames_come_faster_than_anybody_is_idle() -> None:
    xy = np.ones((60, 2), np.float32)
    frames = np.full((60, 3, 3), 3.0, np.float32)
    streams = {
        MAIN: Stream(("position", "row", "col"), {"position": None, "row": 3, "col": 3}, "float32"),
        "positions": Stream(("position", "xy"), {"position": None, "xy": 2}, "float32"),
    }
    items: list[object] = [Chunk(xy, ("xy",), np.arange(60), stream="positions"), End("positions")]
    for chunk in chunks(frames, ("row", "col"), np.arange(60), 1):
        items += [chunk, 0.004]
    job = Job(Script.of(Scan(streams), items, live=True), pipeline([{"use": "fit", "iterations": 1}]), collect=True)
    results = LocalRunner().start(job).finished(20)
    assert int(results["fit.used"].data) == 60
    # one round comes after the last frame; all others while frames came
    assert int(results["fit.done"].data) > 10


def test_the_toy_jobs_give_the_same_with_buffers_of_one_chunk() -> None:
    scan, items = live_tomography(after=0)
    steps = pipeline(
        [{"use": "divide"}, {"use": "middle"}, {"use": "smear", "inputs": ["divide"], "shift": {"from": "middle"}}]
    )
    wide = LocalRunner().start(Job(Script.of(scan, items), steps))
    narrow = LocalRunner().start(Job(Script.of(scan, items), steps, buffers={"default": BufferSettings(memory=1)}))
    np.testing.assert_allclose(wide.finished(20)["smear"].data, narrow.finished(20)["smear"].data, rtol=1e-6)


def test_every_mistake_is_reported_at_once() -> None:
    scan = tomography(None)
    no_flat = Scan({MAIN: scan.main})
    steps = pipeline(
        [
            {"use": "divide"},
            {"use": "scale", "inputs": ["later"]},
            {"use": "middle", "inputs": ["source.ghost"]},
        ]
    )
    with pytest.raises(JobError) as caught:
        LocalRunner().start(Job(Script.of(no_flat, []), steps))
    assert len(caught.value.problems) == 3


def test_the_mean_that_is_put_in_front_of_a_flat_is_the_registered_one() -> None:
    assert registry.get("operators", "mean") is Mean
