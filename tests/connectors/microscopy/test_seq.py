"""Sequences of StreamPix, written field by field as the format is described; LiberTEM reads the same file where it is installed."""

import contextlib
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.connectors.raw.seq import SeqSource
from firstlight.core.chunk import Chunk, Gap
from firstlight.core.errors import FirstlightError, SourceError

FRAMES = np.random.default_rng(0).integers(0, 60000, (12, 6, 10)).astype(np.uint16)
HOW = """
import sys, numpy as np, libertem.api as lt
from libertem.udf.sum import SumUDF
ctx = lt.Context.make_with("inline")
data = ctx.load("seq", path=sys.argv[1], nav_shape=(3, 4))
np.save(sys.argv[2], ctx.run_udf(data, SumUDF())["intensity"].data)
"""


def header(version=4, width=10, height=6, bits=16, stride=136, compression=0, grey=100):
    fields = bytearray(1024 if version < 5 else 8192)
    for at, value, size in (
        (0, 0xFEED, 4),
        (28, version, 4),
        (32, 1024, 4),
        (548, width, 4),
        (552, height, 4),
        (556, bits, 4),
        (560, bits, 4),
        (564, width * height * bits // 8 % 2**32, 4),
        (568, grey, 4),
        (572, 12, 4),
        (580, stride, 4),
        (620, compression, 4),
    ):
        fields[at : at + size] = value.to_bytes(size, "little")
    fields[4:28] = "Norpix seq".encode("utf-16-le").ljust(24, b"\0")
    fields[36:548] = "simulated".encode("utf-16-le").ljust(512, b"\0")
    fields[584:592] = np.float64(400.0).tobytes()
    return bytes(fields)


def written(path, **how):
    images = b"".join(frame.astype("<u2").tobytes() + bytes(16) for frame in FRAMES)
    path.write_bytes(header(**how) + images)
    return path


@pytest.mark.parametrize("version", [4, 5])
def test_frames_and_what_is_cut_off(tmp_path, version):
    path = written(tmp_path / "scan.seq", version=version)
    assert SeqSource.recognises(path)
    source = SeqSource(path=path, scan_y=3, chunk=300)
    scan = source.open()
    assert scan.main.sizes == {"scan_y": 3, "scan_x": 4, "row": 6, "col": 10}
    np.testing.assert_array_equal(np.concatenate([c.data for c in source.items() if isinstance(c, Chunk)]), FRAMES)
    source.close()
    path.write_bytes(path.read_bytes()[:-50])
    source = SeqSource(path=path, scan_y=3, scan_x=4)
    source.open()
    assert [(gap.first, gap.last) for gap in source.items() if isinstance(gap, Gap)] == [(11, 11)]
    source.close()


@pytest.mark.heavy
def test_as_libertem_reads_them(tmp_path):
    python = Path(os.environ.get("PEERS", "/nowhere")) / "libertem-live" / "bin" / "python"
    if not python.is_file():
        pytest.skip("no LiberTEM: PEERS names no folder with libertem-live")
    path = written(tmp_path / "scan.seq")
    subprocess.run([python, "-c", HOW, path, tmp_path / "sum.npy"], check=True, timeout=100, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "sum.npy"), FRAMES.sum(axis=0, dtype=np.float64))


@pytest.mark.parametrize("wrong", [{"compression": 1}, {"grey": 200}, {"bits": 12}, {"width": 2**31}, {"stride": 4}])
def test_what_can_not_be_is_refused_in_words(tmp_path, wrong):
    with pytest.raises(SourceError, match="path"):
        SeqSource(path=written(tmp_path / "scan.seq", **wrong)).open()


@settings(max_examples=100)
@given(st.binary(max_size=100), st.integers(0, 620))
def test_no_header_breaks_it(tmp_path_factory, content, at):
    whole = bytearray(header())
    whole[at : at + len(content)] = content
    path = tmp_path_factory.mktemp("seq") / "scan.seq"
    path.write_bytes(bytes(whole[:1024]) + bytes(1000))
    with contextlib.suppress(FirstlightError):
        source = SeqSource(path=path)
        source.open()
        source.read({"position": slice(0, 1)})
        source.close()
