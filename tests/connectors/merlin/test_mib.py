"""The .mib source on real files of Merlin detectors: test patterns with known content, and a small scan."""

import numpy as np
import pytest

from firstlight.connectors.merlin.mib import MibSource
from firstlight.connectors.merlin.wire import FRAMES, write_frame, write_start
from firstlight.core.chunk import Chunk, Gap
from firstlight.core.errors import SourceError, UnknownName


def whole(path, **parameters):
    source = MibSource(path=path, **parameters)
    source.open()
    found = source.read({})
    source.close()
    return found


def file_of(folder, numbers, frames=12, shape=(4, 6), header=True):
    """A .mib file of frames filled with their numbers."""
    (folder / "a.mib").write_bytes(b"".join(write_frame(n, np.full(shape, n, np.uint16)) for n in numbers))
    if header:
        (folder / "a.hdr").write_bytes(write_start({FRAMES: frames}))
    return folder / "a.mib"


@pytest.mark.parametrize("kind", ["Single", "Quad"])
@pytest.mark.parametrize("frames", [1, 9])
@pytest.mark.parametrize(
    ("depth", "dtype"), [("1", "uint8"), ("6", "uint8"), ("12", "uint16"), ("24", "uint32"), ("1RAW", "uint8")]
)
def test_every_real_file(recordings, kind, frames, depth, dtype):
    name = f"{kind}_{frames}_Frame_CounterDepth_{depth.removesuffix('RAW')}_Rows_256{'RAW' if 'RAW' in depth else ''}"
    found = whole(recordings / f"{name}.mib")
    side = 256 if kind == "Single" else 512
    assert (found.shape, found.dtype) == ((frames, side, side), dtype)
    assert found.max() < 2 ** int(depth.removesuffix("RAW"))


@pytest.mark.parametrize("kind", ["Single", "Quad"])
def test_raw_counters_show_the_pattern_that_merlin_itself_put_together(recordings, kind):
    """The same test pattern, once processed by Merlin, once raw: but for a few noisy pixels they agree."""
    processed = whole(recordings / f"{kind}_1_Frame_CounterDepth_1_Rows_256.mib")[0]
    raw = whole(recordings / f"{kind}_1_Frame_CounterDepth_1_Rows_256RAW.mib")[0]
    assert (processed != raw).mean() < 1e-3
    for turned in (processed[::-1], processed[:, ::-1], processed[::-1, ::-1]):
        assert (turned != raw).mean() > 3e-2


def test_every_depth_shows_the_same_digits(recordings):
    """The digit 1 on the chip: every pixel of it counts."""
    digit = whole(recordings / "Single_1_Frame_CounterDepth_1_Rows_256.mib")[0][97:154, 88:92].astype(bool)
    assert digit.mean() > 0.9
    for depth in ("6", "12", "24"):
        found = whole(recordings / f"Single_1_Frame_CounterDepth_{depth}_Rows_256.mib")[0]
        assert (found[97:154, 88:92].astype(bool) == digit).mean() > 0.95


def test_a_real_scan(recordings):
    source = MibSource(path=recordings / "001_4x2_6bit.hdr", scan_x=4, dark_level=0.0)
    scan = source.open()
    assert scan.main.sizes == {"scan_y": 2, "scan_x": 4, "row": 256, "col": 256}
    assert scan.metadata["Gain"] == "SLGM"
    frames = source.read({})
    assert frames.max() == 63
    assert np.array_equal(source.read({"scan_x": slice(1, 3), "row": slice(5, 9)}), frames[:, 1:3, 5:9])
    cropped = whole(recordings / "002_4x2_6bit_roi128.mib", scan_y=2)
    assert cropped.shape == (2, 4, 128, 256)
    with pytest.raises(SourceError, match="9 frames"):
        whole(recordings / "001_4x2_6bit.mib", scan_y=3, scan_x=3)
    with pytest.raises(UnknownName):
        source.read({"angle": slice(1)})


def test_frames_are_placed_by_their_number_and_missing_ones_are_lost(tmp_path):
    path = file_of(tmp_path, [0, 1, 4, 3, 3, 6, 7, 8, 9, 10])
    source = MibSource(path=path, scan_y=3, chunk=200)
    source.open()
    items = list(source.items())
    source.close()
    ids = np.concatenate([item.ids for item in items if isinstance(item, Chunk)])
    data = np.concatenate([item.data for item in items if isinstance(item, Chunk)])
    assert np.array_equal(data[:, 0, 0], ids)
    assert sorted(ids.tolist()) == [0, 1, 3, 4, 6, 7, 8, 9, 10]
    assert [(gap.first, gap.last) for gap in items if isinstance(gap, Gap)] == [(2, 2), (5, 5), (11, 11)]
    assert whole(path)[2].max() == 0


@pytest.mark.parametrize(("offset", "first"), [(2, 2), (-2, 0)])
def test_a_scan_that_begins_at_another_frame(tmp_path, offset, first):
    path = file_of(tmp_path, range(12))
    source = MibSource(path=path, scan_y=3, scan_x=4, sync_offset=offset)
    source.open()
    items = list(source.items())
    source.close()
    for chunk in (item for item in items if isinstance(item, Chunk)):
        assert np.array_equal(chunk.data[:, 0, 0], chunk.ids + offset)
    gaps = [(gap.first, gap.last) for gap in items if isinstance(gap, Gap)]
    assert gaps == ([(10, 11)] if offset == 2 else [(0, 1)])


def test_a_part_of_a_longer_acquisition_begins_at_zero(tmp_path):
    assert whole(file_of(tmp_path, range(100, 112)))[0, 0, 0] == 100
    (tmp_path / "a.hdr").unlink()
    assert whole(tmp_path / "a.mib", scan_y=2).shape == (2, 6, 4, 6)


@pytest.mark.parametrize("content", [b"", b"nothing of Merlin", write_frame(0, np.zeros((4, 6), np.uint16))[:300]])
def test_what_is_no_mib_file_is_told(tmp_path, content):
    (tmp_path / "a.mib").write_bytes(content)
    with pytest.raises(SourceError, match="can not be read"):
        whole(tmp_path / "a.mib")
    assert MibSource.recognises(tmp_path / "a.mib") == content.startswith(b"MQ1")
    with pytest.raises(SourceError, match="can not be read"):
        whole(tmp_path / "none.mib")


def test_frames_of_another_length_in_between_are_told(tmp_path):
    frames = [write_frame(0, np.zeros((4, 6), np.uint16)), write_frame(1, np.zeros((4, 7), np.uint16))]
    (tmp_path / "a.mib").write_bytes(b"".join(frames * 4))
    with pytest.raises(SourceError, match="begins like the first"):
        whole(tmp_path / "a.mib")
