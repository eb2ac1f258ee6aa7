"""A live scan is recorded as it comes, in every format: each live result equals that of the recorded file."""

import contextlib
import json
import resource
import signal
import threading
import time
from dataclasses import replace

import h5py
import numpy as np
import pytest

import firstlight as fl
from firstlight.connectors.dectris.messages import read_messages
from firstlight.connectors.dectris.sim import DectrisSimulator
from firstlight.connectors.merlin.sim import MerlinSimulator
from firstlight.core.errors import FirstlightError, JobError
from firstlight.jobs.load import load_job
from firstlight.jobs.start import start

LINES, POINTS, SIDE = 6, 8, 32
FRAMES = np.random.default_rng(7).poisson(6.0, (LINES, POINTS, SIDE, SIDE)).astype(np.uint16)
LOST, TWICE, CUT = [3, 11, 40], [5, 20], [17]
SSB = {"energy": "80 keV", "aperture": "20 mrad", "detector_angle": "2 mrad", "step_y": "0.1 nm", "step_x": "0.1 nm"}
STEPS = [
    {"use": "virtual_detector", "shape": "disk", "outer": 6.0},
    {"use": "center_of_mass", "inputs": ["source.data"]},
    {"use": "dpc", "inputs": ["source.data"]},
    {"use": "sum", "inputs": ["source.data"]},
    {"use": "ssb", "inputs": ["source.data"], **SSB},
]


@contextlib.contextmanager
def simulated(simulator):
    told, stop, ready = {}, threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: simulator.run(stop, lambda content: (told.update(content), ready.set())))
    thread.start()
    assert ready.wait(100)
    try:
        yield told
    finally:
        stop.set()
        thread.join(100)
        assert not thread.is_alive()


def carried_out(source, sinks=()):
    """Results, counts and log of a run."""
    given = {"source": source, "steps": STEPS, "sinks": [{"of": "source.data", **sink} for sink in sinks]}
    run = start(replace(load_job(given), collect=True))
    results = run.finished(60)
    return results, run.counts, [event for event in run.events(follow=False) if event.kind == "log"]


def same(live, recorded):
    assert set(live) == set(recorded)
    for name, result in live.items():
        np.testing.assert_array_equal(result.data, recorded[name].data, err_msg=name)


@pytest.fixture
def scan(tmp_path):
    np.save(tmp_path / "scan.npy", FRAMES)
    return tmp_path / "scan.npy"


SINKS = {"hdf5": "copy.h5", "raw": "copy.raw", "zarr": "copy.zarr", "npy": "copy.npy", "hspy": "copy.hspy"}


@pytest.mark.parametrize(
    ("stream", "encoding", "ending"),
    [
        (1, "bs16-lz4<", "h5"),
        (2, "bs16-lz4<", "nxs"),
        (1, "<", "h5"),
        pytest.param(1, "lz4<", "h5", marks=pytest.mark.slow),
        pytest.param(1, "bs8-lz4<", "h5", marks=pytest.mark.slow),
    ],
)
def test_dectris_still_compressed(scan, tmp_path, stream, encoding, ending):
    faults = {"lose_ids": LOST, "repeat_ids": TWICE, "truncate_ids": CUT, "garbage_ids": [8], "linger": 0.5}
    simulator = DectrisSimulator(file=scan, stream=stream, encoding=encoding, settle=0.05, **faults)
    record = tmp_path / f"scan.{ending}"
    with simulated(simulator) as told:
        live, counts, _ = carried_out(
            {"use": "dectris", "data": told["data"], "scan_y": LINES, "scan_x": POINTS, "record": str(record)},
            [{"use": use, "path": str(tmp_path / name)} for use, name in SINKS.items()],
        )
    # a CBOR message that is cut off does not tell its number any more
    assert (counts.expected, counts.lost, counts.rejected) == ((48, 3, 1) if stream == 1 else (48, 4, 0))
    offline, again, _ = carried_out({"use": "hdf5", "path": str(record)})
    assert again.lost == 4
    same(live, offline)
    for use, name in SINKS.items():
        use = "hdf5" if use == "hspy" else use
        copied, found, _ = carried_out({"use": use, "path": str(tmp_path / name)})
        assert (found.expected, found.lost) == (48, 4), use
        same(live, copied)


def test_dectris_messages_are_replayed_byte_for_byte(scan, tmp_path):
    simulator = DectrisSimulator(file=scan, settle=0.05, lose_ids=LOST, repeat_ids=TWICE, truncate_ids=CUT, linger=1.0)
    record, again = tmp_path / "scan.cbors", tmp_path / "again.cbors"
    shape = {"scan_y": LINES, "scan_x": POINTS}
    with simulated(simulator) as told:
        live, counts, log = carried_out({"use": "dectris", "data": told["data"], **shape, "record": str(record)})
    assert sum(f"Recorded in {record}: " in event.text for event in log) == 1
    with simulated(DectrisSimulator(replay=record, linger=1.0)) as told:
        replayed, same_counts, _ = carried_out({"use": "dectris", "data": told["data"], **shape, "record": str(again)})
    assert same_counts == counts
    same(live, replayed)
    assert again.read_bytes() == record.read_bytes()
    assert json.loads((tmp_path / "scan.cbors.json").read_text())["complete"] is True


def test_merlin_becomes_a_mib_file(scan, tmp_path):
    simulator = MerlinSimulator(file=scan, lose_ids=[0, *LOST, 47], repeat_ids=TWICE, truncate_ids=CUT, linger=0.5)
    record, again = tmp_path / "scan.mib", tmp_path / "again.mib"
    shape = {"scan_y": LINES, "scan_x": POINTS}
    with simulated(simulator) as told:
        address = {"use": "merlin", "host": told["host"], "port": told["port"], "idle": 2.0}
        live, counts, _ = carried_out({**address, **shape, "record": str(record)})
    assert (counts.expected, counts.lost, counts.rejected) == (48, 5, 1)
    offline, recorded, _ = carried_out({"use": "mib", "path": str(record)})
    assert recorded.lost == 6
    same(live, offline)
    with simulated(MerlinSimulator(replay=record, linger=0.5)) as told:
        address = {"use": "merlin", "host": told["host"], "port": told["port"], "idle": 2.0}
        same(live, carried_out({**address, **shape, "record": str(again)})[0])
    assert again.read_bytes() == record.read_bytes()


@contextlib.contextmanager
def no_file_larger_than(size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("ending", ["h5", "cbors"])
def test_a_full_disk_ends_the_recording_and_the_run_goes_on(tmp_path, ending):
    frames = np.random.default_rng(1).integers(0, 60000, (LINES, POINTS, 256, 256)).astype(np.uint16)
    np.save(tmp_path / "large.npy", frames)
    record = tmp_path / f"scan.{ending}"
    with simulated(DectrisSimulator(file=tmp_path / "large.npy", encoding="<", settle=0.05)) as told:
        with no_file_larger_than(4_000_000):
            live, counts, log = carried_out(
                {"use": "dectris", "data": told["data"], "scan_y": LINES, "scan_x": POINTS, "record": str(record)}
            )
    assert (counts.expected, counts.done) == (48, 48)
    assert any("the run went on" in event.text and "disk is full" in event.text for event in log)
    assert live["sum"].data.sum() == frames.sum(dtype=np.int64)
    if ending == "h5":
        with h5py.File(record) as file:
            assert not file["entry"].attrs["complete"]
            whole = file["entry/data/covered"][()].astype(bool)
            assert 0 < whole.sum() < 48
            np.testing.assert_array_equal(file["entry/data/data"][()][whole], frames[whole])
    else:
        assert 0 < len(list(read_messages(record))) < 50
        assert json.loads((tmp_path / "scan.cbors.json").read_text())["complete"] is False


def test_an_armed_detector_is_recorded_from_its_first_message(scan, tmp_path):
    with simulated(DectrisSimulator(file=scan, auto=0, settle=0.05)) as told:
        with fl.connect("dectris", api=told["api"], data=told["data"]) as detector:
            source = detector.arm(shape=(LINES, POINTS), trigger_mode="exte", record=tmp_path / "scan.cbors")
            live = fl.run(source, [fl.step("virtual_detector", shape="disk", outer=6.0)]).finished(60)
            again = detector.arm(shape=(LINES, POINTS), trigger_mode="exte", record=tmp_path / "scan.h5")
            fl.run(again, [fl.step("virtual_detector", shape="disk", outer=6.0)]).finished(60)
    messages = list(read_messages(tmp_path / "scan.cbors"))
    assert b"dheader" in bytes(messages[0][0])
    assert len(messages) == 50
    with h5py.File(tmp_path / "scan.h5") as file:
        import hdf5plugin  # noqa: F401

        np.testing.assert_array_equal(file["entry/data/data"][()], FRAMES)
        received = file["entry/instrument/detector/received"][()]
        assert (np.abs(received - time.time()) < 120).all()
        assert (np.diff(file["entry/instrument/detector/start_time"][()]) >= 0).all()
        assert file["entry/instrument/detector/frame_time"].attrs["units"] == "s"
    assert np.asarray(live["virtual_detector"].data).shape == (LINES, POINTS)


def test_a_recording_is_never_overwritten(scan, tmp_path):
    (tmp_path / "scan.h5").write_bytes(b"mine")
    with simulated(DectrisSimulator(file=scan, settle=0.05)) as told:
        with pytest.raises(FirstlightError, match="exists already"):
            carried_out({"use": "dectris", "data": told["data"], "record": str(tmp_path / "scan.h5")})
    assert (tmp_path / "scan.h5").read_bytes() == b"mine"
    with pytest.raises(JobError, match=r"record.*\.cbors"):
        load_job({"source": {"use": "dectris", "record": "scan.tif"}, "steps": STEPS})
