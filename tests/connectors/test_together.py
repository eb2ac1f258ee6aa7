"""Frames from a detector and positions from a PandABox, over real sockets, joined by number whatever the timing."""

import contextlib
import threading

import numpy as np
import pytest
import zmq

import firstlight as fl
from firstlight.connectors.dectris.sim import DectrisSimulator
from firstlight.connectors.panda import json_stream
from firstlight.connectors.panda.sim import PandaSimulator
from firstlight.connectors.together.source import TogetherSource
from firstlight.core.chunk import MAIN, Chunk, End, Gap
from firstlight.core.errors import FirstlightError, SourceError
from firstlight.kernels.ptycho.phantom import simulate
from firstlight.testing.fields import demand_documented, demand_round_trips

from .dectris.detectors import Detector

TRUTH = simulate(window=32, scan=(8, 8), step=4, photons=1e6)
PLACES = TRUTH.corners.astype(np.float64) * 0.02
"""In micrometre."""
X, Y = "INENC2.VAL.Value", "INENC3.VAL.Value"


@contextlib.contextmanager
def running(simulator):
    """A simulator in a thread: its address."""
    told, stop, ready = {}, threading.Event(), threading.Event()
    thread = threading.Thread(target=simulator.run, args=(stop, lambda content: (told.update(content), ready.set())))
    thread.start()
    try:
        assert ready.wait(100)
        yield told
    finally:
        stop.set()
        thread.join(100)
        assert not thread.is_alive()


@pytest.fixture
def scan(tmp_path):
    frames = np.fft.fftshift(TRUTH.counts, axes=(1, 2)).astype(np.uint16)
    np.save(tmp_path / "frames.npy", frames)
    np.save(tmp_path / "places.npy", PLACES)
    return tmp_path


@contextlib.contextmanager
def beamline(scan, detector=None, box=None, **positions):
    """A source over both simulators."""
    eiger = DectrisSimulator(file=scan / "frames.npy", linger=0.2, settle=0.05, **(detector or {}))
    panda = PandaSimulator(file=scan / "places.npy", scale=0.001, linger=0.5, **(box or {}))
    with running(panda) as places, running(eiger) as data:
        yield TogetherSource(
            sources={
                "data": {"use": "dectris", "data": data["data"], "idle": 3},
                "positions": {
                    "use": "panda",
                    "address": places["positions"],
                    "x_scale": 0.001,
                    "y_scale": 0.001,
                    "idle": 3,
                    **positions,
                },
            }
        )


def received(source):
    """Frames and positions by id, gaps by stream, and the order of the ends."""
    found, gaps, ends = {"data": {}, "positions": {}}, [], []
    source.open()
    for item in source.items():
        if isinstance(item, Chunk):
            found[item.stream] |= {int(key): np.array(one) for key, one in zip(item.ids, item.data, strict=True)}
        elif isinstance(item, Gap):
            gaps.append((item.stream, item.first, item.last))
        elif isinstance(item, End) and item.set is None:
            ends.append(item.stream)
    source.close()
    return found, gaps, ends


@pytest.mark.parametrize("stream", ["json", "port"])
def test_both_streams_come_and_the_frames_end_last(scan, stream):
    with beamline(scan, box={"stream": stream, "upsample": 3, "rate": 400}, upsample=3) as source:
        found, gaps, ends = received(source)
    assert len(found["data"]) == len(found["positions"]) == 64
    np.testing.assert_allclose(np.stack([found["positions"][k] for k in range(64)]), PLACES, atol=1e-9)
    assert (gaps, ends) == ([], ["positions", MAIN])


def test_losses_of_both_are_gaps_of_their_streams(scan):
    with beamline(scan, {"lose_ids": (5, 6)}, {"samples": 8, "lose": (2,), "swap": (4,)}) as source:
        found, gaps, _ = received(source)
    assert sorted(set(range(64)) - set(found["data"])) == [5, 6]
    assert sorted(set(range(64)) - set(found["positions"])) == [*range(16, 24)]
    assert {("data", 5, 6), ("positions", 16, 23)} == set(gaps)
    np.testing.assert_allclose(found["positions"][40], PLACES[40], atol=1e-9)


@pytest.mark.parametrize("box", [{"rate": 0}, {"rate": 150, "samples": 7, "swap": (2, 5)}])
def test_the_image_does_not_depend_on_which_stream_was_faster(scan, box):
    """The same frames at the same places, and as good an image as from the arrays themselves."""
    step = fl.step("ptychography", iterations=40, pixel="20 nm")
    with beamline(scan, {"rate": 300}, box) as source:
        found = fl.run(source, [step]).finished()
    assert found["ptychography.object"].data.shape == tuple(np.ptp(TRUTH.corners, axis=0) + 32)
    noise = ((np.sqrt(TRUTH.expected) - np.sqrt(TRUTH.counts)) ** 2).sum() / TRUTH.counts.sum()
    assert found["ptychography.error"].data[-1] < 5 * noise


def test_frames_without_a_partner_are_counted(scan):
    step = fl.step("ptychography", iterations=2, probe_defocus=0.0, pixel="20 nm")
    with beamline(scan, {"lose_ids": (3,)}, {"samples": 8, "lose": (1,)}) as source:
        run = fl.run(source, [step])
        run.finished()
    ours = run.status().consumers["ptychography"]
    assert ours.done == 64 - 9
    assert ours.expected == 64 == ours.done + ours.lost + ours.dropped + ours.rejected + ours.excluded


def test_one_that_fails_stops_the_other_and_is_told(scan):
    with beamline(scan, {"auto": 0}, {"rate": 100}, x_channel="NOT.HERE", timeout=0.5) as source:
        given = {**source.sources, "data": {**source.sources["data"], "timeout": 0.5}}
        with pytest.raises(SourceError, match="no series"):
            TogetherSource(sources=given).open()


def test_a_source_that_is_missing_is_named():
    with pytest.raises(ValueError, match="'data'"):
        TogetherSource(sources={"positions": {"use": "panda"}})
    with pytest.raises(FirstlightError, match="nothing_such"):
        TogetherSource(sources={"data": {"use": "nothing_such"}, "positions": {"use": "panda"}}).open()


def test_what_is_played_is_checked(scan):
    np.save(scan / "bad.npy", np.full((3, 2), np.nan))
    with pytest.raises(SourceError, match="no positions"):
        PandaSimulator(file=scan / "bad.npy").run()
    demand_documented(PandaSimulator)
    demand_round_trips(PandaSimulator(file=scan / "places.npy"))


def test_a_detector_that_is_armed_anew_takes_no_positions_along():
    """Its first series has no frame: the positions that come next are those of the second one."""
    context = zmq.Context()
    box = context.socket(zmq.XPUB)
    address = f"tcp://127.0.0.1:{box.bind_to_random_port('tcp://127.0.0.1')}"
    with Detector() as detector:
        data = {"use": "dectris", "data": detector.address, "idle": 5}
        source = TogetherSource(sources={"data": data, "positions": {"use": "panda", "address": address, "idle": 5}})
        following = source.follower()
        assert box.poll(60_000)  # until it has subscribed
        detector.begin(3, series=1)
        source.open()
        detector.series(3, series=2)
        given_up = list(source.items())
        assert [(type(item), len(item)) for item in given_up if not isinstance(item, End)] == [(Gap, 3)]
        source.close()
        assert following.begun(10.0)
        following.open()
        box.send(json_stream.write_start())
        box.send(json_stream.write_samples({Y: np.arange(3.0), X: np.arange(3.0)}, 0, 0))
        box.send(json_stream.write_stop(1))
        found = {(item.stream, int(key)) for item in following.items() if isinstance(item, Chunk) for key in item.ids}
        assert found == {(stream, key) for stream in ("data", "positions") for key in range(3)}
        following.close()
    context.destroy(linger=0)
