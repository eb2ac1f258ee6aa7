"""A detector and a receiver that we did not write: those of LiberTEM-live, in an environment of their own."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from test_live import Read, simulated

from firstlight.connectors.merlin.detector import Detector
from firstlight.connectors.merlin.mib import MibSource
from firstlight.connectors.merlin.wire import write_frame
from firstlight.core import registry

ROOT = Path(__file__).parents[3]
PEER = Path(os.environ.get("PEERS", ROOT / ".peers")) / "libertem-live" / "bin" / "python"
SCRIPT = Path(__file__).with_name("libertem_peer.py")

pytestmark = [
    pytest.mark.alone,
    pytest.mark.heavy,
    pytest.mark.skipif(
        not PEER.exists(),
        reason=f"no LiberTEM-live: install requirements/peers/libertem-live.txt into {PEER.parents[1]}",
    ),
]


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def peer(file, *options):
    """Their simulator: (data port, control port)."""
    data, control, trigger = free_ports(3)
    command = [PEER.with_name("libertem-live-mib-sim"), file, "--host", "127.0.0.1", "--data-port", data]
    command += ["--control-port", control, "--trigger-port", trigger, *options]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", control), 1.0):
                break
            time.sleep(0.2)
        yield data, control
    finally:
        # what it started shares a session of its own with it
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


def frames_file(folder, count=16):
    frames = np.random.default_rng(8).poisson(5, (count, 256, 256)).astype(np.uint16)
    (folder / "t.mib").write_bytes(b"".join(write_frame(n, pixels) for n, pixels in enumerate(frames)))
    return folder / "t.mib", frames


@pytest.mark.parametrize("garbage", [False, True])
def test_their_detector_is_started_and_triggered_twice(tmp_path, garbage):
    file, frames = frames_file(tmp_path)
    options = ["--nav-shape", 4, 4, "--wait-trigger", *(["--garbage"] if garbage else [])]
    with peer(file, *options) as (data, control):
        with Detector("127.0.0.1", data, control_port=control, drain=garbage, timeout=60.0) as detector:
            for _ in range(2):
                source = detector.arm(
                    timeout=30.0, ready=lambda s: (time.sleep(0.5), detector.api.command("SOFTTRIGGER"))
                )
                found = Read(source).equal(frames)
                assert (found.places, found.missing()) == (list(range(16)), [])
            assert detector.api.get("IMAGEX") == "256"


def test_their_detector_plays_a_real_raw_quad(recordings):
    file = recordings / "Quad_9_Frame_CounterDepth_1_Rows_256RAW.hdr"
    recorded = MibSource(path=file)
    recorded.open()
    with peer(file) as (data, _), Detector("127.0.0.1", data, timeout=60.0) as detector:
        found = Read(detector.wait(60.0)).equal(recorded.read({}))
    assert found.places == list(range(9))
    assert found.chunks[0].data.shape[1:] == (512, 512)


def test_their_receiver_reads_our_detector_and_gets_the_same_sums(tmp_path):
    parameters = {"scan_y": 3, "scan_x": 4, "rows": 256, "columns": 256}
    truth = registry.get("sources", "phantom4d")(**parameters).read({}).reshape(-1, 256, 256).astype(np.float64)
    with simulated(auto=0, linger=0.0, parameters=parameters) as (told, _):
        ports = [told["port"], told["control_port"]]
        subprocess.run([PEER, SCRIPT, *map(str, ports), "3", "4", tmp_path / "sums.npz"], check=True, timeout=110)
    with np.load(tmp_path / "sums.npz") as sums:
        assert np.array_equal(sums["total"], truth.sum(axis=0))
        assert np.array_equal(sums["each"].ravel(), truth.sum(axis=(1, 2)))
