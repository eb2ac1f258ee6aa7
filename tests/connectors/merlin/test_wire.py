"""Merlin's messages, headers and pixels: written and read back, cut anywhere, and any bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.connectors.merlin import wire
from firstlight.connectors.merlin.wire import BadMessage

PIXELS = np.random.default_rng(3).poisson(5, (12, 16)).astype(np.uint16)


def messages(data, step=None):
    """All payloads of a stream that arrives in pieces of `step` bytes."""
    found, buffer, at = [], b"", 0
    while at < len(data):
        buffer += data[at : at + (step or len(data))]
        at += step or len(data)
        while True:
            one = wire.split(memoryview(buffer))
            assert one.used <= len(buffer)
            buffer = buffer[one.used :]
            if one.payload is None:
                break
            found.append(bytes(one.payload))
    return found


@pytest.mark.parametrize("step", [1, 2, 3, 7, 15, 16, 44, 500, None])
def test_a_stream_in_pieces_of_any_size(step):
    payloads = [b"HDR,\tx", b"MQ1,000001,", b"M", b"MPX,PX,MPX" * 9, bytes(3000)]
    assert messages(b"".join(map(wire.message, payloads)), step) == payloads


@pytest.mark.parametrize(
    "junk", [b"\0\1\2", b"MPX,", b"MPX,12345", b"MPX,00000000x1,", b"MPX,0000000000,", b"MPX,9999999999,"]
)
def test_junk_is_passed_over(junk):
    assert messages(junk + wire.message(b"hello")) == [b"hello"]


def test_a_length_that_lies_asks_for_no_more_than_the_largest_message():
    assert wire.split(memoryview(b"MPX,%010d," % (wire.LARGEST + 1))).needed == wire.LARGEST + wire.PREFIX
    assert wire.split(memoryview(b"MPX,%010d," % (wire.LARGEST + 2))).needed == wire.PREFIX


@given(st.binary(max_size=200), st.integers(1, 20))
@settings(max_examples=200, deadline=None)
def test_any_bytes_in_pieces(data, step):
    messages(data, step)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
@pytest.mark.parametrize(
    ("arrangement", "shape"), [("1x1", (12, 16)), ("2x2", (8, 10)), ("2x2G", (10, 10)), ("Nx1", (4, 1024))]
)
def test_processed_frames_come_back(dtype, arrangement, shape):
    pixels = np.random.default_rng(1).integers(0, np.iinfo(dtype).max, shape, dtype)
    payload = memoryview(wire.write_frame(41, pixels, arrangement=arrangement, depth=24))
    header, like = wire.read_frame(payload), wire.read_format(payload)
    assert header.number == 41
    assert (like.shape, like.dtype, like.arrangement, like.depth, like.nbytes) == (
        shape,
        dtype,
        arrangement,
        24,
        len(payload),
    )
    out = np.zeros(like.shape, like.dtype)
    wire.decode_into(like, payload, out)
    assert np.array_equal(out, pixels)


def raw(depth, arrangement="1x1", width=256, height=256, extension=True):
    chips = 4 if arrangement.startswith("2x2") else 1
    head = f"MQ1,000001,00384,{chips:02d},{width:04d},{height:04d},R64,{arrangement:>6},01,t,0.1,0,0,0,,,,,,,,,"
    head += f"MQ1A,2020-05-18T14:51:49.971626178Z,555000ns,{depth}," if extension else ""
    return head.encode().ljust(384, b"\0")


@pytest.mark.parametrize(
    ("depth", "size", "dtype"),
    [(1, 8192, "uint8"), (6, 65536, "uint8"), (12, 131072, "uint16"), (24, 262144, "uint32")],
)
def test_raw_frames_of_one_chip(depth, size, dtype):
    like = wire.read_format(memoryview(raw(depth)))
    assert (like.shape, like.dtype, like.nbytes) == ((256, 256), dtype, 384 + size)
    out = np.ones(like.shape, like.dtype)
    wire.decode_into(like, memoryview(raw(depth) + bytes(size)), out)
    assert not out.any()
    with pytest.raises(BadMessage, match="cut off"):
        wire.decode_into(like, memoryview(raw(depth) + bytes(size - 1)), out)


@pytest.mark.parametrize(("arrangement", "shape"), [("2x2", (512, 512)), ("2x2G", (514, 514))])
def test_raw_frames_of_four_chips(arrangement, shape):
    assert wire.read_format(memoryview(raw(12, arrangement, 1024))).shape == shape


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (raw(12, "Nx1", 1024), "arrangement"),
        (raw(12, "2x2", 512), "arrangement"),
        (raw(7), "depth"),
        (raw(12, extension=False), "depth"),
        (raw(12, width=0), "size"),
        (raw(12).replace(b"R64", b"F32"), "type"),
        (raw(12).replace(b"00384", b"99999"), "size"),
        (b"MQ1,000001,00384", "no frame"),
        (b"HDR,", "no frame"),
        (b"", "no frame"),
    ],
)
def test_what_can_not_be_read_is_told(payload, expected):
    with pytest.raises(BadMessage, match=expected):
        wire.read_format(memoryview(payload))


@pytest.mark.parametrize("payload", [b"", b"MQ1,", b"MQ1,xx,", b"MQ1,000000,1", b"MQ2,000001,1"])
def test_what_is_no_frame_has_no_number(payload):
    with pytest.raises(BadMessage, match="no frame"):
        wire.read_frame(memoryview(payload))


def test_more_than_six_digits():
    assert wire.read_frame(memoryview(wire.write_frame(1_234_567, PIXELS))).number == 1_234_567


def test_headers_of_acquisitions():
    written = wire.write_start(
        {wire.FRAMES: 12, wire.PER_TRIGGER: 4, "ScanX": 4, "ScanY": 3, "Temperature": "20 µC: x"}
    )
    start = wire.read_start(memoryview(written))
    assert (len(written), start.frames, start.per_trigger, start.scan) == (2048, 12, 4, (3, 4))
    assert start.values["Temperature"] == "20 µC: x"
    assert wire.read_start(wire.write_start({wire.FRAMES: 0})).frames is None
    assert wire.read_start(wire.write_start({wire.FRAMES: 12, "ScanX": 5, "ScanY": 3})).scan is None
    with pytest.raises(BadMessage):
        wire.read_start(b"MQ1,")


def test_a_real_header(recordings):
    start = wire.read_start((recordings / "001_4x2_6bit.hdr").read_bytes())
    assert (start.frames, start.per_trigger, start.values["Counter Depth (number)"]) == (8, 1, "6")


@given(st.integers(0, 400), st.integers(0, 255), st.integers(0, 500))
@settings(max_examples=300, deadline=None)
def test_a_frame_with_one_byte_changed_or_cut(at, value, cut):
    payload = bytearray(wire.write_frame(3, PIXELS))
    payload[at % len(payload)] = value
    view = memoryview(bytes(payload[: len(payload) - cut]))
    try:
        wire.read_frame(view)
        like = wire.read_format(view)
        if np.prod(like.shape) < 1e5:
            wire.decode_into(like, view, np.zeros(like.shape, like.dtype))
    except BadMessage:
        pass


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_header(content):
    for head in (b"HDR,", b"MQ1,"):
        for read in (wire.read_start, wire.read_frame, wire.read_format):
            try:
                read(memoryview(head + content))
            except BadMessage:
                pass
