"""Frames that are found many at once are those that are read one by one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.connectors.merlin.pieces import Alike, Pieces
from firstlight.connectors.merlin.wire import BadMessage, message, read_format, read_frame, split, write_frame

SHAPE = (2, 3)


def pixels(number):
    return np.full(SHAPE, number % 4096, np.uint16)


def learnt():
    first = write_frame(0, pixels(0))
    return read_format(memoryview(first)), Alike.of(read_format(memoryview(first)), read_frame(memoryview(first)))


@st.composite
def messages(draw):
    """A frame, or something that is none: another number, another look, a header, a byte changed, or cut off."""
    number = draw(st.one_of(st.integers(0, 30), st.integers(999_990, 2**36)))
    frame = write_frame(number, pixels(number))
    kind = draw(st.sampled_from(["whole"] * 6 + ["arranged", "odd", "cut", "changed", "header"]))
    if kind == "arranged":
        frame = write_frame(number, pixels(number), arrangement="1x2")
    elif kind == "odd":
        frame = b"MQ1,x" + frame[5:]
    elif kind == "cut":
        frame = frame[: draw(st.integers(1, len(frame) - 1))]
    elif kind == "changed":
        where = draw(st.integers(0, 60))
        frame = frame[:where] + bytes([draw(st.integers(0, 255))]) + frame[where + 1 :]
    elif kind == "header":
        frame = b"HDR,\t\r\nEnd"
    return message(frame)


@given(st.lists(messages(), max_size=8), st.integers(0, 400), st.sampled_from([range(2**40), range(5, 1_000_000)]))
@settings(max_examples=150, deadline=None)
def test_what_is_found_together_is_what_is_read_one_by_one(sent, cut, allowed):
    like, alike = learnt()
    stream = b"".join(sent)
    end = max(0, len(stream) - cut)
    memory = np.array(bytearray(stream), np.uint8)
    numbers, begins = alike.find(memory, 0, end, allowed)
    at, look = 0, bytes(alike.look)
    expected = []
    while (found := split(memory.data[at:end])).payload is not None:
        try:
            header = read_frame(found.payload)
        except BadMessage:
            break
        other = header.look != look or len(found.payload) != like.nbytes or header.number not in allowed
        if other or found.used != 15 + like.nbytes:
            break
        expected.append((header.number, at + 15))
        at += found.used
    assert list(zip(numbers.tolist(), begins.tolist(), strict=True)) == expected
    out = np.zeros((len(numbers), *SHAPE), np.uint16)
    pieces = Pieces(like, memory, begins)
    assert pieces.part(0, 99).decode(out) == [None] * len(numbers)
    damaged = [
        n for n, at in enumerate(begins.tolist()) if bytes(memory[at:][: like.nbytes]) not in map(_whole, numbers)
    ]
    assert all(n in damaged or (out[n] == number % 4096).all() for n, number in enumerate(numbers.tolist()))


def _whole(number):
    return write_frame(int(number), pixels(int(number)))


def test_numbers_of_more_than_six_digits_look_like_the_others():
    """A scan of 1024 x 1024 points has frames beyond 999 999."""
    looks = {
        read_frame(memoryview(write_frame(number, pixels(number)))).look for number in (0, 999_998, 999_999, 10**7)
    }
    assert len(looks) == 1


def test_a_frame_whose_header_is_cut_off_is_not_found():
    _, alike = learnt()
    memory = np.array(bytearray(message(b"MQ1,000001,")), np.uint8)
    numbers, _ = alike._replace(length=11).find(memory, 0, len(memory), range(10))
    assert len(numbers) == 0
