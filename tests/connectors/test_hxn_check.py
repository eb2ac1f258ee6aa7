"""Both streams are looked at before a scan: what comes, what is silent, and who is not there."""

import threading

import numpy as np
import pytest
import zmq

from firstlight.connectors.hxn.check import check_streams, save
from firstlight.connectors.hxn.sim import HxnSimulator
from firstlight.connectors.phantom.ptychography import PhantomPtychographySource
from firstlight.core.errors import SourceError

SMALL = {"window": 32, "scan_y": 9, "scan_x": 9, "step": 4.0}


def test_what_comes_is_shown_and_kept(tmp_path):
    told, ready, stop = {}, threading.Event(), threading.Event()
    simulator = HxnSimulator(parameters=SMALL, rate=60, socket="pub", linger=0.2)
    thread = threading.Thread(target=simulator.run, args=(stop, lambda content: (told.update(content), ready.set())))
    thread.start()
    try:
        assert ready.wait(100)
        streams = {"SERVER_STREAM_SOURCE": told["data"], "PANDA_STREAM_SOURCE": told["positions"]}
        eiger, panda = check_streams(20, frames=5, messages=1, variables=streams)
    finally:
        stop.set()
        thread.join(100)
    assert (eiger.state, panda.state) == ("OK", "OK"), (eiger, panda)
    assert "32 × 32 pixels, uint16" in eiger.says
    phantom = PhantomPtychographySource(**SMALL)
    phantom.open()
    save([eiger, panda], tmp_path / "kept")
    frames, places = (np.load(tmp_path / "kept" / name) for name in ("eiger_dps.npy", "panda_positions.npy"))
    np.testing.assert_array_equal(frames, phantom.read({"position": slice(0, 81)})[eiger.numbers])
    assert len(frames) == 5
    # channels by name: INENC2 is x, INENC3 is y
    wanted = phantom.read({"position": slice(0, 81)}, "positions")[panda.numbers, ::-1]
    np.testing.assert_allclose(places, wanted, atol=1e-3)


def test_silence_and_absence_differ():
    with zmq.Context() as context, context.socket(zmq.PUB) as silent:
        address = f"tcp://127.0.0.1:{silent.bind_to_random_port('tcp://127.0.0.1')}"
        streams = {"SERVER_STREAM_SOURCE": address, "PANDA_STREAM_SOURCE": "tcp://127.0.0.1:9"}
        eiger, panda = check_streams(0.4, variables=streams)
    assert (eiger.state, panda.state) == ("TIMEOUT", "ERROR")
    assert "nobody answers" in panda.says
    with pytest.raises(SourceError, match="PANDA_STREAM_SOURCE"):
        check_streams(1, variables={"SERVER_STREAM_SOURCE": address})
    wrong = {"SERVER_STREAM_SOURCE": "tcp://nowhere", "PANDA_STREAM_SOURCE": "tcp://h:x"}
    assert [each.state for each in check_streams(0.2, variables=wrong)] == ["ERROR", "ERROR"]
