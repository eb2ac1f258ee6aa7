"""A detector that we did not write: the area detector simulator of pvapy, built on the older PVA implementation."""

import importlib.util
import os
import socket
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from beamlines import Reader

from firstlight.connectors.pva.source import PvaSource

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(importlib.util.find_spec("pvapy") is None, reason="pvapy is not installed"),
]


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def detector(monkeypatch):
    """Start ``pvapy-ad-sim-server`` on loopback, and point this process's PVA environment at it."""
    started = []
    ports = {
        "EPICS_PVA_BROADCAST_PORT": str(free_port(socket.SOCK_DGRAM)),
        "EPICS_PVA_SERVER_PORT": str(free_port(socket.SOCK_STREAM)),
    }
    for name, value in ports.items():
        monkeypatch.setenv(name, value)

    def start(*options):
        command = [
            sys.executable,
            "-c",
            "from pvapy.cli.adSimServer import main; main()",
            "-cn",
            "pvapy:Image",
            *options,
        ]
        settings = {"EPICS_PVAS_INTF_ADDR_LIST": "127.0.0.1", **ports}
        started.append(subprocess.Popen(command, env={**os.environ, **settings}, stdout=subprocess.DEVNULL))

    yield start
    for one in started:
        one.kill()
        one.wait()


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"])
def test_its_frames_arrive_or_are_missed(detector, dtype):
    detector("-nx", "33", "-ny", "21", "-dt", dtype, "-fps", "100", "-nf", "20", "-rt", "2", "-std", "1")
    reader = Reader(PvaSource(image="pvapy:Image", angle_step=1.0, idle=1.0, timeout=20.0)).finish(60)
    assert reader.scan.main.dtype == dtype
    assert reader.scan.main.frame_shape == (21, 33)
    places = [place for _, place in reader.places()]
    assert len(places) > 100
    missed = [place for _, place in reader.missing()]
    assert sorted(places + missed) == list(range(places[0], places[-1] + 1))
    assert len(missed) < len(places) / 10


@pytest.mark.parametrize("compression", ["bslz4", "lz4"])
def test_its_compressed_frames_arrive(detector, tmp_path, compression):
    hdf5plugin = pytest.importorskip("hdf5plugin")
    frames = np.random.default_rng(3).poisson(20, (10, 40, 50)).astype(np.uint16)
    how = hdf5plugin.Bitshuffle(cname="lz4") if compression == "bslz4" else hdf5plugin.LZ4()
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_dataset("data", data=frames, chunks=(1, 40, 50), compression=how)
    given = ["-if", str(tmp_path / "scan.h5"), "-hds", "data", "-hcm", "-fps", "50", "-rt", "2", "-std", "1"]
    detector(*given)
    begin = time.monotonic()
    reader = Reader(PvaSource(image="pvapy:Image", angle_step=1.0, idle=1.0, timeout=20.0)).finish(60)
    assert time.monotonic() - begin < 40
    assert reader.gaps() == []
    for chunk in reader.chunks():
        for frame in chunk.data:
            assert (frames == frame).all(axis=(1, 2)).any()
