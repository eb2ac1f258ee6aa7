"""What a run tells about its data: statistics, frames that can not be right, pictures of steps, and how it gets on."""

import json
from dataclasses import replace

import numpy as np
import pytest

from firstlight.connectors.memory.source import MemorySource
from firstlight.core.errors import JobError
from firstlight.core.job import Job, RunnerSettings, SnapshotSpec, parse_job
from firstlight.core.pipeline import Reference, pipeline
from firstlight.core.run import Counts
from firstlight.core.sweep import turn
from firstlight.jobs.snapshots import write_snapshots
from firstlight.jobs.start import start
from firstlight.kernels.pause import pause
from firstlight.runners.context import StageTimes
from firstlight.runners.progress import Progress
from firstlight.runners.under_way import UnderWay

RNG = np.random.default_rng(8)


def source():
    data = np.random.default_rng(8).uniform(50, 100, (20, 6, 16)).astype(np.float32)
    data[3, 1, 2] = np.nan
    data[11] = 0
    return MemorySource.of(
        data,
        angles=np.arange(20) * 9.0,
        dark=np.zeros((2, 6, 16), np.float32),
        flat=np.full((2, 6, 16), 100, np.float32),
        frames=4,
    )


def run(steps, **parts):
    made = start(Job(source(), pipeline(steps), collect=True, **parts))
    made.finished(60)
    return made


STEPS = [{"use": "flat_field"}, {"use": "minus_log"}, {"use": "fbp"}]


def test_frames_that_can_not_be_right_are_named_with_step_and_id():
    done = run(STEPS)
    report = done.report()
    assert report["faults"]["source.data"] == {
        "nan": {"frames": 1, "first": 3, "along": "frame"},
        "zero": {"frames": 1, "first": 11, "along": "frame"},
    }
    assert report["faults"]["minus_log"]["nan"]["first"] == 3
    told = [event.text for event in done.events(follow=False) if event.level == "warning"]
    assert "source.data: frame 3 has values that are not a number (NaN)" in told
    assert "source.data: frame 11 is zero everywhere" in told
    assert report["statistics"] == {}
    assert done.record["faults"] == report["faults"]


def test_no_more_than_a_few_are_told():
    data = np.zeros((30, 4, 8), np.uint16)
    made = start(Job(MemorySource.of(data, angles=np.arange(30.0)), pipeline([{"use": "mean"}]), collect=True))
    made.finished(60)
    told = [event.text for event in made.events(follow=False) if event.level == "warning"]
    assert len(told) == 3
    assert "counted in the report" in told[-1]
    assert made.status().faults["source.data"]["zero"]["frames"] == 30


def test_checks_can_be_left_out():
    assert run(STEPS, runner=RunnerSettings(checks=False)).report()["faults"] == {}


def test_statistics_of_each_step_are_those_of_what_it_gives():
    done = run(STEPS, runner=RunnerSettings(statistics=True))
    found = done.report()["statistics"]
    assert {"source.data", "flat_field", "minus_log", "fbp"} <= set(found)
    whole = source().read({})
    known = whole[np.isfinite(whole)]
    assert found["source.data"]["nan"] == 1
    assert found["source.data"]["mean"] == pytest.approx(known.mean(), rel=1e-6)
    assert found["flat_field"]["max"] == pytest.approx(known.max() / 100, rel=1e-5)
    slices = done.finished()["fbp"].data
    assert found["fbp"]["std"] == pytest.approx(slices.std(), rel=1e-4)
    assert found["fbp"]["values"] == slices.size


def test_fused_steps_give_the_same_with_statistics():
    plain, watched = run(STEPS[:2]), run(STEPS[:2], runner=RunnerSettings(statistics=True))
    np.testing.assert_allclose(plain.finished()["minus_log"].data, watched.finished()["minus_log"].data, rtol=1e-5)


@pytest.mark.parametrize("runner", ["local", "naive"])
def test_snapshots_are_the_middle_with_a_record(runner, tmp_path):
    specs = [("minus_log", "m.tif"), ("fbp", "f.png"), ("source.data", "s.tiff")]
    snapshots = tuple(SnapshotSpec(Reference.parse(of), tmp_path / "sub" / name) for of, name in specs)
    made = run(STEPS, runner=RunnerSettings(use=runner), snapshots=snapshots)
    pictures = made.snapshots
    assert [picture.place for picture in pictures] == [9, 2, 9]
    assert np.array_equal(pictures[2].data, source().read({})[9])
    assert np.array_equal(pictures[1].data, made.finished()["fbp"].data[2])
    assert write_snapshots(pictures, made.record) == []

    import tifffile
    from PIL import Image

    with tifffile.TiffFile(tmp_path / "sub" / "m.tif") as file:
        assert np.array_equal(file.asarray(), pictures[0].data)
        told = json.loads(file.pages[0].description)
    assert told["snapshot"] == {"of": "minus_log", "axes": ["row", "col"], "place": 9, "unit": None}
    assert told["counts"]["done"] == 20
    image = Image.open(tmp_path / "sub" / "f.png")
    assert image.size == (16, 16)
    assert json.loads(image.text["firstlight"])["snapshot"]["of"] == "fbp"
    assert not list(tmp_path.rglob("*.part"))


def test_a_picture_that_can_not_be_written_is_told_and_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    made = run(STEPS, snapshots=(SnapshotSpec(Reference("fbp"), tmp_path / "file" / "x.png"),))
    assert "can not be written" in write_snapshots(made.snapshots, {})[0]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([{"of": "fbp"}], "snapshot 1"),
        ([{"of": "fbp", "path": "x.jpg"}], ".png"),
        ([{"of": "nobody", "path": "x.png"}], "no step 'nobody'"),
        (5, "not a list"),
    ],
)
def test_mistakes_in_snapshots(given, words):
    job = {"source": "phantom", "steps": STEPS, "sinks": [], "snapshots": given}
    with pytest.raises(JobError, match=words):
        parse_job(job)


def test_a_job_keeps_its_snapshots_as_plain_values():
    job = parse_job({"source": "phantom", "steps": STEPS, "snapshots": [{"of": "fbp", "path": "x.png"}]})
    assert parse_job(job.to_dict()).snapshots == job.snapshots
    assert replace(job, name="other").snapshots == job.snapshots


def test_pace_and_what_bounds_it(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("firstlight.runners.progress.time.monotonic", lambda: clock[0])
    pace = Progress(threads=4)
    times = {"reading": StageTimes(), "fbp": StageTimes(), "writing fbp.data": StageTimes()}
    assert pace.bound(times, []) is None
    assert pace.stages({"fbp": Counts(expected=100, waiting=100)}, {}, {"fbp": "gathered for fbp"})["fbp"] == {
        "title": "gathered for fbp",
        "done": 0,
        "expected": 100,
        "rate": 0.0,
        "left": None,
    }
    clock[0] = 2.0
    times = {"reading": StageTimes(0.5), "fbp": StageTimes(6.0), "writing fbp.data": StageTimes(1.0)}
    found = pace.stages({"fbp": Counts(expected=100, done=20, waiting=80)}, {}, {})["fbp"]
    assert (found["rate"], found["left"]) == (10.0, 8.0)
    assert pace.bound(times, []) == "computing fbp"
    assert pace.bound({**times, "writing fbp.data": StageTimes(1.9)}, []) == "writing fbp.data"
    assert pace.stages({"fbp": Counts(expected=100, done=100)}, {}, {})["fbp"]["left"] == 0.0


def test_pace_of_blocks_that_take_long(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("firstlight.runners.progress.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("firstlight.runners.under_way.time.monotonic", lambda: clock[0])
    pace, under_way = Progress(threads=2), UnderWay(lambda: False)

    def told(done, begun=0.0):
        counts = {"sink sirt.volume": Counts(expected=64, done=done, waiting=64 - done)}
        return pace.stages(counts, {"sink sirt.volume": begun}, {})["sink sirt.volume"]

    assert told(0)["left"] is None
    with under_way.on("sirt", 16):
        clock[0] = 30.0
        pause(25, 100)
        assert pace.bound({"reading": StageTimes(3.0)}, under_way.now()) == "computing sirt (25 of 100 rounds)"
        found = told(0, begun=4.0)
        assert found["done"] == 0  # a slice counts once it is written
        assert found["rate"] == pytest.approx(4 / 30)
        assert found["left"] == pytest.approx(450.0)
    with under_way.on("swept", 1, series=3):
        turn.get()(0)
        turn.get()(1)
        assert [(work.done, work.of) for work in under_way.now()] == [(1, 3)]  # three values without rounds
        turn.get()(0)
        for done in (0, 5, 9):
            pause(done, 10)
        turn.get()(1)
        for done in (0, 5, 9, 0, 5):  # slices that are worked on one after the other begin anew
            pause(done, 10)
        assert [(work.done, work.of) for work in under_way.now()] == [(15, 30)]  # of three values the second
    clock[0] = 119.9
    told(0, begun=15.9)
    clock[0] = 120.0
    assert told(16)["left"] == pytest.approx(360.0)  # not what its last moment alone would say


def test_a_status_names_stages_while_it_runs():
    from threading import Event

    from firstlight.jobs.messages import status_fields, status_of

    gate = Event()

    class Slow(MemorySource):
        def items(self):
            for number, item in enumerate(super().items()):
                if number == 7:
                    gate.wait(100)
                yield item

    slow = Slow.of(RNG.uniform(1, 2, (20, 4, 8)).astype(np.float32), angles=np.arange(20.0), frames=2)
    made = start(Job(slow, pipeline([{"use": "minus_log"}]), collect=True))
    status = made.status()
    assert set(status.stages["result minus_log.data"]) == {"title", "done", "expected", "rate", "left"}
    assert status_of(status_fields(status)).stages == json.loads(json.dumps(status.stages))
    gate.set()
    made.finished(60)
    assert made.status().stages == {}
