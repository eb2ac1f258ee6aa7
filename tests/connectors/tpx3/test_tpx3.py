"""Timepix3: what Accos says, both ways; the source and the simulator over TCP; LiberTEM's own simulator."""

import contextlib
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import firstlight as fl
from firstlight.connectors.tpx3 import wire
from firstlight.connectors.tpx3.sim import Tpx3Simulator
from firstlight.connectors.tpx3.source import Tpx3Source
from firstlight.core import registry
from firstlight.core.chunk import End
from firstlight.core.errors import FirstlightError, SourceError, Stopped
from firstlight.kernels.sparse_frames import SparseFrames
from firstlight.testing import SourceContract
from firstlight.testing.fields import demand_documented, demand_round_trips

SMALL = {"scan_y": 3, "scan_x": 4, "rows": 12, "columns": 16}
START = wire.AcquisitionStart((3, 4), (5, 6), sequence=9)
PEER = Path(os.environ.get("PEERS", Path(__file__).parents[3] / ".peers")) / "libertem-live" / "bin"


def truth():
    return registry.get("sources", "phantom4d")(**SMALL).read({}).reshape(-1, 12, 16)


@contextlib.contextmanager
def simulated(**parameters):
    told, stop, ready = {}, threading.Event(), threading.Event()
    sim = Tpx3Simulator(**{"parameters": SMALL, "frames": 5, **parameters})
    thread = threading.Thread(target=sim.run, args=(stop, lambda content: (told.update(content), ready.set())))
    thread.start()
    assert ready.wait(100)
    try:
        yield {"host": told["host"], "port": told["port"], "timeout": 20.0, "idle": 5.0}
    finally:
        stop.set()
        thread.join(100)
        assert not thread.is_alive()


@contextlib.contextmanager
def sending(*messages):
    """A server that sends these bytes to one client."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            client, _ = server.accept()
            with client:
                client.sendall(b"".join(messages))

        thread = threading.Thread(target=serve)
        thread.start()
        yield {"host": "127.0.0.1", "port": server.getsockname()[1], "timeout": 20.0, "idle": 5.0}
        thread.join(100)


def read(source):
    scan = source.open()
    items = list(source.items())
    source.close()
    return scan, items


def frames_of(items):
    chunks = [item for item in items if isinstance(item, fl.Chunk)]
    return {int(number): frame for chunk in chunks for number, frame in zip(chunk.ids, chunk.data, strict=True)}


def gaps_of(items):
    return [(gap.first, gap.last, gap.kind) for gap in items if isinstance(gap, fl.Gap)]


# ---- the wire -----------------------------------------------------------------------------------------------------------


@given(arrays(np.uint16, (4, 5, 6), elements=st.sampled_from([0, 0, 0, 1, 700])), st.integers(0, 40))
def test_frames_come_back(frames, padding):
    data = wire.write_frames(START, frames, padding=padding)
    message = wire.read_header(data)
    assert len(data) == wire.HEADER + message.nbytes
    found = wire.read_frames(START, message, data[wire.HEADER :])
    assert np.array_equal(np.asarray(found), frames)


def test_headers_come_back():
    assert wire.read_header(wire.write_start(START)) == START
    data = wire.write_scan(3, {"dwell": 5})
    begun = wire.read_header(data)
    assert begun.sequence == 3
    assert wire.read_metadata(data[wire.HEADER :][: begun.metadata]) == {"dwell": 5}
    assert wire.read_header(wire.write_end(3, scan=True)) == wire.ScanEnd(3)
    assert wire.read_header(wire.write_end(3, scan=False)) == wire.AcquisitionEnd(3)
    assert wire.read_metadata(b"no json") == {"text": "no json"}
    assert wire.read_metadata(b"") == {}


@given(st.binary(max_size=80))
def test_any_bytes_are_a_message_or_refused(data):
    try:
        found = wire.read_header(data)
    except wire.BadMessage:
        return
    if isinstance(found, wire.ArrayChunk):
        assert found.nbytes <= wire.MOST_PAYLOAD
    if isinstance(found, wire.ScanStart):
        assert found.metadata <= wire.MOST_METADATA


@given(st.data())
def test_damaged_payloads_are_frames_or_refused(data):
    whole = bytearray(wire.write_frames(START, np.eye(30, dtype=np.uint16)[:4].reshape(4, 5, 6)))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(1, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    try:
        message = wire.read_header(bytes(whole[:cut]))
        found = wire.read_frames(START, message, bytes(whole[wire.HEADER : cut]))
    except wire.BadMessage:
        return
    assert found.shape == (message.frames, 5, 6)
    assert found.indices.size == 0 or found.indices.max() < 30


# ---- the source ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", [0, 12])
def test_what_is_played_arrives(padding):
    with simulated(padding=padding) as where:
        scan, items = read(Tpx3Source(**where))
    assert scan.main.sizes == {"scan_y": 3, "scan_x": 4, "row": 12, "col": 16}
    assert scan.metadata == {"simulated": "by firstlight, no measured data"}
    found = frames_of(items)
    assert sorted(found) == list(range(12))
    assert all(np.array_equal(found[n], truth()[n]) for n in found)
    assert isinstance(items[-1], End)


def test_a_run_gives_the_sums_of_the_recording():
    with simulated() as where:
        run = fl.run(Tpx3Source(**where), [fl.step("virtual_detector", shape="annulus"), fl.step("sum")])
        found = run.finished(60)
    assert np.array_equal(found["virtual_detector"].data, truth().sum((1, 2)).reshape(3, 4))
    assert np.array_equal(found["sum"].data, truth().sum(0))


STEPS = (
    {"use": "virtual_detector", "shape": "annulus", "name": "bright"},
    {"use": "virtual_detector", "shape": "pixels", "pixels": ((3, 4, 0.5), (5, 6, 2.0)), "name": "weighted"},
    {"use": "virtual_detectors", "edges": (0, 3, 6), "sectors": 4},
    {"use": "center_of_mass", "radius": 5.0},
    {"use": "radial_profile", "bins": 6},
    {"use": "sum"},
    {"use": "mean"},
)


def results_of(source, steps):
    return {name: each.data for name, each in fl.run(source, [dict(step) for step in steps]).finished(60).items()}


class Recorded(fl.Source):
    """The same frames, dense."""

    use = "recorded_dense"
    pausable = True

    def open(self):
        sizes = {"scan_y": 3, "scan_x": 4, "row": 12, "col": 16}
        return fl.Scan({"data": fl.Stream(tuple(sizes), sizes, "uint32", 2, unit="counts")})

    def items(self):
        yield fl.Chunk(truth().astype(np.uint32), ("row", "col"), np.arange(12))

    def stop(self):
        pass

    def close(self):
        pass


ALONE = [pytest.param((step,), id=step.get("name", step["use"]), marks=pytest.mark.slow) for step in STEPS]


@pytest.mark.parametrize("steps", [pytest.param(STEPS, id="all"), *ALONE])
def test_steps_work_on_events_and_find_what_they_find_in_frames(steps, monkeypatch):
    def refuse(self):
        raise AssertionError("somebody made dense frames")

    expected = results_of(Recorded(), steps)
    monkeypatch.setattr(SparseFrames, "_filled", refuse)
    with simulated() as where:
        found = results_of(Tpx3Source(**where), steps)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        compare = np.array_equal if array.dtype.kind in "ui" else np.allclose
        assert compare(found[name], array), name


def test_steps_without_a_way_for_events_get_frames_beside_the_others(monkeypatch):
    monkeypatch.setattr("firstlight.runners.stage._DENSE", 2 * 12 * 16 * 4)  # two frames at a time
    dense = ({"use": "fluctuation", "inner": 2, "outer": 5}, {"use": "max"}, {"use": "pick", "scan_y": 1, "scan_x": 2})
    steps = (*dense, *STEPS, {"use": "log_sum"})
    expected = results_of(Recorded(), steps)
    with simulated() as where:
        found = results_of(Tpx3Source(**where), steps)
    assert all(np.allclose(found[name], array) for name, array in expected.items())
    assert np.array_equal(found["pick.data"], truth()[6])


def test_a_cancelled_scan_keeps_what_came():
    with simulated(cancel_after=1) as where:
        _, items = read(Tpx3Source(**where))
    assert sorted(frames_of(items)) == [0, 1, 2, 3, 4]
    assert gaps_of(items) == [(5, 11, "lost")]


def test_a_connection_that_ends_and_a_chunk_that_is_cut_off():
    frames = np.ones((6, 5, 6), np.uint16)
    begin = wire.write_start(START) + wire.write_scan(1)
    with sending(begin, wire.write_frames(START, frames), wire.write_frames(START, frames)[:-7]) as where:
        _, items = read(Tpx3Source(**where))
    assert sorted(frames_of(items)) == [0, 1, 2, 3, 4, 5]
    assert gaps_of(items) == [(6, 11, "lost")]


def test_frames_that_make_no_sense_are_rejected_and_the_others_keep_their_places():
    good, bad = np.ones((4, 5, 6), np.uint16), bytearray(wire.write_frames(START, np.ones((4, 5, 6), np.uint16)))
    bad[wire.HEADER + 5 * 4 + 3] = 255  # the first index
    begin = wire.write_start(START) + wire.write_scan(1, {"a": 1})
    with sending(begin, wire.write_frames(START, good), bad, wire.write_frames(START, good * 3)) as where:
        _, items = read(Tpx3Source(**where))
    assert gaps_of(items) == [(4, 7, "rejected")]
    found = frames_of(items)
    assert [int(found[n][0, 0]) for n in (0, 3, 8, 11)] == [1, 1, 3, 3]


@pytest.mark.parametrize(
    ("messages", "match"),
    [
        ([b"x" * 64], "no scan"),
        ([wire.write_end(1, scan=True) * 2], "start of a scan"),
        ([wire.write_start(START)], "closed"),
    ],
)
def test_what_is_no_scan_is_told(messages, match):
    with sending(*messages) as where, pytest.raises(SourceError, match=match):
        Tpx3Source(**where).open()


def test_more_frames_than_the_scan_and_values_too_large():
    begin = wire.write_start(START) + wire.write_scan(1)
    many, large = (np.full((n, 5, 6), 300, np.uint16) for n in (13, 2))
    for frames, match in ((many, "More frames"), (large, "too large")):
        with sending(begin, wire.write_frames(START, frames)) as where:
            source = Tpx3Source(**where, dtype="uint8")
            source.open()
            with pytest.raises(SourceError, match=match):
                list(source.items())
            source.close()


def test_one_connection_for_many_scans_from_python():
    frames = np.arange(12 * 30, dtype=np.uint16).reshape(12, 5, 6)

    def scan(number, *, last=12):
        return wire.write_scan(number) + wire.write_frames(START, frames[:last]) + wire.write_end(number, scan=True)

    end = wire.write_end(9, scan=False)
    # the second scan of the first acquisition, which nobody reads, then one that is cut short, then one of another shape
    messages = (wire.write_start(START), scan(1), scan(2), end, wire.write_start(START), scan(3, last=5), end)
    with sending(*messages, wire.write_start(START), scan(4), end) as where:
        hooks = fl.Hooks()
        with fl.connect("tpx3", **where) as detector:
            found = [fl.run(detector.wait(20, hooks=hooks), [fl.step("sum")]).finished(60)["sum"].data]
            unread = detector.wait(20)
            assert unread.header.frames == 12
            part = fl.run(detector.wait(20), [fl.step("virtual_detector", shape="annulus")])
            assert part.finished(60)["virtual_detector"].covered.sum() == 5
            assert (part.counts.done, part.counts.lost) == (5, 7)
            with pytest.raises(SourceError, match="12 frames"):
                detector.wait(20, shape=(5, 5))
            source = detector.wait(20, shape=(2, -1))
            run = fl.run(source, [fl.step("virtual_detector", shape="annulus"), fl.step("sum")])
            results = run.finished(60)
            found.append(results["sum"].data)
            with pytest.raises(SourceError, match="closed the connection"):
                detector.wait(20)
            with pytest.raises(FirstlightError, match="Accos"):
                detector.arm(shape=(3, 4))
    assert all(np.array_equal(each, frames.sum(0)) for each in found)
    assert results["virtual_detector"].data.tolist() == frames.sum((1, 2)).reshape(2, 6).tolist()


def test_waiting_ends_at_the_time_out():
    with socket.create_server(("127.0.0.1", 0)) as server, fl.connect("tpx3", port=server.getsockname()[1]) as detector:
        assert detector.wait(0.05) is None
        link, _ = server.accept()
        with link:
            link.sendall((wire.write_start(START) + wire.write_scan(1))[:40])  # a part of a message, then the rest
            assert detector.wait(0.3) is None
            link.sendall((wire.write_start(START) + wire.write_scan(1))[40:])
            assert detector.wait(20).header.frames == 12


def test_stop_ends_the_wait_for_a_scan():
    with socket.create_server(("127.0.0.1", 0)) as server:
        source = Tpx3Source(port=server.getsockname()[1])
        threading.Timer(0.1, source.stop).start()
        with pytest.raises(Stopped):
            source.open()


def test_parameters():
    for kind in (Tpx3Source, Tpx3Simulator):
        demand_documented(kind)
    demand_round_trips(Tpx3Source(host="accos", dtype="uint16"))


@pytest.mark.heavy
@pytest.mark.skipif(
    not (PEER / "libertem-live-asi-tpx-sim").exists(),
    reason=f"no LiberTEM-live: install requirements/peers/libertem-live.txt into {PEER.parent}",
)
def test_libertem_s_simulator():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [PEER / "libertem-live-asi-tpx-sim", "--mock-nav-shape", "8", "9", "--port", str(port), "--sleep", "0.1"]
    simulator = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        scan, items = read(Tpx3Source(host="localhost", port=port, timeout=60.0))
    finally:
        simulator.terminate()
        simulator.wait(20)
    assert scan.main.sizes == {"scan_y": 8, "scan_x": 9, "row": 512, "col": 512}
    found = frames_of(items)
    assert sorted(found) == list(range(72))
    for number, frame in found.items():
        assert (int(frame.sum()), int(frame.flat[number])) == (number, number)


class TestTpx3Source(SourceContract):
    @pytest.fixture(autouse=True)
    def _simulators(self):
        self.open = contextlib.ExitStack()
        with self.open:
            yield

    def make(self, tmp_path):
        return Tpx3Source(**self.open.enter_context(simulated(clients=0)))
