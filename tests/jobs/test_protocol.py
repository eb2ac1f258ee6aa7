import enum
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.jobs import protocol
from firstlight.jobs.protocol import (
    DTYPES,
    LARGEST_ARRAY,
    Decoder,
    Message,
    ProtocolError,
    array_fields,
    array_of,
    encode,
    plain,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
MESSAGES = st.builds(
    Message,
    st.dictionaries(st.text(max_size=8).filter(lambda name: name != "bytes"), VALUES, max_size=4),
    st.binary(max_size=300),
)


def joined(messages):
    return b"".join(bytes(part) for message in messages for part in encode(message))


def same(found, sent):
    head = {name: value for name, value in found.head.items() if name != "bytes"}
    return head == dict(sent.head) and bytes(found.payload) == bytes(sent.payload)


@given(st.lists(MESSAGES, max_size=4), st.lists(st.integers(1, 400), min_size=1, max_size=6))
def test_any_split_gives_the_same_messages(messages, pieces):
    data, decoder, found, at, turn = joined(messages), Decoder(), [], 0, 0
    while at < len(data):
        size = pieces[turn % len(pieces)]
        found += decoder.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    assert len(found) == len(messages)
    assert all(same(*pair) for pair in zip(found, messages, strict=True))
    assert decoder.idle


@given(st.lists(MESSAGES, max_size=4), st.lists(st.integers(1, 400), min_size=1, max_size=6))
def test_receiving_into_room_gives_the_same_messages(messages, pieces):
    data, decoder, found, at, turn = joined(messages), Decoder(), [], 0, 0
    while at < len(data):
        room = decoder.room()
        size = min(pieces[turn % len(pieces)], len(room), len(data) - at)
        room[:size] = data[at : at + size]
        found += decoder.filled(size)
        at, turn = at + size, turn + 1
    assert all(same(*pair) for pair in zip(found, messages, strict=True))


@given(st.binary(max_size=400))
def test_rubbish_is_refused_or_waited_for(data):
    try:
        Decoder().feed(data)
    except ProtocolError:
        pass


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"3", b"[]", b'{"bytes": -1}', b'{"bytes": "9"}', b'{"bytes": true}', b'{"bytes": 1.5}', b"\xff\xfe", b"[" * 100000,
     b'{"bytes": 1000000000000000}', b'{"bytes": %d}' % (LARGEST_ARRAY + 1)],
)  # fmt: skip
def test_bad_heads(line):
    with pytest.raises(ProtocolError):
        Decoder().feed(line + b"\n")


def test_an_endless_line_is_refused_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr(protocol, "LONGEST_LINE", 1000)
    decoder = Decoder()
    for _ in range(3):
        assert decoder.feed(b"x" * 300) == []
    with pytest.raises(ProtocolError, match="too long"):
        decoder.feed(b"x" * 300)
    with pytest.raises(ProtocolError, match="too long"):
        encode(Message({"text": "x" * 2000}))


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_arrays_of_every_type(dtype):
    array = (np.arange(24) % 2).astype(dtype).reshape(2, 3, 4)[:, ::2]
    fields, payload = array_fields(array)
    back = array_of(json.loads(json.dumps(fields)), bytes(payload))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_big_endian_and_empty_arrays():
    fields, payload = array_fields(np.arange(4, dtype=">u2"))
    np.testing.assert_array_equal(array_of(fields, payload), [0, 1, 2, 3])
    fields, payload = array_fields(np.zeros((0, 3), np.float32))
    assert array_of(fields, payload).shape == (0, 3)


@pytest.mark.parametrize(
    "fields",
    [{}, {"dtype": "O8", "shape": [1]}, {"dtype": "f4", "shape": [2]}, {"dtype": "f4", "shape": [-1]}, {"dtype": "f4", "shape": [True]},
     {"dtype": "f4", "shape": [2**62, 2**62, 4]}, {"dtype": "f4", "shape": "1"}, {"dtype": 4, "shape": [1]}, {"dtype": "f4", "shape": [1] * 40}],
)  # fmt: skip
def test_arrays_that_do_not_fit(fields):
    with pytest.raises(ProtocolError):
        array_of(fields, b"1234")


def test_objects_are_never_sent():
    with pytest.raises(ProtocolError, match="numbers"):
        array_fields(np.array([object()]))


def test_plain_values():
    class Colour(enum.StrEnum):
        RED = "red"

    given = {
        "a": np.float32(1.5),
        "b": np.arange(3),
        "c": (1, {2}),
        "d": math.inf,
        "e": Path("x"),
        "f": np.bool_(True),
        3: Colour.RED,
        "g": np.nan,
    }
    assert plain(given, nan=False) == {
        "a": 1.5,
        "b": [0, 1, 2],
        "c": [1, [2]],
        "d": None,
        "e": "x",
        "f": True,
        "3": "red",
        "g": None,
    }
    assert plain(math.inf) == math.inf
