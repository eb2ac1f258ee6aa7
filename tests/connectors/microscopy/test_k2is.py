"""K2 IS recordings, written block by block as the format is described; LiberTEM reads the same files where it is installed."""

import contextlib
import functools
import os
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.connectors.k2is import wire
from firstlight.connectors.k2is.sectors import opened
from firstlight.connectors.k2is.source import K2ISSource
from firstlight.connectors.k2is.tags import read_numbers
from firstlight.core.chunk import Chunk, Gap
from firstlight.core.errors import FirstlightError, SourceError

FIRST = 2**20 + 7
"""Number of the first block of frame 0: frames need not begin with a multiple of 32."""
ON = 2
"""The first of five frames with the shutter on."""
HOW = """
import sys, numpy as np, libertem.api as lt
from libertem.io.dataset.k2is import Sector
from libertem.udf.raw import PickUDF
search = Sector.first_block_with_search  # its first step is 400 frames, and ends behind a recording that is shorter
search.__defaults__ = (search.__defaults__[0], 32)
ctx = lt.Context.make_with("inline")
data = ctx.load("k2is", path=sys.argv[1])
found = ctx.run_udf(data, PickUDF(), roi=np.ones(data.shape.nav, bool))["intensity"].raw_data
np.savez(sys.argv[2], found=found, nav=tuple(data.shape.nav))
"""


@functools.cache
def frames():
    """Every value of 12 bits occurs, and no two blocks are alike."""
    made = np.random.default_rng(0).integers(0, 4096, (7, 1860, 2048)).astype(np.uint16)
    made.setflags(write=False)
    return made


@functools.cache
def sectors(on=ON):
    """Bytes of each file: a part of a frame (longer in some sectors), five whole frames, and a part of another."""
    encoded = [wire.encode_frame(frames()[n], 90 + n, FIRST + 32 * (n - 1), n > on) for n in range(7)]
    joined = [b"".join(frame[sector].tobytes() for frame in encoded) for sector in range(8)]
    return [each[(20 - 2 * n) * wire.SIZE : -(9 + n) * wire.SIZE] for n, each in enumerate(joined)]


def tag(name, info, data, version):
    wide = ">q" if version == 4 else ">i"
    content = b"%%%%" + struct.pack(wide, len(info)) + b"".join(struct.pack(wide, each) for each in info) + data
    size = struct.pack(">Q", len(content)) if version == 4 else b""
    return struct.pack(">BH", 21, len(name)) + name + size + content


def group(name, tags, version):
    content = b"\1\0" + struct.pack(">q" if version == 4 else ">i", len(tags)) + b"".join(tags)
    size = struct.pack(">Q", len(content)) if version == 4 else b""
    return struct.pack(">BH", 20, len(name)) + name + size + content if name else content


def gtg(scan, version=4):
    """A description with numbers, a text, a structure, a list and a list of structures."""
    others = [
        tag(b"Name", (20, 4, 3), "K2é".encode("utf-16-le"), version),
        tag(b"Place", (15, 0, 2, 0, 6, 0, 7), struct.pack("<fd", 1, 2), version),
        tag(b"Table", (20, 15, 0, 2, 0, 2, 0, 3, 2), struct.pack("<hihi", 1, 2, 3, 4), version),
        tag(b"Voltage", (7,), struct.pack("<d", 3e5), version),
    ]
    sizes = [
        tag(b"Size " + axis, (5,), struct.pack("<I", size), version)
        for axis, size in zip((b"Y", b"X"), scan or (), strict=False)
    ]
    root = group(
        b"", [group(b"Session", others, version), *([group(b"SI Dimensions", sizes, version)] * bool(scan))], version
    )
    return struct.pack(">iqi" if version == 4 else ">iii", version, len(root), 1) + root + bytes(8)


def written(folder, scan=(2, 2), version=4, without=(), on=ON):
    """Write a recording; `without`: (sector, block counted from frame 0) that were lost."""
    (folder / "Capture7_.gtg").write_bytes(gtg(scan, version))
    for sector, content in enumerate(sectors(on)):
        blocks = [content[n : n + wire.SIZE] for n in range(0, len(content), wire.SIZE)] if without else []
        first = 12 + 2 * sector
        lost = {first + block for at, block in without if at == sector}
        kept = b"".join(each for n, each in enumerate(blocks) if n not in lost) if lost else content
        (folder / f"Capture7_{sector + 1}.bin").write_bytes(kept)
    return folder / "Capture7_.gtg"


def read(source):
    source.open()
    found = np.concatenate([item.data for item in source.items() if isinstance(item, Chunk)])
    source.close()
    return found


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return written(tmp_path_factory.mktemp("k2is"))


def test_a_scan_begins_one_frame_before_the_flag_and_a_series_with_it(recording, tmp_path):
    assert K2ISSource.recognises(recording)
    assert K2ISSource.recognises(recording.with_name("Capture7_3.bin"))
    source = K2ISSource(path=recording, chunk=10**7)
    scan = source.open()
    assert scan.main.sizes == {"scan_y": 2, "scan_x": 2, "row": 1860, "col": 2048}
    part = source.read({"scan_y": slice(1, 2), "row": slice(900, 940), "col": slice(250, 1030, 3)})
    np.testing.assert_array_equal(np.asarray(part).reshape(2, 40, -1), frames()[4:6, 900:940, 250:1030:3])
    source.close()
    np.testing.assert_array_equal(read(source), frames()[2:6])
    for suffix in (f"{n}.bin" for n in range(1, 9)):
        name = f"Capture7_{suffix}"
        (tmp_path / name).symlink_to(recording.with_name(name))
    series = K2ISSource(path=tmp_path / "Capture7_1.bin")
    assert series.open().main.sizes == {"position": 3, "row": 1860, "col": 2048}
    source = K2ISSource(path=tmp_path / "Capture7_1.bin", shutter=False, scan_y=1, scan_x=2, sync_offset=1)
    source.open()
    part = source.read({"row": slice(5), "col": slice(2000, 2048)})
    np.testing.assert_array_equal(np.asarray(part)[0], frames()[2:4, :5, 2000:])
    source.close()


@pytest.mark.parametrize("block", [0, 17, 31])
def test_a_frame_that_lost_a_block_is_missing_and_the_others_stay(tmp_path, block):
    path = written(tmp_path, without=[(5, 2 * 32 + block), (5, 2 * 32 + 20), (0, 6)])
    source = K2ISSource(path=path, chunk=10**7)
    scan = source.open()
    assert scan.metadata["blocks_lost_sector_6"] == "2"
    assert scan.metadata["blocks_lost_sector_1"] == "1"
    items = list(source.items())
    assert [(gap.first, gap.last, gap.kind) for gap in items if isinstance(gap, Gap)] == [(1, 1, "lost")]
    np.testing.assert_array_equal(
        np.concatenate([item.data for item in items if isinstance(item, Chunk)]), frames()[[2, 4, 5]]
    )
    source.close()


@pytest.mark.slow
@pytest.mark.parametrize("scan", [(2, 2), None])
def test_as_libertem_reads_them(tmp_path, scan):
    python = Path(os.environ.get("PEERS", "/nowhere")) / "libertem-live" / "bin" / "python"
    if not python.is_file():
        pytest.skip("no LiberTEM: PEERS names no folder with libertem-live")
    # Of a series LiberTEM takes the shutter to be on from the start, and leaves out twice as many frames where it is not.
    path = written(tmp_path, scan, on=ON if scan else -1)
    done = subprocess.run([python, "-c", HOW, path, tmp_path / "all.npz"], timeout=110, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    peer = np.load(tmp_path / "all.npz")
    source = K2ISSource(path=path)
    assert tuple(source.open().main.sizes.values())[:-2] == tuple(peer["nav"])
    source.close()
    np.testing.assert_array_equal(read(source), peer["found"].reshape(-1, 1860, 2048))


@pytest.mark.parametrize("version", [3, 4])
def test_numbers_of_a_description(version):
    found = read_numbers(gtg((3, 5), version))
    assert found == {"Session.Voltage": 3e5, "SI Dimensions.Size Y": 3, "SI Dimensions.Size X": 5}


def test_what_can_not_be_is_refused_in_words(recording, tmp_path):
    def changed(number, at=0, new=b"", name=None):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for each in recording.parent.iterdir():
            (folder / each.name).symlink_to(each)
        path = folder / (name or f"Capture7_{number}.bin")
        content = bytearray(path.read_bytes())
        path.unlink()
        if new:
            content[at : at + len(new)] = new
            path.write_bytes(content)
        return folder / "Capture7_.gtg"

    for path, words in (
        (changed(4), "7 files"),
        (changed(4, 0, b"\0"), r"block 0 of Capture7_4\.bin .*begins with"),
        (changed(2, 30, struct.pack(">H", 7)), "row 7"),
        (changed(1, 16, struct.pack(">I", FIRST + 10**4)), r"numbered"),
        (changed(1, 28, struct.pack(">H", 0)), "other blocks"),
        (changed(0, 0, struct.pack(">i", 9), "Capture7_.gtg"), "version 9"),
    ):
        with pytest.raises(SourceError, match=words):
            K2ISSource(path=path).open()
    # A head that is damaged within a frame is found when the frame is read, and never passed on.
    source = K2ISSource(path=changed(1, (12 + 32 + 5) * wire.SIZE, b"\0\0\0\0"))
    source.open()
    with pytest.raises(SourceError, match=r"sector 1: block .* damaged head"):
        source.read({"scan_y": slice(0, 1), "row": slice(4)})
    source.close()


@settings(max_examples=100)
@given(st.lists(st.integers(0, 5), max_size=200))
def test_runs_are_those_of_all_heads(tmp_path_factory, steps):
    """Looking at few heads finds what looking at all of them finds."""
    counts = np.cumsum([40, *(each + 1 if each == 5 else 1 for each in steps)])
    path = tmp_path_factory.mktemp("runs") / "1.bin"
    with path.open("wb") as file:
        file.truncate(len(counts) * wire.SIZE)
        for n, count in enumerate(counts):
            file.seek(n * wire.SIZE)
            head = np.zeros((), wire.HEADER)
            head["sync"], head["size"], head["width"], head["height"] = wire.SYNC, wire.SIZE, wire.WIDTH, wire.HEIGHT
            head["count"], head["x_first"] = count, 240
            file.write(head.tobytes())
    sector = opened(path)
    begins = np.flatnonzero(np.diff(counts, prepend=-9) != 1)
    np.testing.assert_array_equal(sector.begins, begins)
    np.testing.assert_array_equal(sector.counts, counts[begins])
    assert sector.lost == counts[-1] - counts[0] + 1 - len(counts)


@settings(max_examples=100)
@given(st.binary(max_size=40), st.integers(0, 400))
def test_no_tags_break_it(content, at):
    whole = bytearray(gtg((3, 5)))
    whole[at : at + len(content)] = content
    with contextlib.suppress(ValueError):
        read_numbers(bytes(whole))
    with contextlib.suppress(ValueError):
        read_numbers(content)


@settings(max_examples=30)
@given(st.binary(min_size=1, max_size=40), st.integers(0, 39), st.integers(0, 190), st.integers(1, 8))
def test_no_heads_break_it(recording, content, at, block, number):
    path = recording.with_name(f"Capture7_{number}.bin")
    with path.open("r+b") as file:
        place = min(block * wire.SIZE, path.stat().st_size - wire.SIZE) + at
        file.seek(place)
        before = file.read(len(content))
        file.seek(place)
        file.write(content)
        file.flush()
        try:
            with contextlib.suppress(FirstlightError):
                source = K2ISSource(path=recording)
                source.open()
                source.read({"scan_y": slice(0, 1), "row": slice(2)})
                source.close()
        finally:
            file.seek(place)
            file.write(before)
