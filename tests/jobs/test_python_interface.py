"""What a microscopist does from Python, against a simulated detector: own steps, corrections, regions, changes on the way."""

import sys
import threading
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import firstlight as fl
from firstlight.core.errors import FirstlightError
from firstlight.core.job import Job
from firstlight.core.pipeline import pipeline
from firstlight.jobs.confine import confine
from firstlight.jobs.load import JobError

sys.path.insert(0, str(Path(__file__).parents[1] / "compat" / "libertem"))

from played import dectris, truth


@fl.operator("row col -> part")
def quarters(frames, *, threshold: float = 0.0):
    """Sum the pixels above a threshold in each quarter of a pattern.

    Args:
        threshold: Smaller values do not count.
    """
    rows, cols = frames.shape[1] // 2, frames.shape[2] // 2
    kept = np.where(frames > threshold, frames, 0)
    return kept.reshape(-1, 2, rows, 2, cols).sum((2, 4)).reshape(-1, 4)


@quarters.hook("sizes")
def _sizes(step, known):
    return {"part": 4}


class Everything(fl.Fold):
    """A value for each scan point with an axis of its own, one for each pixel, and one for all."""

    use: ClassVar[str] = "everything"
    signature: ClassVar[Any] = "[*] row col -> extremes: scan_y scan_x extreme, brightest: row col, frames: count"

    def sizes(self, known, scan):
        return {"extreme": 2, "count": 1}

    def empty(self, scan):
        size = {label: scan.main.size(label) for label in scan.main.axes}
        self_shaped = np.zeros((size["scan_y"] * size["scan_x"], 2), np.float32)
        return [self_shaped, np.zeros((size["row"], size["col"]), np.float32), 0, (size["scan_y"], size["scan_x"])]

    def add(self, state, chunk, *held):
        state[0][chunk.ids] = np.stack([chunk.data.min((1, 2)), chunk.data.max((1, 2))], axis=1)
        np.maximum(state[1], chunk.data.max(0), out=state[1])
        state[2] += len(chunk)

    def result(self, state):
        nav = state[0].reshape(*state[3], 2).copy()
        return {"extremes": nav, "brightest": state[1].copy(), "frames": np.array([state[2]], np.float32)}


def armed(told, **given):
    detector = fl.connect("dectris", api=told["api"], data=told["data"])
    return detector, detector.arm(shape=(3, 4), trigger_mode="exte", **given)


def test_a_function_and_a_fold_of_ones_own_run_beside_ours():
    with dectris() as told:
        detector, source = armed(told)
        with detector:
            steps = [quarters(threshold=5.0), Everything(), fl.step("virtual_detector", shape="annulus")]
            found = fl.run(source, steps).finished(60)
    frames = truth().reshape(3, 4, 12, 16)
    kept = np.where(frames > 5, frames, 0)
    halves = [
        (slice(0, 6), slice(0, 8)),
        (slice(0, 6), slice(8, 16)),
        (slice(6, 12), slice(0, 8)),
        (slice(6, 12), slice(8, 16)),
    ]
    expected = np.stack([kept[:, :, rows, cols].sum((2, 3)) for rows, cols in halves], axis=-1)
    assert found["quarters"].axes == ("scan_y", "scan_x", "part")
    assert np.array_equal(found["quarters"].data, expected)
    assert np.array_equal(found["everything.extremes"].data, np.stack([frames.min((2, 3)), frames.max((2, 3))], -1))
    assert np.array_equal(found["everything.brightest"].data, frames.max((0, 1)))
    assert found["everything.frames"].data.tolist() == [12]
    assert np.array_equal(found["virtual_detector"].data, frames.sum((2, 3)))


def test_named_steps_work_beside_each_other_on_the_frames():
    source = fl.source("phantom4d", scan_y=3, scan_x=4, rows=12, columns=16)
    frames = truth().reshape(3, 4, 12, 16)
    steps = {
        "total": fl.step("sum"),
        "bright": fl.virtual_detector(outer=3.0),
        "dark": fl.virtual_detector(shape="annulus", inner=3.5),
        "mine": quarters,
    }
    found = fl.run(source, steps).finished(60)
    rows, cols = np.mgrid[:12, :16]
    far = np.hypot(rows - 5.5, cols - 7.5)
    assert np.array_equal(found["total"].data, frames.sum((0, 1)))
    assert np.array_equal(found["bright"].data, frames[:, :, far <= 3].sum(-1))
    assert np.array_equal(found["dark"].data, frames[:, :, far >= 3.5].sum(-1))
    assert found["mine"].data.shape == (3, 4, 4)


def test_a_function_that_is_no_step_yet_is_told_how_to_become_one():
    source = fl.source("phantom4d", scan_y=3, scan_x=4, rows=12, columns=16)
    for steps in ([lambda frames: frames.max((1, 2))], {"brightest": np.max}):
        with pytest.raises(JobError, match=r"@fl\.operator\('row col -> '\)"):
            fl.run(source, steps)


def test_the_detector_is_corrected_live_as_on_the_recording(tmp_path):
    rng = np.random.default_rng(1)
    dark, gain, dead = rng.random((12, 16)), rng.random((12, 16)) + 0.5, np.zeros((12, 16), bool)
    dead[4, 5] = dead[11, 15] = True
    files = {name: tmp_path / f"{name}.npy" for name in ("dark_file", "gain_file", "dead_file")}
    for path, image in zip(files.values(), (dark, gain, dead), strict=True):
        np.save(path, image)
    steps = [fl.step("correct_pixels", **files, dead=((0, 0),)), fl.step("sum")]
    with dectris() as told:
        detector, source = armed(told)
        with detector:
            live = fl.run(source, steps).finished(60)["sum"].data
    frames = (truth().astype(np.float32) - dark.astype(np.float32)) * gain.astype(np.float32)
    good = ~dead
    good[0, 0] = False
    assert np.allclose(live[good], frames.sum(0)[good], rtol=1e-5)
    around = [(r, c) for r in (3, 4, 5) for c in (4, 5, 6) if (r, c) != (4, 5)]
    assert live[4, 5] == pytest.approx(np.median([frames[:, r, c] for r, c in around], axis=0).sum(), rel=1e-5)
    memory = fl.source("phantom4d", scan_y=3, scan_x=4, rows=12, columns=16)
    assert np.array_equal(live, fl.run(memory, steps).finished(60)["sum"].data)
    with pytest.raises(JobError, match=r"dark_file\.npy"):
        confine(Job(memory, pipeline(steps)), [tmp_path / "elsewhere"])


def test_files_that_do_not_fit_the_detector_are_told(tmp_path):
    np.save(tmp_path / "small.npy", np.ones((3, 3)))
    frames = np.ones((1, 12, 16))
    for given, words in (
        ({"dark_file": tmp_path / "small.npy"}, "not as large"),
        ({"gain_file": tmp_path / "none.npy"}, "can not be read"),
        ({"dead": ((12, 0),)}, "outside the frame"),
    ):
        with pytest.raises(FirstlightError, match=words):
            fl.step("correct_pixels", **given).run(frames)


def test_a_region_of_the_scan_live():
    with dectris() as told:
        detector, source = armed(told)
        with detector:
            run = fl.run(source, [fl.step("sum"), fl.step("max")], only={"scan_y": "1:3", "scan_x": "2:4"})
            found = run.finished(60)
    frames = truth().reshape(3, 4, 12, 16)[1:3, 2:4]
    assert np.array_equal(found["sum"].data, frames.sum((0, 1)))
    assert np.array_equal(found["max"].data, frames.max((0, 1)))
    assert run.counts.done == 4


class Stepped(fl.Source):
    """Gives one frame of ones each time that the test allows it."""

    use = "stepped"
    pausable = True

    def model_post_init(self, context):
        self._next = threading.Semaphore(0)

    def open(self):
        sizes = {"scan_y": 2, "scan_x": 3, "row": 8, "col": 8}
        return fl.Scan({"data": fl.Stream(tuple(sizes), sizes, "uint16", 2)})

    def items(self):
        for number in range(6):
            assert self._next.acquire(timeout=60)
            yield fl.Chunk(np.ones((1, 8, 8), np.uint16), ("row", "col"), np.array([number]))

    def stop(self):
        self._next.release(6)

    def close(self):
        pass


Stepped._next = None


def test_a_virtual_detector_that_moves_mid_scan_holds_from_a_frame_on():
    source = Stepped()
    run = fl.run(source, [fl.step("virtual_detector", shape="disk", center=(3.5, 3.5), outer=1.0)])
    source._next.release(2)
    for results in run.partial(0.01):
        if results.covered is not None and results.covered.sum() == 2:
            break
    place = run.set({"virtual_detector": {"outer": 20.0}})
    source._next.release(4)
    found = run.finished(60)["virtual_detector"].data.reshape(-1)
    assert 2 <= place[1] <= 6
    assert found.tolist() == [4 if number < place[1] else 64 for number in range(6)]
