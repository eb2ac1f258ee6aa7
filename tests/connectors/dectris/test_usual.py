"""The quick reader of a frame's JSON says what the JSON parser says, or nothing."""

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.connectors.dectris import stream1, usual
from firstlight.connectors.dectris.stream1 import Parts

WHOLE = st.integers(-3, 2**66)
ODD = st.one_of(WHOLE, st.floats(), st.text(max_size=5), st.none(), st.booleans())
SPACE = st.sampled_from(["", " ", "\t", "\n ", "\v", "\xa0"])


@st.composite
def written(draw, **fields):
    """JSON of an object as many programs might write it, sometimes cut or with a byte changed."""
    names = draw(st.one_of(st.just(list(fields)), st.permutations(list(fields))))
    kept = names[: draw(st.integers(1, len(names)))] if draw(st.booleans()) else names
    s = [draw(SPACE) for _ in range(4)]
    inner = f"{s[1]},{s[2]}".join(f'"{name}"{s[3]}:{s[0]}{json.dumps(draw(fields[name]))}' for name in kept)
    text = bytearray(f"{s[2]}{{{s[0]}{inner}{s[1]}}}{s[3]}".encode())
    if draw(st.integers(0, 4)) == 0:
        text[draw(st.integers(0, len(text) - 1))] = draw(st.integers(0, 255))
    return bytes(text)


IMAGE = written(
    htype=st.sampled_from(["dimage-1.0", "dimage-1.0", "dimage_d-1.0", "x"]),
    series=st.one_of(WHOLE, ODD),
    frame=st.one_of(WHOLE, ODD),
    hash=st.one_of(st.text("0123456789abcdef", max_size=32), st.text(max_size=9)),
)
DESCRIPTION = written(
    htype=st.just("dimage_d-1.0"),
    shape=st.lists(st.integers(1, 9), min_size=2, max_size=3),
    type=st.sampled_from(["uint8", "uint16", "uint32"]),
    encoding=st.sampled_from(["bs16-lz4<", "lz4<", "<", "a{b", 'a"size":3}']),
    size=st.one_of(WHOLE, ODD),
)


def parsed(text):
    try:
        return json.loads(text)
    except ValueError:
        return None


@given(IMAGE)
@settings(max_examples=200, deadline=None)
def test_an_image_is_read_as_the_parser_reads_it_or_left_to_it(text):
    found = usual.image_of(memoryview(text))
    if found is not None:
        told = parsed(text.decode("utf-8"))
        assert told is not None
        assert told["htype"] == "dimage-1.0"
        assert set(told) <= {"htype", "series", "frame", "hash"}
        assert (told["series"], told["frame"]) == found


@given(DESCRIPTION, DESCRIPTION)
@settings(max_examples=200, deadline=None)
def test_descriptions_that_look_alike_differ_in_their_size_alone(one, other):
    shown = [usual.description_of(memoryview(text)) for text in (one, other)]
    again = usual.description_of(memoryview((shown[0] or b"") + b" 77 }"))
    assert again == shown[0]
    told = [parsed(text.decode("utf-8", "replace")) for text in (one, other)]
    if shown[0] is not None and shown[0] == shown[1]:
        for each in told:
            if each is not None:
                each.pop("size")
        assert told[0] == told[1]


@given(st.lists(st.tuples(IMAGE, DESCRIPTION), min_size=1, max_size=4))
@settings(max_examples=80, deadline=None)
def test_messages_are_the_same_without_the_quick_reader(frames):
    blob = bytes(8)
    quick, slow = Parts(), Parts()
    for first, second in frames:
        parts = [memoryview(part) for part in (first, second, blob, b"{}")]
        found = quick.feed(parts)
        with_parser = _without_quick_reader(slow, parts)
        assert [_shown(message) for message in found] == [_shown(message) for message in with_parser]


def test_what_detectors_write_is_read_quickly():
    first, second, *_ = stream1.write_frame(7, 4095, np.zeros((4, 6), np.uint16))
    assert usual.image_of(memoryview(first)) == (7, 4095)
    assert usual.description_of(memoryview(second)) is not None
    # without spaces, and without a hash
    assert usual.image_of(memoryview(b'{"htype":"dimage-1.0","series":1,"frame":0}')) == (1, 0)


def _without_quick_reader(reader, parts):
    kept = stream1.image_of, stream1.description_of
    stream1.image_of = stream1.description_of = lambda part: None
    try:
        return reader.feed(parts)
    finally:
        stream1.image_of, stream1.description_of = kept


def _shown(message):
    return message._replace(times=None) if isinstance(message, tuple) else message
