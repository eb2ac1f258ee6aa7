"""Stream v1 and v2, both ways: real recordings, every encoding, streams that are cut, and any bytes."""

import io
import json
import struct

import bitshuffle
import cbor2
import lz4.block
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.connectors.dectris import cbor, stream1, stream2, wire
from firstlight.connectors.dectris.stream1 import Parts
from firstlight.connectors.dectris.wire import BadMessage, Frame, SeriesEnd, SeriesStart, Stray

CONFIG = {
    "nimages": 3,
    "ntrigger": 4,
    "trigger_mode": "exts",
    "x_pixels_in_detector": 16,
    "y_pixels_in_detector": 12,
    "bit_depth_image": 16,
}
PIXELS = np.random.default_rng(2).poisson(9, (12, 16)).astype(np.uint16)
MASK = np.zeros((12, 16), np.uint32)
TABLES = {"flatfield": np.ones((12, 16)), "pixel_mask": MASK, "countrate_table": np.ones((5, 2))}
V1 = ["bs8-lz4<", "bs16-lz4<", "bs32-lz4<", "lz4<", "<", ">", "bs16-lz4>", "raw"]


def views(parts):
    return [memoryview(part) for part in parts]


def pixels_of(frame):
    out = np.zeros(frame.shape, frame.dtype)
    for at, plane in enumerate(frame.planes):
        wire.decode_into(plane, out if len(frame.planes) == 1 else out[at])
    return out


def feed(*messages):
    parts = Parts()
    return [found for message in messages for found in parts.feed(views(message))]


# ---- stream v1 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", V1)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_every_encoding_comes_back(encoding, dtype):
    pixels = PIXELS.astype(dtype)
    (frame,) = feed(stream1.write_frame(7, 5, pixels, encoding=encoding, times=(10, 20, 9)))
    assert (frame.series, frame.number, frame.shape, frame.dtype) == (7, 5, (12, 16), dtype)
    assert frame.exposure == (10, 20, 9)
    assert np.array_equal(pixels_of(frame), pixels)


def test_payloads_as_the_libraries_write_them():
    """Not our encoder: bitshuffle's and lz4's own, with the framing of the manual."""
    described = {"htype": "dimage_d-1.0", "shape": [16, 12], "type": "uint16", "size": 1}
    first = json.dumps({"htype": "dimage-1.0", "series": 1, "frame": 0}).encode()
    packed = bitshuffle.compress_lz4(PIXELS, 0).tobytes()
    blobs = {
        "bs16-lz4<": struct.pack(">QI", PIXELS.nbytes, 8192) + packed,
        "lz4<": lz4.block.compress(PIXELS.tobytes(), store_size=False),
        "<": PIXELS.tobytes(),
        ">": PIXELS.astype(">u2").tobytes(),
    }
    for encoding, blob in {**blobs, "bs16lz4<": bytes(12) + packed}.items():
        (frame,) = feed([first, json.dumps({**described, "encoding": encoding}).encode(), blob])
        assert np.array_equal(pixels_of(frame), PIXELS), encoding


@pytest.mark.parametrize(("detail", "parts"), [("none", 1), ("basic", 2), ("all", 8)])
@pytest.mark.parametrize("appendix", [None, b"{}", b"plain text"])
def test_every_header(detail, parts, appendix):
    written = stream1.write_start(4, CONFIG, detail=detail, tables=TABLES, appendix=appendix)
    assert len(written) == parts + (appendix is not None)
    (start,) = feed(written)
    assert (start.series, start.detail, start.appendix) == (4, detail, appendix)
    assert start.frames == (None if detail == "none" else 12)
    assert start.shape == (None if detail == "none" else (12, 16))
    assert start.dtype == (None if detail == "none" else "uint16")
    assert set(start.tables) == (set(TABLES) if detail == "all" else set())
    if detail == "all":
        assert np.array_equal(wire.table(start.tables["pixel_mask"]), MASK)
        assert wire.table(start.tables["countrate_table"]).shape == (5, 2)


@pytest.mark.parametrize(("mode", "frames"), [("ints", 12), ("exts", 12), ("inte", 4), ("exte", 4)])
def test_how_many_frames_a_trigger_mode_brings(mode, frames):
    assert SeriesStart(1, "basic", {**CONFIG, "trigger_mode": mode}).frames == frames


@pytest.mark.parametrize("detail", ["none", "basic", "all"])
def test_parts_that_come_as_messages_of_their_own(detail):
    """As LiberTEM's simulator sends headers, and holoptycho's proxy sends everything."""
    whole = [
        stream1.write_start(4, CONFIG, detail=detail, tables=TABLES),
        *(stream1.write_frame(4, at, PIXELS + at) for at in range(3)),
        stream1.write_end(4),
    ]
    split = [[part] for message in whole for part in message]
    together, apart = feed(*whole), feed(*split)
    assert [type(one) for one in apart] == [type(one) for one in together]
    assert [type(one) for one in apart] == [SeriesStart, Frame, Frame, Frame, SeriesEnd]
    for at, frame in enumerate(apart[1:4]):
        assert frame.number == at
        assert np.array_equal(pixels_of(frame), PIXELS + at)


def test_frames_as_holoptycho_replays_them():
    described = {"htype": "dimage_d-1.0", "shape": [16, 12], "type": "uint16", "encoding": "raw"}
    message = [b'{"frame": 8, "series": 1}', json.dumps(described).encode(), PIXELS.tobytes()]
    (frame,) = feed(message)
    assert (frame.series, frame.number) == (1, 8)
    assert np.array_equal(pixels_of(frame), PIXELS)


def test_thresholds_in_one_frame():
    stack = np.stack([PIXELS, PIXELS // 2])
    (frame,) = feed(stream1.write_frame(1, 0, stack))
    assert frame.shape == (2, 12, 16)
    assert np.array_equal(pixels_of(frame), stack)


def test_an_appendix_of_a_frame_is_kept():
    (frame,) = feed(stream1.write_frame(1, 0, PIXELS, appendix=b'{"motor": 1}'))
    assert frame.user == b'{"motor": 1}'


def test_a_frame_that_is_cut_is_told_by_its_number():
    whole = [stream1.write_frame(1, at, PIXELS, encoding="<") for at in range(3)]
    whole[1] = whole[1][:2]
    first, cut, last = feed(*whole)
    assert (first.reason, last.reason) == ("", "")
    assert (cut.number, cut.reason) == (1, "it was cut off")
    short = stream1.write_frame(1, 9, PIXELS, encoding="<")
    short[2] = short[2][:-1]
    (frame,) = feed(short)
    assert frame.number == 9
    assert "cut off" in frame.reason


@pytest.mark.parametrize(
    "described",
    [
        {"shape": [2**16, 2**16]},
        {"shape": [2**70, 1]},
        {"shape": [-4, 4]},
        {"shape": [True, 4]},
        {"shape": [4]},
        {"shape": "ab"},
        {"shape": None},
        {"type": "float64"},
        {"type": ["uint16"]},
        {"encoding": "bs16<"},
        {"encoding": "bs64-lz4<"},
        {"encoding": "zip"},
        {"encoding": 5},
    ],
)
def test_a_frame_that_lies_is_rejected_with_a_reason(described):
    message = stream1.write_frame(1, 6, PIXELS)
    message[1] = json.dumps({**json.loads(message[1]), **described}).encode()
    (frame,) = feed(message)
    assert frame.number == 6
    assert frame.reason


def test_garbage_is_stray_and_what_follows_is_read():
    found = feed([b"\x00\x01garbage"], [b"{broken"], stream1.write_end(3), [b"[1, 2]"], [b'{"frame": "x"}', b"", b""])
    assert [type(one) for one in found] == [Stray, Stray, SeriesEnd, Stray, Stray]


def test_a_real_eiger_recording(data_folder):
    """EIGER2 CdTe 9M with header detail all and appendices; its payloads are cut to 20000 byte."""
    raw = io.BytesIO((data_folder / "detector" / "eiger-small.cbors").read_bytes())
    messages = [cbor2.load(raw) for _ in range(5)]
    start, *frames, end = feed(*messages)
    assert (start.series, start.detail, start.shape, start.dtype) == (6, "all", (3262, 3108), "uint32")
    assert start.frames == start.config["nimages"] * start.config["ntrigger"]
    assert json.loads(start.appendix)["collect_dict"]["col_id"] == 128579
    assert wire.table(start.tables["countrate_table"]).shape == (1001, 2)
    with pytest.raises(BadMessage, match="cut off"):
        wire.table(start.tables["flatfield"])
    assert [frame.number for frame in frames] == [0, 1, 2]
    out = np.zeros((3262, 3108), np.uint32)
    for frame in frames:
        assert (frame.shape, frame.dtype, frame.user, frame.exposure[2]) == ((3262, 3108), "uint32", b"{}", 9999900)
        with pytest.raises(BadMessage, match="can not hold"):
            wire.decode_into(frame.planes[0], out)
    assert end == SeriesEnd(6)


# ---- stream v2 ------------------------------------------------------------------------------------------------------

CONFIG2 = {"image_size_x": 16, "image_size_y": 12, "image_dtype": "uint16", "number_of_images": 12, "sensor": "CdTe"}


def read2(message):
    return stream2.read(memoryview(message))


@pytest.mark.parametrize("codec", ["", "lz4", "bslz4"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_every_image_of_stream_2_comes_back(codec, dtype):
    planes = {"threshold_1": PIXELS.astype(dtype), "threshold_2": PIXELS.astype(dtype) // 3}
    frame = read2(stream2.write_frame(5, 11, planes, codec=codec, times=(5, 7, 2), user={"a": [1, None]}))
    assert (frame.series, frame.number, frame.shape, frame.dtype) == (5, 11, (2, 12, 16), dtype)
    assert frame.channels == ("threshold_1", "threshold_2")
    assert (frame.exposure, frame.user) == ((5, 7, 2), {"a": [1, None]})
    assert np.array_equal(pixels_of(frame), np.stack(list(planes.values())))
    assert np.array_equal(pixels_of(stream2.select(frame, "threshold_2")), planes["threshold_2"])
    with pytest.raises(BadMessage, match="threshold_1, threshold_2"):
        stream2.select(frame, "difference")


def test_start_and_end_of_stream_2():
    start = read2(stream2.write_start(5, CONFIG2, channels=("threshold_1", "difference"), pixel_mask=MASK))
    assert (start.series, start.frames, start.shape, start.dtype, start.version) == (5, 12, (12, 16), "uint16", 2)
    assert start.channels == ("threshold_1", "difference")
    assert np.array_equal(wire.table(start.tables["pixel_mask/difference"]), MASK)
    assert read2(stream2.write_end(5)) == SeriesEnd(5)


@pytest.mark.parametrize("tag", sorted(cbor.TYPED))
def test_every_typed_array(tag):
    values = np.arange(6).reshape(2, 3).astype(cbor.TYPED[tag])
    payload = cbor.read(memoryview(cbor2.dumps(cbor2.CBORTag(40, [[2, 3], cbor2.CBORTag(tag, values.tobytes())]))))
    out = np.zeros((2, 3), np.dtype(cbor.TYPED[tag]).newbyteorder("="))
    wire.decode_into(payload, out)
    assert np.array_equal(out, np.arange(6).reshape(2, 3))


def test_an_array_whose_first_axis_is_fastest():
    values = np.arange(6, dtype="<u2").reshape(2, 3)
    content = [[2, 3], cbor2.CBORTag(69, values.tobytes(order="F"))]
    payload = cbor.read(memoryview(cbor2.dumps(cbor2.CBORTag(1040, content))))
    out = np.zeros((2, 3), np.uint16)
    wire.decode_into(payload, out)
    assert np.array_equal(out, values)


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(anything)
@settings(max_examples=200, deadline=None)
def test_cbor_as_cbor2_writes_it(content):
    assert cbor.read(memoryview(cbor2.dumps(content))) == content


def test_cbor_of_unknown_length_and_halves():
    assert cbor.read(memoryview(b"\x9f\x01\x02\xff")) == [1, 2]
    assert cbor.read(memoryview(b"\xbf\x61a\x01\xff")) == {"a": 1}
    assert bytes(cbor.read(memoryview(b"\x5f\x41a\x41b\xff"))) == b"ab"
    assert cbor.read(memoryview(b"\x7f\x61a\x61b\xff")) == "ab"
    assert cbor.read(memoryview(b"\xf9\x3c\x00")) == 1.0


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff",
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x5b\xff\xff\xff\xff\xff\xff\xff\xffab",
        b"\x81" * 100,
        b"\xd8\x28" * 100,
        b"\xa1\x81\x01\x02",
        b"\x1f",
        b"\xdf\x01",
        b"\xc0\xff",
        b"\x1c",
        b"\x61\xff",
        b"\x82\x01\xff",
        b"\xa1\x61a\xff",
        b"\x5f\x61a\xff",
        b"\x01\x01",
        cbor2.dumps(cbor2.CBORTag(40, [[2**15, 2**15], cbor2.CBORTag(69, b"ab")])),
        cbor2.dumps(cbor2.CBORTag(40, [[1, 2], cbor2.CBORTag(70, b"ab")])),
        cbor2.dumps(cbor2.CBORTag(40, [[1, 2], 3])),
        cbor2.dumps(cbor2.CBORTag(69, [1])),
        cbor2.dumps(cbor2.CBORTag(56500, ["zip", 2, b"abc"])),
        cbor2.dumps(cbor2.CBORTag(56500, ["bslz4", 0, b"abc"])),
        cbor2.dumps(cbor2.CBORTag(70, cbor2.CBORTag(56500, ["bslz4", 2, b"abc"]))),
    ],
    ids=lambda message: message[:12].hex() or "empty",
)
def test_what_is_no_cbor_is_told(message):
    with pytest.raises(BadMessage):
        cbor.read(memoryview(message))


@pytest.mark.parametrize(
    "content",
    [
        {"type": "image", "series_id": 1, "image_id": 2},
        {"type": "image", "series_id": 1, "image_id": 2, "data": {"a": 5}},
        {"type": "image", "series_id": 1, "image_id": 2, "data": {str(i): 1 for i in range(20)}},
    ],
)
def test_an_image_without_pixels_is_told_by_its_number(content):
    frame = read2(cbor2.dumps(content))
    assert (frame.number, bool(frame.reason)) == (2, True)


def test_what_is_no_message_of_stream_2_is_stray():
    for content in ({"type": "dance"}, [1], {"type": "image", "series_id": -1}, {"type": "end"}, 7):
        assert isinstance(read2(cbor2.dumps(content)), Stray)


# ---- any bytes ------------------------------------------------------------------------------------------------------

STREAM = [
    stream1.write_start(1, CONFIG, detail="all", tables=TABLES, appendix=b"x"),
    stream1.write_frame(1, 0, PIXELS, appendix=b"{}"),
    stream1.write_frame(1, 1, PIXELS, encoding="lz4<"),
    stream1.write_end(1),
]
STREAM2 = [
    stream2.write_start(1, CONFIG2, pixel_mask=MASK),
    stream2.write_frame(1, 3, {"threshold_1": PIXELS}),
    stream2.write_frame(1, 4, {"threshold_1": PIXELS}, codec=""),
    stream2.write_end(1),
]


def use(found):
    """Do with a message what a source does with it."""
    if isinstance(found, SeriesStart):
        assert found.frames is None or 0 < found.frames <= wire.MOST_FRAMES
        _ = found.shape, found.dtype
    if isinstance(found, Frame):
        _ = found.exposure
    if isinstance(found, Frame) and not found.reason:
        assert np.prod(found.shape, dtype=object) <= wire.LARGEST_FRAME
        try:
            wire.decode_into(found.planes[0], np.zeros((12, 16), np.uint16))
        except BadMessage:
            pass


@given(st.lists(st.lists(st.binary(max_size=80), max_size=6), max_size=6))
@settings(max_examples=200, deadline=None)
def test_any_parts(messages):
    for found in feed(*messages):
        use(found)


@given(
    st.integers(0, 3),
    st.integers(0, 9),
    st.integers(0, 2000),
    st.integers(0, 255),
    st.integers(0, 3),
    st.integers(0, 2000),
)
@settings(max_examples=120, deadline=None)
def test_stream_1_with_one_byte_changed_parts_missing_or_cut(which, part, at, value, missing, cut):
    messages = [[bytearray(one) for one in message] for message in STREAM]
    message = messages[which]
    changed = message[part % len(message)]
    if changed:
        changed[at % len(changed)] = value
        del changed[len(changed) - cut % len(changed) :]
    del message[len(message) - missing :]
    for found in feed(*messages, *STREAM):
        use(found)


@given(st.integers(0, 3), st.integers(0, 4000), st.integers(0, 255), st.integers(0, 4000))
@settings(max_examples=300, deadline=None)
def test_stream_2_with_one_byte_changed_or_cut(which, at, value, cut):
    message = bytearray(STREAM2[which])
    message[at % len(message)] = value
    use(read2(bytes(message[: len(message) - (cut % len(message) if cut > 2000 else 0)])))


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_of_stream_2(content):
    use(read2(stream2.MAGIC + content))
