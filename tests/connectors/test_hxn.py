"""A scan replayed as an Eiger and a PandABox over real ZeroMQ, and reconstructed from the two streams."""

import base64
import contextlib
import threading

import numpy as np
import pytest
import zmq
from zmq.utils import z85

import firstlight as fl
from firstlight.connectors.hxn.sim import HxnSimulator
from firstlight.connectors.phantom.ptychography import PhantomPtychographySource
from firstlight.connectors.together.source import TogetherSource
from firstlight.core.errors import SourceError
from firstlight.testing.fields import demand_documented, demand_round_trips

SMALL = {"window": 32, "scan_y": 9, "scan_x": 9, "step": 4.0}


@contextlib.contextmanager
def replayed(**given):
    """A replay in a thread: its addresses."""
    simulator = HxnSimulator(linger=0.5, **given)
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


def beamline(told, **positions):
    return TogetherSource(
        sources={
            "data": {"use": "dectris", "data": told["data"], "idle": 5},
            "positions": {"use": "panda", "address": told["positions"], "unit": told["unit"], "idle": 5, **positions},
        }
    )


def optics(told):
    found = {name: f"{each['value']} {each['unit']}" for name, each in told["calibration"].items()}
    return {"energy": found["energy"], "distance": found["distance"], "detector_pixel": found["pixel"]}


def test_the_phantom_comes_out_of_its_own_replay():
    truth = PhantomPtychographySource(**SMALL).truth()
    noise = ((np.sqrt(truth.expected) - np.sqrt(truth.counts)) ** 2).sum() / truth.counts.sum()
    with replayed(parameters=SMALL, rate=400, upsample=2) as told:
        step = fl.step("ptychography", iterations=60, **optics(told))
        found = fl.run(beamline(told, upsample=2), [step]).finished()
    assert found["ptychography.error"].data[-1] < 4 * noise


def test_a_replay_with_losses_of_both_streams_counts_them():
    with replayed(parameters=SMALL, lose_ids=(7,), lose_messages=(1,)) as told:
        run = fl.run(beamline(told), [fl.step("ptychography", iterations=2, **optics(told))])
        run.finished()
    counts = run.status().consumers["ptychography"]
    # message 1 of the PandABox has samples 41 to 80, the last of the scan
    assert (counts.done, counts.lost, counts.waiting) == (81 - 1 - 40, 41, 0)


def test_a_near_field_scan_of_petra_streams(data_folder):
    """The real frames over ZeroMQ: what a replay at the beamline gives."""
    path = data_folder / "ptychography" / "PETRAIII_P25_Near_Field_Ptycho.cxi"
    if not path.is_file():
        pytest.skip(f"no real data: {path.name} is not in {path.parent}")
    with replayed(file=path, rate=400) as told:
        step = fl.step("ptychography", regime="near", source_distance="3.65 mm", iterations=30, **optics(told))
        found = fl.run(beamline(told), [step]).finished()
    assert found["ptychography.error"].data[-1] < 0.0073


def test_a_second_replay_on_the_same_ports_is_refused():
    with replayed(parameters=SMALL) as told:
        for stream, name in (("data", "eiger"), ("positions", "panda")):
            second = HxnSimulator(parameters=SMALL, **{f"{name}_port": int(told[stream].rpartition(":")[2])})
            with pytest.raises(SourceError, match="another replay may be playing there") as refused:
                second.run()
            assert refused.value.field == f"{name}_endpoint"


def test_parts_of_a_scan(tmp_path):
    frames, places, _ = HxnSimulator(parameters=SMALL, skip_frames=10, max_frames=5, nx=20, ny=24, chunk_size=2)._load(
        tmp_path
    )
    whole = PhantomPtychographySource(**SMALL)
    assert frames.shape == (5, 24, 20)
    np.testing.assert_array_equal(frames, whole.read({"position": slice(10, 15)})[:, 4:28, 6:26])
    np.testing.assert_array_equal(places, whole.read({"position": slice(10, 15)}, "positions"))
    with pytest.raises(SourceError, match="No frame is left"):
        HxnSimulator(parameters=SMALL, skip_frames=1000)._load(tmp_path)


def test_the_simulator_is_documented():
    demand_documented(HxnSimulator)
    demand_round_trips(HxnSimulator())


def test_both_streams_speak_curve(monkeypatch):
    """The names of variables stand in the job, the keys in the environment alone; base64 will do wherever Z85 does."""

    def base64_of(key):
        return base64.b64encode(z85.decode(key)).decode()

    server, (_, own) = zmq.curve_keypair(), zmq.curve_keypair()
    monkeypatch.setenv("SERVER_SECRET_KEY", base64_of(server[1]))  # where the simulator looks for it
    monkeypatch.setenv("OWN_SECRET", base64_of(own))
    keys = {"server_key": base64_of(server[0]), "secret_key": "OWN_SECRET"}
    with replayed(parameters=SMALL, rate=400, panda_curve=True) as told:
        source = beamline(told, **keys)
        source.sources["data"] |= keys
        run = fl.run(source, [fl.step("ptychography", iterations=1, **optics(told))])
        run.finished()
    assert run.status().consumers["ptychography"].done == 81


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"nx": 33}, ["nx = 33", "at most 32"]),
        ({"skip_frames": 81}, ["skip_frames"]),
        ({"secret_key": "NOT_SET"}, ["NOT_SET", "no such variable"]),
        ({"panda_curve": True}, ["secret_key"]),
    ],
)
def test_what_can_not_be_played_is_refused_by_name(given, words):
    """At once: neither stream waits for the other one."""
    with pytest.raises((SourceError, ValueError)) as caught:
        HxnSimulator(parameters=SMALL, **given).run()
    for word in words:
        assert word in str(caught.value)


def test_endpoints_stand_for_address_and_port():
    with replayed(parameters=SMALL, eiger_endpoint="tcp://localhost:0", panda_endpoint="tcp://127.0.0.1:0") as told:
        assert told["data"].startswith("tcp://127.0.0.1:")
    with pytest.raises(SourceError, match="panda_endpoint"):
        HxnSimulator(parameters=SMALL, panda_endpoint="5556").run()


def test_a_replay_without_a_service_says_so_and_plays_nothing():
    with pytest.raises(SourceError, match="firstlight serve --holoptycho"):
        HxnSimulator(parameters=SMALL, hp_start=True, hp_url="http://127.0.0.1:9").run()
