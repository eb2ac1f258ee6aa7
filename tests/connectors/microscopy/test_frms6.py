"""FRMS6 files, written field by field as the format is described; LiberTEM reads the same files where it is installed."""

import contextlib
import os
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.connectors.frms6.source import Frms6Source
from firstlight.core.chunk import Chunk, Gap
from firstlight.core.errors import FirstlightError, SourceError

FRAMES = np.random.default_rng(0).integers(0, 60000, (12, 8, 6)).astype(np.uint16)
DARK = np.random.default_rng(1).integers(0, 300, (2, 8, 6)).astype(np.uint16)
HOW = """
import sys, numpy as np, libertem.api as lt
from libertem.udf.raw import PickUDF
ctx = lt.Context.make_with("inline")
data = ctx.load("frms6", path=sys.argv[1], enable_offset_correction=False)
np.save(sys.argv[2], ctx.run_udf(data, PickUDF(), roi=np.ones(data.shape.nav, bool))["intensity"].raw_data)
"""


def folded(frame):
    """As the camera stores it: a row of the upper half, then the row as far from the lower edge, from right to left."""
    return np.array([[*frame[y], *frame[len(frame) - 1 - y][::-1]] for y in range(len(frame) // 2)], "<u2")


def written(folder, binned=1, scan="3x4", counted=True):
    def file(number, frames):
        rows, cols = folded(frames[0]).shape
        head = struct.pack("<HH3xB80xHH928xI", 1024, 64, 6, cols, rows, len(frames) if counted else 0)
        path = folder / f"scan_{number:03}.frms6"
        path.write_bytes(head + b"".join(bytes(64) + folded(frame).tobytes() for frame in frames))

    for number, frames in enumerate((DARK, FRAMES[:5], FRAMES[5:])):
        file(number, frames)
    (folder / "scan.hdr").write_text(
        "[measurementInfo]\nfile=scan\ndarkFrames=2\ndwellTimeMicroseconds=1000\ngain=1\nsignalFrames=12\n"
        f'STEMimageSize={scan}\nreadoutMode="bin: {binned}, windowing: 8 x 6"\n'
    )
    return folder / "scan.hdr"


def read(source):
    source.open()
    found = np.concatenate([item.data for item in source.items() if isinstance(item, Chunk)])
    source.close()
    return found


@pytest.mark.parametrize("binned", [1, 2, 4])
def test_frames_are_unfolded_and_binned_rows_stand_as_often(tmp_path, binned):
    path = written(tmp_path, binned)
    assert Frms6Source.recognises(path)
    source = Frms6Source(path=path, chunk=300)
    scan = source.open()
    assert scan.main.sizes == {"scan_y": 3, "scan_x": 4, "row": 8 * binned, "col": 6}
    np.testing.assert_array_equal(read(source), FRAMES.repeat(binned, axis=1))
    source.open()
    part = source.read({"scan_y": slice(1, 2), "row": slice(3, 7), "col": slice(2, 5)})
    np.testing.assert_array_equal(np.asarray(part).reshape(4, 4, 3), FRAMES[4:8].repeat(binned, axis=1)[:, 3:7, 2:5])
    source.close()


def test_dark_frames_are_played_apart_and_files_without_a_count_by_their_length(tmp_path):
    path = written(tmp_path, counted=False)
    np.testing.assert_array_equal(read(Frms6Source(path=path, frames="dark")), DARK)
    np.testing.assert_array_equal(read(Frms6Source(path=tmp_path / "scan_001.frms6")), FRAMES)


def test_a_frame_that_is_cut_off_is_missing(tmp_path):
    path = written(tmp_path)
    last = tmp_path / "scan_002.frms6"
    last.write_bytes(last.read_bytes()[:-3])
    source = Frms6Source(path=path)
    source.open()
    assert [(gap.first, gap.last) for gap in source.items() if isinstance(gap, Gap)] == [(11, 11)]
    source.close()


@pytest.mark.heavy
@pytest.mark.parametrize("binned", [1, 2, 4])
def test_as_libertem_reads_them(tmp_path, binned):
    python = Path(os.environ.get("PEERS", "/nowhere")) / "libertem-live" / "bin" / "python"
    if not python.is_file():
        pytest.skip("no LiberTEM: PEERS names no folder with libertem-live")
    path = written(tmp_path, binned)
    subprocess.run([python, "-c", HOW, path, tmp_path / "all.npy"], check=True, timeout=100, capture_output=True)
    np.testing.assert_array_equal(
        read(Frms6Source(path=path)).reshape(12, -1, 6), np.load(tmp_path / "all.npy").reshape(12, -1, 6)
    )


def test_what_can_not_be_is_refused_in_words(tmp_path):
    for how, words in (({"scan": "3x"}, "STEMimageSize"), ({"binned": 3}, "readoutMode")):
        with pytest.raises(SourceError, match=words):
            Frms6Source(path=written(tmp_path, **how)).open()
    path = written(tmp_path)
    for number in (1, 2):
        (tmp_path / f"scan_00{number}.frms6").unlink()
    with pytest.raises(SourceError, match=r"no scan_001\.frms6"):
        Frms6Source(path=path).open()


@settings(max_examples=60)
@given(st.binary(max_size=60), st.integers(0, 1100), st.binary(max_size=60), st.integers(0, 160))
def test_no_bytes_break_it(tmp_path_factory, content, at, told, told_at):
    folder = tmp_path_factory.mktemp("frms6")
    path = written(folder)
    for each, new, place in ((folder / "scan_001.frms6", content, at), (path, told, told_at)):
        whole = bytearray(each.read_bytes())
        whole[place : place + len(new)] = new
        each.write_bytes(whole)
    with contextlib.suppress(FirstlightError):
        source = Frms6Source(path=path)
        first = source.open().main.axes[0]
        source.read({first: slice(0, 1)})
        source.close()
