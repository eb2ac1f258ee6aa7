"""Bad input to the service of a nanoprobe: refused, or named by the run that ends; nothing hangs, and the next run works."""

import contextlib
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
import zmq

from firstlight.compat.holoptycho.config import read_config
from firstlight.compat.holoptycho.environment import read_environment
from firstlight.compat.holoptycho.job import job_of
from firstlight.connectors.dectris.sim import DectrisSimulator
from firstlight.connectors.hxn.client import HoloptychoError, ask
from firstlight.connectors.panda import json_stream
from firstlight.connectors.phantom.ptychography import PhantomPtychographySource
from firstlight.core.errors import FirstlightError, SourceError
from firstlight.jobs.load import load_job
from firstlight.jobs.start import start
from firstlight.operators.learn import ptychography_network

from ..compat.holoptycho_jobs import GOOD
from .test_holoptycho import SMALL, beamline
from .test_recording import no_file_larger_than

__all__ = ["beamline"]  # a fixture
NETWORK = str(Path(ptychography_network.__file__).parent / "networks" / "phantom_v2.onnx")
X, Y = "INENC2.VAL.Value", "INENC3.VAL.Value"
OPTICS = {"nx": "32", "ny": "32", "batch_x0": "0", "batch_y0": "0", "xray_energy_kev": "9", "lambda_nm": "", "z_m": "2"}
UPRIGHT = {"x_ratio": "1", "y_ratio": "1", "x_direction": "1", "y_direction": "1", "angle": "0"}
OURS = {**GOOD, **OPTICS, **UPRIGHT, "detector_orientation": "identity", "dp_orient_iterative": "transpose"}
QUICK = {"scan_timeout": "2 s", "scan_idle": "2 s"}

REFUSED = {
    "a misspelt key": ({"alg_flg": "DM"}, ["alg_flg", "alg_flag"]),
    "a key that is missing": ({"nx": ""}, ["nx", "missing"]),
    "a number that is none": ({"ccd_pixel_um": "wide"}, ["ccd_pixel_um", "wide"]),
    "a wrong unit": ({"z_m": "2 keV"}, ["z_m", "keV"]),
    "a distance of nothing": ({"z_m": "-1"}, ["z_m", "more than 0"]),
    "not a number": ({"x_ratio": "nan"}, ["x_ratio"]),
    "a pattern without pixels": ({"ny": "0"}, ["ny", "at least 1"]),
    "energy and wavelength": ({"lambda_nm": "0.2"}, ["lambda_nm", "xray_energy_kev"]),
    "a range the wrong way round": ({"x_low": "3", "x_high": "-3"}, ["x_low", "x_high"]),
    "simulated positions": ({"simulate_positions": "True"}, ["simulate_positions"]),
}


def test_what_can_not_be_is_refused_by_name_and_starts_nothing(beamline):
    for what, (changes, words) in REFUSED.items():
        with pytest.raises(HoloptychoError) as caught:
            ask(beamline.url, "/run", {"config": {**OURS, **changes}}, post=True)
        assert caught.value.status == 400, what
        for word in words:
            assert word in str(caught.value), what
    assert not beamline.supervisor.entries()


@contextlib.contextmanager
def positions(address, places):
    """A PandABox that sends whatever it is told to, once somebody listens."""
    context = zmq.Context()
    socket = context.socket(zmq.XPUB)
    socket.bind(address)

    def play():
        if not socket.poll(30_000):  # until it has subscribed
            return
        socket.send(json_stream.write_start())
        for first in range(0, len(places), 10):
            part = places[first : first + 10]
            socket.send(json_stream.write_samples({X: part[:, 1], Y: part[:, 0]}, first, first // 10))
        socket.send(json_stream.write_stop(len(places) // 10))

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield
    finally:
        thread.join(30)
        context.destroy(linger=500)


@contextlib.contextmanager
def frames(address, folder, secret=None):
    """An Eiger that publishes the phantom's frames; with the name of a variable it speaks CurveZMQ."""
    phantom = PhantomPtychographySource(**SMALL)
    phantom.open()
    np.save(folder / "played.npy", phantom.read({"position": slice(0, 81)}).astype(np.uint16))
    port = int(address.rpartition(":")[2])
    simulator = DectrisSimulator(file=folder / "played.npy", port=port, socket="pub", linger=1.0, secret_key=secret)
    stop = threading.Event()
    thread = threading.Thread(target=simulator.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(100)


@pytest.fixture
def streams(beamline):
    """A job of the service's kind in this process, over real sockets: what it raises, or its counts."""

    def run(places=None, detector=True, model=None, largest=None, keys=None, **changes):
        config = read_config({**OURS, **QUICK, "it_ends_after": "5", **changes})
        variables = {"SERVER_STREAM_SOURCE": beamline.eiger, "PANDA_STREAM_SOURCE": beamline.panda, **(keys or {})}
        job = job_of(config, read_environment(variables), beamline.folder, model)
        with contextlib.ExitStack() as stack:
            if places is not None:
                stack.enter_context(positions(beamline.panda, places))
            if detector:
                stack.enter_context(frames(beamline.eiger, beamline.folder, "SIM_SECRET" if keys else None))
            if largest is not None:
                stack.enter_context(no_file_larger_than(largest))
            going = start(load_job(job))
            going.finished(60)
        return going.status().consumers["ptychography"]

    return run


def places_with(number, value):
    phantom = PhantomPtychographySource(**SMALL)
    phantom.open()
    found = phantom.read({"position": slice(0, 81)}, "positions").copy()
    found[number] = value
    return found


NAMED = {
    "no detector": ({"detector": False}, ["'data'", "data = ", "2 s", "series"]),
    "no positions": ({}, ["'positions'", "2 s", "address"]),
    "a channel that nobody captures": (
        {"places": places_with(3, 1.0), "pos_x_channel": "INENC9.VAL.Value"},
        ["x_channel", "INENC9.VAL.Value"],
    ),
    "a crop beside the frame": ({"places": places_with(3, 1.0), "batch_x0": "1000"}, ["crop", "1000", "32"]),
    "a network for larger frames": (
        {"places": places_with(3, 1.0), "model": NETWORK, "recon_mode": "both"},
        ["64", "32"],
    ),
    "a position in another country": ({"places": places_with(40, 1e9)}, ["frame 40", "exclude_outside"]),
}


@pytest.mark.parametrize("what", NAMED)
def test_what_is_wrong_with_the_streams_is_named(streams, what):
    given, words = NAMED[what]
    with pytest.raises(FirstlightError) as caught:
        streams(**given)
    for word in words:
        assert word in str(caught.value)


def test_positions_that_are_no_numbers_are_rejected_and_those_elsewhere_excluded(streams):
    places = places_with([5, 6], np.nan)
    places[70, 0] = np.inf
    places[30] = 1e9
    counts = streams(places, x_high="1000")
    assert (counts.expected, counts.done, counts.rejected, counts.excluded, counts.lost) == (81, 77, 3, 1, 0)


def test_keys_of_another_detector_are_told(streams, monkeypatch):
    theirs, others, own = (zmq.curve_keypair() for _ in range(3))
    monkeypatch.setenv("SIM_SECRET", theirs[1].decode())
    monkeypatch.setenv("CLIENT_SECRET_KEY", own[1].decode())
    keys = {"SERVER_PUBLIC_KEY": others[0], "CLIENT_PUBLIC_KEY": own[0], "CLIENT_SECRET_KEY": own[1]}
    with pytest.raises(SourceError, match=r"CurveZMQ.*2 s") as caught:
        streams(keys={name: key.decode() for name, key in keys.items()})
    assert own[1].decode() not in str(caught.value)


@pytest.mark.slow
def test_a_full_disk_is_named_and_the_next_run_works(streams, beamline):
    good = places_with(3, 1.0)
    streams(good)  # what is compiled has been written to its cache
    before = set(beamline.folder.glob("scan_*"))
    with pytest.raises(FirstlightError, match=r"object\.h5") as caught:
        streams(good, largest=16_000, scan_num="2")
    assert "large" in str(caught.value) or "full" in str(caught.value)
    for left in set(beamline.folder.glob("scan_2_*")) - before:
        with h5py.File(left) as file:
            assert not file.attrs.get("complete", False)
    assert streams(good, scan_num="3").done == 81
