"""Messages taken out of libzmq by compiled code are what was sent; frames taken together are those that are read one by one."""

import json
import random
import threading
import time

import numpy as np
import pytest
import zmq
from detectors import Detector, Reader, at
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.connectors.dectris import connection, intake, stream1, usual
from firstlight.connectors.dectris.pieces import Pieces, usual_of
from firstlight.connectors.dectris.stream1 import Parts
from firstlight.connectors.dectris.wire import payload_of

SPACE = st.sampled_from(["", " ", "\n\t", "x"])


@pytest.fixture
def sockets():
    context = zmq.Context()
    push, pull = context.socket(zmq.PUSH), context.socket(zmq.PULL)
    pull.setsockopt(zmq.RCVTIMEO, 20)
    pull.connect(f"tcp://127.0.0.1:{push.bind_to_random_port('tcp://127.0.0.1')}")
    yield push, pull
    context.destroy(linger=0)


def read(one, count):
    """So many messages, or fewer if they do not come."""
    found, end = [], time.monotonic() + 20
    while len(found) < count and time.monotonic() < end:
        messages = one.take()
        if messages is not None:
            found += [[bytes(part) for part in messages.message(n)] for n in range(len(messages))]
    one.close()
    return found


def test_messages_of_every_size_come_whole_and_in_order(sockets, monkeypatch):
    monkeypatch.setattr(intake, "_TEXT_BYTES", 3000)
    monkeypatch.setattr(intake, "_PIXEL_BYTES", 5000)
    drawn = random.Random(3)
    sizes = [0, 1, 90, 700, 2900, 3000, 5000, 20_000]
    counts = [1, 2, 3, 4, 5, intake.MOST_PARTS + 3]
    sent = [[drawn.randbytes(drawn.choice(sizes)) for _ in range(drawn.choice(counts))] for _ in range(300)]
    push, pull = sockets
    thread = threading.Thread(target=lambda: [push.send_multipart(parts) for parts in sent])
    thread.start()
    found = read(intake.intake_for(pull), len(sent))
    thread.join(10)
    assert found == [parts[: intake.MOST_PARTS] for parts in sent]


def test_nothing_and_a_closed_socket(sockets):
    _, pull = sockets
    one = intake.intake_for(pull)
    assert one.take() is None
    assert (one.drained, one.unfinished) == (True, False)
    pull.close()
    with pytest.raises(zmq.ZMQError):
        one.take()


@st.composite
def first_parts(draw):
    """First parts that differ here and there from what was learnt: by number, hash, spaces, series, a byte."""
    number = draw(st.one_of(st.integers(0, 2**40), st.sampled_from(["007", "-1", "1.0", "", "1e3"])))
    text = draw(st.text(alphabet=st.characters(max_codepoint=300), max_size=9))
    hashed = draw(st.sampled_from([f', "hash": "{text}"', f', "hash": {json.dumps(text)}', "", ', "hash": 3']))
    end = draw(st.sampled_from(["}", "}", "} ", "}}", ""]))
    series = draw(st.sampled_from([7, 7, 7, 8]))
    body = f'{{"htype": "dimage-1.0", "series": {series}, "frame": {number}{hashed}{end}'.encode()
    if draw(st.integers(0, 5)) == 0:
        where = draw(st.integers(0, len(body) - 1))
        body = body[:where] + bytes([draw(st.integers(0, 255))]) + body[where + 1 :]
    return body


@st.composite
def second_parts(draw):
    s = [draw(SPACE) for _ in range(3)]
    size = draw(st.one_of(st.integers(0, 2**70), st.sampled_from(["01", "x", "", "-1"])))
    kind = draw(st.sampled_from(["uint16", "uint16", "uint32"]))
    shape = '{"htype": "dimage_d-1.0", "shape": [6, 4], "type": "' + kind + '", "encoding": "<", "size":'
    return f"{shape}{s[0]}{size}{s[1]}}}{s[2]}".encode()


LEARNT = {
    "hashed": b'{"htype": "dimage-1.0", "series": 7, "frame": 12, "hash": "abc"}',
    "plain": b'{"htype": "dimage-1.0", "series": 7, "frame": 0}',
}
DESCRIBED = b'{"htype": "dimage_d-1.0", "shape": [6, 4], "type": "uint16", "encoding": "<", "size": 48}'


@given(
    st.sampled_from(list(LEARNT.values())), st.lists(st.tuples(first_parts(), second_parts()), min_size=1, max_size=6)
)
@settings(max_examples=120, deadline=None)
def test_what_is_alike_is_read_as_the_reader_of_single_frames_reads_it(learnt, frames):
    like = usual.alike([memoryview(part) for part in (learnt, DESCRIBED, b"", b"{}")])
    texts = b"".join(first + second for first, second in frames)
    ends = np.cumsum([len(part) for frame in frames for part in (*frame, b"", b"")])
    parts = np.stack([np.r_[0, ends[:-1]], ends], axis=1)
    numbers = usual.numbers_of(np.array(bytearray(texts), np.uint8), parts, np.arange(0, len(parts) + 1, 4), like)
    for number, (first, second) in zip(numbers.tolist(), frames, strict=True):
        if number >= 0:
            assert usual.image_of(memoryview(first)) == (7, number)
            assert usual.description_of(memoryview(second)) == usual.description_of(memoryview(DESCRIBED))
    # and what differs in nothing but number and hash is found
    same = learnt.replace(b"12", b"4294967295").replace(b"abc", b"0f") + DESCRIBED
    cut = len(same) - len(DESCRIBED)
    rows = np.array([[0, cut], [cut, len(same)], [0, 0]])
    told = 4294967295 if b"12" in learnt else 0
    assert usual.numbers_of(np.array(bytearray(same), np.uint8), rows, np.array([0, 3]), like).tolist() == [told]


def test_frames_that_can_not_be_usual():
    pixels = np.zeros((4, 6), np.uint16)
    whole = [memoryview(part) for part in stream1.write_frame(7, 1, pixels)]
    (frame,) = Parts().feed(whole)
    assert usual_of(whole, frame).frame.series == 7
    assert usual_of(whole[:1], frame) is None
    assert usual_of(whole, frame._replace(reason="cut off")) is None
    assert usual_of([memoryview(b'{"frame": 1}'), *whole[1:]], frame) is None


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("encoding", ["bs16-lz4<", "lz4<", "<", ">"])
def test_faults_among_frames_that_are_taken_together(monkeypatch, compiled, encoding):
    """Damaged, foreign, late, double and lost frames, and bytes without meaning: what is taken and counted is the same either way."""
    monkeypatch.setattr(connection, "_AT_ONCE", 1)  # the second frame is the first to be taken together with others
    if not compiled:
        monkeypatch.setattr(connection, "intake_for", lambda socket: None)
    with Detector() as detector:
        reader = Reader(detector.source(window=5, scan_y=3, scan_x=10))
        detector.begin(30)
        detector.frames(*range(4), encoding=encoding)
        parts = stream1.write_frame(1, 4, np.full((5, 7), 4, np.uint16), encoding=encoding)
        detector.send([parts[0], parts[1], parts[2][: len(parts[2]) // 2], parts[3]])
        detector.send([b"\x00garbage", b"{}"])
        detector.frames(5, 7, 6, 6, encoding=encoding)
        detector.frames(8, series=99, encoding=encoding)
        detector.frames(8, shape=(6, 7), encoding=encoding)
        detector.frames(9, 10, encoding=encoding, appendix=b"mine")
        detector.frames(*range(12, 30), encoding=encoding)
        detector.end()
        reader.finish().right()
    good = [n for n in range(30) if n not in (4, 8, 11)]
    assert reader.places() == at(*good)
    gaps = {kind: sorted((g.first, g.last) for g in reader.gaps(kind)) for kind in ("rejected", "lost")}
    assert gaps == {"rejected": [(4, 4), (8, 8)], "lost": [(11, 11)]}


def test_plain_pixels_are_handed_on_where_they_lie(monkeypatch):
    """Frames of 128 byte lie side by side in memory: none of them is copied, and each chunk holds those of one memory."""
    monkeypatch.setattr(connection, "_AT_ONCE", 1)
    monkeypatch.setattr(intake, "_PIXEL_BYTES", 1000)
    copied = []
    monkeypatch.setattr(Pieces, "decode", lambda self, out: copied.append(len(self)))
    with Detector() as detector:
        reader = Reader(detector.source())
        detector.begin(300, shape=(8, 8))
        detector.frames(0, shape=(8, 8), encoding="<")
        time.sleep(0.05)
        detector.frames(*range(1, 300), shape=(8, 8), encoding="<")
        detector.end()
        reader.finish().right()
    assert reader.places() == at(*range(300))
    assert copied == []
    assert 1 < max(map(len, reader.chunks())) <= 7


def test_what_lies_side_by_side():
    memory = np.arange(400, dtype=np.uint8)
    begins = np.array([0, 100, 200])
    like = payload_of(memoryview(b""), [10, 5], "uint16", "<")
    three = Pieces(like, memory, begins, begins + 100)
    assert np.array_equal(three.ready(), memory[:300])
    last = Pieces(like, memory, begins[:1] + 300, begins[:1] + 400)
    assert np.array_equal(three.joined(last).ready(), memory)
    assert three.part(0, 2).joined(last) is None
    assert three.joined(Pieces(like, memory.copy(), last.begins, last.ends)) is None
    assert Pieces(like, memory, begins, begins + 98).ready() is None
    assert Pieces(like._replace(dtype=">u2"), memory, begins, begins + 100).ready() is None
    packed = Pieces(like._replace(codec="bslz4"), memory, begins, begins + 70)
    assert packed.ready() is None
    assert len(packed.joined(packed)) == 6
