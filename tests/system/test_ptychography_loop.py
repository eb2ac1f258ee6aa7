"""The whole loop of a nanoprobe: replay with faults, service, run, Tiled, browser. Every frame of it is accounted for."""

import h5py
import numpy as np
import pytest

import firstlight as fl
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


def test_a_scan_with_every_fault_and_a_clean_one_after_it(beamline):
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

    beamline.replay(scan_id="2", n_iterations=20, upsample=UPSAMPLE, config=config)
    run, counts = ended(beamline, "2")
    assert (counts.expected, counts.done) == (FRAMES, FRAMES)
    whole = offline(run.folder.job()["steps"][-1], [*range(FRAMES)])["ptychography.object"].data
    np.testing.assert_array_equal(image(beamline.folder, "2"), whole)
