"""A detector and a receiver that we did not write: those of LiberTEM-live, in an environment of their own."""

import contextlib
import json
import os
import signal
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from detectors import SMALL, Reader, at, config, simulated

from firstlight.connectors.dectris import stream1
from firstlight.connectors.dectris.detector import Detector

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


@contextlib.contextmanager
def peer(*arguments):
    """Their simulator: (data, api)."""
    process = subprocess.Popen(
        [PEER, SCRIPT, *map(str, arguments)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        ports = json.loads(process.stdout.readline())
        yield f"tcp://127.0.0.1:{ports['zmqport']}", f"http://127.0.0.1:{ports['port']}"
    finally:
        # it runs in three processes, which we started and which share a session of their own
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)
        process.stdout.close()


def test_their_mocked_detector_twice_on_one_connection():
    """Header and configuration in two messages, 12 zero bytes before each frame's blocks, frame k filled with k."""
    with peer("sim", 40) as (data, api), Detector(data, api=api) as detector:
        for _ in range(2):
            reader = Reader(detector.arm(shape=(5, 8), trigger_mode="exte")).finish(60)
            assert reader.scan.main.sizes == {"scan_y": 5, "scan_x": 8, "row": 512, "col": 512}
            assert reader.places() == at(*range(40))
            for chunk in reader.chunks():
                assert (chunk.data == chunk.ids[:, None, None]).all()


def test_their_detector_plays_a_recorded_stream(tmp_path):
    """The file is the one that LiberTEM's tool records: an int64 length, then a part, again and again."""
    frames = np.random.default_rng(4).poisson(6, (12, 32, 48)).astype(np.uint16)
    with (tmp_path / "dump").open("wb") as file:
        messages = [
            stream1.write_start(3, config(12, shape=(32, 48), count_time=1e-3, frame_time=1e-3, compression="bslz4"))
        ]
        messages += [stream1.write_frame(3, k, pixels) for k, pixels in enumerate(frames)]
        for part in (part for message in messages for part in message):
            file.write(struct.pack("<q", len(part)) + part)
    with peer("dump", tmp_path / "dump") as (data, api), Detector(data, api=api) as detector:
        reader = Reader(detector.arm(shape=(3, 4), trigger_mode="exte")).finish(60)
    assert reader.places() == at(*range(12))
    for chunk in reader.chunks():
        assert np.array_equal(chunk.data, frames[chunk.ids])


def test_their_receiver_reads_our_detector_and_gets_the_same_sums(tmp_path):
    from firstlight.core import registry

    truth = registry.get("sources", "phantom4d")(**SMALL).read({}).reshape(-1, 12, 16).astype(np.float64)
    with simulated(auto=0, linger=0.0) as (told, _):
        ports = [told[name].rpartition(":")[2] for name in ("api", "data")]
        subprocess.run([PEER, SCRIPT, "read", *ports, "12", tmp_path / "sums.npz"], check=True, timeout=110)
    with np.load(tmp_path / "sums.npz") as sums:
        assert np.array_equal(sums["total"], truth.sum(axis=0))
        assert np.array_equal(sums["each"].ravel(), truth.sum(axis=(1, 2)))
