"""Sparse scans are recorded as they come: the same job on the recording gives the same results, and the detector can be played anew."""

import json
import os
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import firstlight as fl
from firstlight.connectors.tpx3.raw import Tpx3FileSource, Tpx3RawSource
from firstlight.connectors.tpx3.recorded_scan import Tpx3ScanSource
from firstlight.connectors.tpx3.source import Tpx3Source
from firstlight.core.errors import SinkError, SourceError
from firstlight.jobs.recording import recording_job
from firstlight.testing.fields import demand_documented, demand_round_trips

from .test_raw import SCAN
from .test_raw import simulated as packets
from .test_tpx3 import frames_of, gaps_of, read, simulated

PEER = (
    Path(os.environ.get("PEERS", Path(__file__).parents[3] / ".peers"))
    / "libertem-live"
    / "bin"
    / "libertem-live-asi-tpx-sim"
)
STEPS = [fl.step("virtual_detector", shape="annulus"), fl.step("center_of_mass"), fl.step("sum")]


def carried_out(source):
    run = fl.run(source, STEPS)
    found = run.finished(60)
    return {name: result.data.tolist() for name, result in found.items()}, run.counts


@pytest.mark.parametrize("cancelled", [None, 1])
def test_what_is_recorded_gives_what_came_live(tmp_path, cancelled):
    file = tmp_path / "scan.csr"
    with simulated(padding=12, cancel_after=cancelled) as where:
        live, counts = carried_out(Tpx3Source(**where, record=file))
    assert counts.lost == (0 if cancelled is None else 7)
    recorded, again = carried_out(Tpx3ScanSource(path=file))
    assert recorded == live
    assert again == counts
    told = json.loads((tmp_path / "scan.csr.json").read_text())
    assert (told["complete"], told["sizes"]["scan_x"]) == (True, 4)
    assert len(np.fromfile(tmp_path / "scan.csr.times")) == told["messages"]
    if cancelled is None:
        with simulated(replay=file) as where:
            assert carried_out(Tpx3Source(**where, record=tmp_path / "again.csr"))[0] == live
        assert (tmp_path / "again.csr").read_bytes() == file.read_bytes()


def test_raw_packets_are_recorded_byte_for_byte(tmp_path):
    file = tmp_path / "scan.tpx3"
    with packets(lose_triggers=(1,)) as where:
        live, counts = carried_out(Tpx3RawSource(**where, record=file))
    recorded, again = carried_out(Tpx3FileSource(path=file, **SCAN))
    assert recorded == live
    assert (again.lost, again.done) == (counts.lost, counts.done) == (4, 8)


def test_from_python_and_from_the_command(tmp_path):
    with simulated(clients=1) as where, fl.connect("tpx3", host=where["host"], port=where["port"]) as detector:
        source = detector.wait(timeout=20, record=tmp_path / "scan.csr")
        live, _ = carried_out(source)
    assert carried_out(Tpx3ScanSource(path=tmp_path / "scan.csr"))[0] == live
    assert recording_job("tpx3_raw", tmp_path / "a.tpx3")["source"]["record"] == str(tmp_path / "a.tpx3")
    with pytest.raises(ValueError, match=r"\.csr"):
        Tpx3Source(record=tmp_path / "scan.h5")
    with simulated() as where, pytest.raises(SinkError, match="exists already"):
        Tpx3Source(**where, record=tmp_path / "scan.csr").open()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    file = tmp_path_factory.mktemp("tpx3") / "scan.csr"
    with simulated(frames=4) as where:
        read(Tpx3Source(**where, record=file))
    return file


@given(st.data())
def test_a_recording_that_is_cut_off_or_damaged_gives_what_is_whole(whole, data):
    content = bytearray(whole.read_bytes())
    cut = data.draw(st.integers(0, len(content)))
    for _ in range(data.draw(st.integers(0, 2))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file = whole.with_name("damaged.csr")
    file.write_bytes(content[:cut])
    try:
        scan, items = read(Tpx3ScanSource(path=file))
    except SourceError:
        return
    missing = sum(last - first + 1 for first, last, _ in gaps_of(items))
    assert len(frames_of(items)) + missing == scan.main.size("scan_y") * scan.main.size("scan_x")


def test_files_that_are_none(tmp_path):
    with pytest.raises(SourceError, match="can not be read"):
        Tpx3ScanSource(path=tmp_path / "none.csr").open()
    (tmp_path / "text.csr").write_text("nothing of this kind, and long enough to be a header")
    with pytest.raises(SourceError):
        Tpx3ScanSource(path=tmp_path / "text.csr").open()
    demand_documented(Tpx3ScanSource)
    demand_round_trips(Tpx3ScanSource(path=tmp_path / "a.csr", dtype="uint16"))


@pytest.mark.heavy
@pytest.mark.skipif(not PEER.exists(), reason=f"no LiberTEM-live in {PEER.parent}")
def test_what_libertem_s_detector_sends_is_recorded_and_played(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [PEER, "--mock-nav-shape", "8", "9", "--port", str(port), "--sleep", "0.1"]
    simulator = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        live = read(Tpx3Source(host="localhost", port=port, timeout=60.0, record=tmp_path / "theirs.csr"))[1]
    finally:
        simulator.terminate()
        simulator.wait(20)
    _, items = read(Tpx3ScanSource(path=tmp_path / "theirs.csr"))
    assert gaps_of(items) == gaps_of(live) == []
    found = frames_of(items)
    assert sorted(found) == list(range(72))
    for number, frame in found.items():
        assert (int(frame.sum()), int(frame.flat[number])) == (number, number)
