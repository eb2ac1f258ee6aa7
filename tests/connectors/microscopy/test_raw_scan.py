"""Plain frames of any program, with headers and without: numpy's tofile is the other side."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.connectors.raw.scan import RawScanSource
from firstlight.core.chunk import Chunk, Gap
from firstlight.core.errors import SourceError

FRAMES = np.random.default_rng(0).integers(0, 60000, (12, 5, 7)).astype(np.uint16)


def played(source):
    source.open()
    items = list(source.items())
    source.close()
    frames = np.zeros((12, 5, 7), np.uint16)
    for chunk in (item for item in items if isinstance(item, Chunk)):
        frames[chunk.ids] = chunk.data
    return frames, [(gap.first, gap.last) for gap in items if isinstance(gap, Gap)]


@settings(max_examples=40)
@given(
    st.sampled_from(["little", "big"]),
    st.integers(0, 600),
    st.integers(0, 33),
    st.integers(0, 33),
    st.integers(0, 69),
)
def test_frames_between_other_bytes(tmp_path_factory, byteorder, offset, head, tail, cut):
    path = tmp_path_factory.mktemp("raw") / "scan.bin"
    code = "<u2" if byteorder == "little" else ">u2"
    frames = [b"\xff" * head + frame.astype(code).tobytes() + b"\xee" * tail for frame in FRAMES]
    whole = b"\x11" * offset + b"".join(frames)
    path.write_bytes(whole[: len(whole) - cut])
    given = {"frame": (5, 7), "dtype": "uint16", "byteorder": byteorder, "offset": offset, "head": head, "tail": tail}
    found, gaps = played(RawScanSource(path=path, scan_y=3, scan_x=4, chunk=300, **given))
    kept = 12 if cut == 0 else 11
    np.testing.assert_array_equal(found[:kept], FRAMES[:kept])
    assert gaps == ([] if cut == 0 else [(11, 11)])


def test_a_scan_that_begins_later(tmp_path):
    FRAMES.tofile(tmp_path / "scan.bin")
    source = RawScanSource(path=tmp_path / "scan.bin", frame=(5, 7), dtype="uint16", scan_y=2, scan_x=5, sync_offset=2)
    found, gaps = played(source)
    np.testing.assert_array_equal(found[:10], FRAMES[2:])
    assert gaps == []


def test_what_does_not_fit_is_refused(tmp_path):
    FRAMES.tofile(tmp_path / "scan.bin")
    with pytest.raises(SourceError, match=r"frame = \(500, 700\)"):
        RawScanSource(path=tmp_path / "scan.bin", frame=(500, 700), dtype="uint16").open()
    with pytest.raises(SourceError, match="scan_x = 5"):
        RawScanSource(path=tmp_path / "scan.bin", frame=(5, 7), dtype="uint16", scan_x=5).open()
    with pytest.raises(SourceError, match="too large"):
        RawScanSource(path=tmp_path / "scan.bin", frame=(65536, 65536), dtype="uint16").open()
    with pytest.raises(SourceError, match="no such file"):
        RawScanSource(path=tmp_path / "none.bin", frame=(5, 7), dtype="uint16").open()
