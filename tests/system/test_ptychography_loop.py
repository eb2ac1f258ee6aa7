"""The whole loop of a nanoprobe: replay with faults, service, run, Tiled, browser. Every frame of it is accounted for."""

import h5py
import numpy as np
import pytest

import firstlight as fl
from firstlight.connectors.hxn.client import ask
from firstlight.connectors.memory.source import MemorySource
from firstlight.connectors.phantom.ptychography import PhantomPtychographySource
from firstlight.core.chunk import Chunk, End

from .test_holoptycho import ENDED, SMALL, beamline

__all__ = ["beamline"]  # a fixture
FRAMES, UPSAMPLE, SAMPLES = 81, 10, 41
JOIN = 15
LOST = {30, 31, 47}
SETTLING = {36, 37, 54, 55}
MESSAGE = 10
FAULTS = {
    "join_after": JOIN,
    "upsample": UPSAMPLE,
    "lose_ids": tuple(LOST),
    "lose_messages": (MESSAGE,),
    "swap_ids": (40, 60),
    "swap_messages": (13,),
    "settling_ids": tuple(SETTLING),
}


def seen(frames):
    """Frames that the detector sent while the run listened."""
    return set(range(JOIN, frames)) - LOST


def placed(frames):
    """Frames whose samples all were sent while the run listened: a message that is lost takes its frames along."""

    def needed(frame):
        return {(frame * UPSAMPLE) // SAMPLES, (frame * UPSAMPLE + UPSAMPLE - 1) // SAMPLES}

    def heard(message):
        return message * SAMPLES >= JOIN * UPSAMPLE and message != MESSAGE

    return {frame for frame in range(frames) if all(map(heard, needed(frame)))}


def joined(frames):
    """Frames that are reconstructed, in their order."""
    return sorted(seen(frames) & placed(frames) - SETTLING)


def image(folder, scan):
    (path,) = folder.glob(f"scan_{scan}_*_object.h5")
    with h5py.File(path) as file:
        return file["entry/data/data"][()]


def ended(beamline, scan, state="finished"):
    """The run of a scan, once it is over, and its counts."""
    found = beamline.until(*ENDED)
    assert (found["status"], found["error"], found["last_config"]["scan_num"]) == (state, None, scan)
    run = beamline.supervisor.run(found["run"])
    counts = run.status().consumers["ptychography"]
    assert counts.conserved
    assert counts.waiting == counts.dropped == counts.rejected == counts.duplicates == 0
    return run, counts


def demand_foreseen(counts, frames):
    """Exactly the faults, no more and no less."""
    assert (counts.expected, counts.done) == (frames - JOIN, len(joined(frames)))
    assert counts.excluded == len(SETTLING & seen(frames) & placed(frames))
    assert counts.lost == counts.expected - counts.done - counts.excluded


def offline(step, frames):
    """What the recorded scan gives, of these frames alone."""
    phantom = PhantomPtychographySource(**SMALL)
    scan, ids, every = phantom.open(), np.array(frames), {"position": slice(0, FRAMES)}
    data, places = phantom.read(every)[frames], phantom.read(every, "positions")[frames]
    items = [Chunk(places, ("yx",), ids, stream="positions"), End("positions"), Chunk(data, ("row", "col"), ids)]
    parameters = {name: value for name, value in step.items() if name not in ("use", "name", "inputs")}
    return fl.run(MemorySource.playing(scan, [*items, End()]), [fl.step(step["use"], **parameters)]).finished(60)


def test_a_scan_with_every_fault_and_two_after_it(beamline):
    """Numbers are those that follow from the faults; the image is, to the last bit, that of the same frames from a file."""
    config = {"repeatable": "True", "alg_flag": "rPIE", "alg2_flag": "ML_grad", "alg_percentage": "0.5"}
    sent, _ = beamline.replay(scan_id="1", rate=400, n_iterations=20, config=config, **FAULTS)
    assert sent["data"]["sent"] == FRAMES - len(LOST)
    run, counts = ended(beamline, "1")
    demand_foreseen(counts, FRAMES)
    assert run.status().consumers["asked_for"].expected == FRAMES
    errors = run.report()["values"]["ptychography.error"]
    assert len(errors) == 20, "so many iterations follow the last frame"

    step = run.folder.job()["steps"][-1]
    assert (step["algorithm"], step["algorithm2"]) == ("rpie", "ml")
    same = offline(step, joined(FRAMES))
    np.testing.assert_array_equal(image(beamline.folder, "1"), same["ptychography.object"].data)
    np.testing.assert_array_equal(errors, same["ptychography.error"].data)
    other = offline({**step, "algorithm2": None}, joined(FRAMES))["ptychography.error"].data
    np.testing.assert_array_equal(errors[:10], other[:10])
    assert errors[-1] != pytest.approx(other[-1], rel=1e-3), "the second algorithm took over"

    two_scans_without_a_pause(beamline, {"repeatable": "True", "alg_flag": "rPIE"})


def two_scans_without_a_pause(beamline, config):
    """The streams go on: the second scan is a run of its own, in the same process; no frame of either is in the other."""
    lost = {"lose_ids": tuple(LOST), "lose_messages": (MESSAGE,)}
    beamline.replay(scan_id="2", scans=2, n_iterations=5, upsample=UPSAMPLE, config=config, **lost)
    later, _ = ended(beamline, "2")
    first = before(beamline, later)
    assert (later.folder.next(), first.entry().pid) == (None, later.entry().pid)
    silent = range(MESSAGE * SAMPLES // UPSAMPLE, ((MESSAGE + 1) * SAMPLES - 1) // UPSAMPLE + 1)
    done = sorted({*range(FRAMES)} - {*silent} - LOST)
    for run, name in ((first, "object"), (later, "object_2")):
        counts = run.status().consumers["ptychography"]
        assert (counts.expected, counts.done, counts.lost) == (FRAMES, len(done), FRAMES - len(done))
        (path,) = beamline.folder.glob(f"scan_2_*_{name}.h5")
        with h5py.File(path) as file:
            same = offline(run.folder.job()["steps"][-1], done)["ptychography.object"].data
            np.testing.assert_array_equal(file["entry/data/data"][()], same)
    assert any(f"the run {later.id}" in line for line in ask(beamline.url, "/logs?lines=200")["lines"])


def before(beamline, later):
    """The run during which the scan of another one began; it is over."""
    (found,) = [
        entry.id
        for entry in beamline.supervisor.entries()
        if beamline.supervisor.run(entry.id).folder.next() == later.id
    ]
    run = beamline.supervisor.run(found)
    run.finished(60)
    return run


@pytest.mark.slow
def test_the_second_scan_begins_with_the_probe_of_the_first(beamline):
    """It was found while frames came, and is better than one from the mean pattern, which the same rounds on the same frames tell."""
    beamline.replay(scan_id="6", scans=2, rate=40, n_iterations=10)
    later, counts = ended(beamline, "6")
    assert (counts.expected, counts.done) == (FRAMES, FRAMES)
    step = later.folder.job()["steps"][-1]
    assert np.load(step["probe"]).shape == (1, 32, 32)
    assert step["probe_defocus"] == 0
    cold = {name: value for name, value in step.items() if name not in ("probe", "probe_defocus")}
    warm, cold = (
        offline({**each, "iterations": 2}, [*range(FRAMES)])["ptychography.error"].data for each in (step, cold)
    )
    assert warm[-1] < cold[-1]
