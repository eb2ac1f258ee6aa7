"""Positions over real sockets on loopback: both streams, loss, disorder, late start, second capture, CurveZMQ."""

import socket
import threading
import time

import numpy as np
import pytest
import zmq

from firstlight.connectors.panda import data_port, json_stream
from firstlight.connectors.panda.source import PandaSource
from firstlight.core.chunk import Chunk, End, Gap
from firstlight.core.errors import SourceError

X, Y = "INENC2.VAL.Value", "INENC3.VAL.Value"


class Box:
    """A PandABox that publishes JSON."""

    def __init__(self, curve=None):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.PUB)
        if curve is not None:
            self.socket.curve_server = True
            self.socket.curve_publickey, self.socket.curve_secretkey = curve
        self.address = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"

    def wait(self, source):
        """Until the subscription is there: samples of a capture that nobody asks for do no harm."""
        while source._capture.averages.strays == 0:
            self.socket.send(b"{}")
            self.socket.send(json_stream.write_samples({"OTHER": np.zeros(1)}, 0, 0))
            time.sleep(0.01)

    def send(self, first, x, y, number=0):
        self.socket.send(json_stream.write_samples({X: np.asarray(x), Y: np.asarray(y)}, first, number))

    def close(self):
        self.context.destroy(linger=0)


@pytest.fixture
def box():
    made = Box()
    yield made
    made.close()


def received(source, limit=20.0):
    """Positions by (epoch, id), the gaps, and whether the end came."""
    found, gaps, ended = {}, [], False
    begun = time.monotonic()
    for item in source.items():
        assert time.monotonic() - begun < limit
        if isinstance(item, Chunk):
            found |= {(item.epoch, int(key)): tuple(place) for key, place in zip(item.ids, item.data, strict=True)}
        elif isinstance(item, Gap):
            gaps.append((item.epoch, item.first, item.last))
        ended = ended or isinstance(item, End)
    source.close()
    return found, gaps, ended


def test_positions_come_scaled_and_turned(box):
    source = PandaSource(address=box.address, x_scale=0.5, y_scale=2.0, x_direction=-1, angle=60.0, upsample=2)
    source.open()
    box.wait(source)
    box.socket.send(json_stream.write_start())
    box.send(0, [0, 2, 4], [1, 1, 3])
    box.send(3, [6], [3], 1)
    box.socket.send(json_stream.write_stop(2))
    found, gaps, ended = received(source)
    short = np.sin(np.deg2rad(60))
    assert found == {(0, 0): pytest.approx((2.0, -0.5 * short)), (0, 1): pytest.approx((6.0, -2.5 * short))}
    assert (gaps, ended) == ([], True)


def test_lost_and_swapped_messages_are_gaps_and_never_shifts(box):
    source = PandaSource(address=box.address, positions=10)
    source.open()
    box.wait(source)
    box.socket.send(json_stream.write_start())
    for first in (4, 0, 8):
        box.send(first, np.arange(first, first + 2), np.zeros(2))
    box.socket.send(json_stream.write_stop(5))
    time.sleep(0.3)
    source.stop()
    found, gaps, _ = received(source)
    assert {key[1]: place[1] for key, place in found.items()} == {0: 0, 1: 1, 4: 4, 5: 5, 8: 8, 9: 9}
    assert gaps == [(0, 2, 3), (0, 6, 7)]


def test_a_listener_that_comes_late_knows_where_it_is(box):
    source = PandaSource(address=box.address)
    source.open()
    box.wait(source)
    box.send(100, [1.0], [2.0], 100)
    box.socket.send(json_stream.write_stop(101))
    found, gaps, _ = received(source)
    assert found == {(0, 100): (2.0, 1.0)}
    assert gaps == [(0, 0, 99)]


def test_curve_keys_as_z85_or_base64():
    import base64

    from zmq.utils import z85

    public, secret = zmq.curve_keypair()
    box = Box((public, secret))
    try:
        for key in (public.decode(), base64.b64encode(z85.decode(public)).decode()):
            source = PandaSource(address=box.address, server_key=key)
            source.open()
            box.wait(source)
            box.send(0, [1.0], [2.0])
            box.socket.send(json_stream.write_stop(1))
            assert received(source)[0] == {(0, 0): (2.0, 1.0)}
    finally:
        box.close()


def test_channels_that_are_not_there_are_named(box):
    source = PandaSource(address=box.address, x_channel="NOT.HERE", timeout=0.5)
    source.open()
    box.wait(source)
    with pytest.raises(SourceError, match="channels"):
        received(source)


def test_silence_is_told():
    source = PandaSource(address="tcp://127.0.0.1:9", timeout=0.2)
    source.open()
    with pytest.raises(SourceError, match="No position came"):
        received(source)


def test_captures_follow_each_other_over_one_connection(box):
    """The second one is complete before anybody asks for it; of the third, start and stop are lost, and of a fourth the start."""
    first = PandaSource(address=box.address, window=4)
    second = first.follower()
    first.open()
    box.wait(first)
    assert not second.begun(0.0)
    for values in ([1.0, 2.0], [3.0]):
        box.socket.send(json_stream.write_start())
        box.send(0, values, values)
        box.socket.send(json_stream.write_stop(1))
    assert received(first) == ({(0, 0): (1.0, 1.0), (0, 1): (2.0, 2.0)}, [], True)
    assert second.begun(10.0)
    third = second.follower()
    second.open()
    assert received(second) == ({(0, 0): (3.0, 3.0)}, [], True)
    third.open()  # before it has begun
    box.send(0, range(8), range(8))
    box.send(9, [9.0], [9.0], 2)
    fourth = third.follower()
    box.send(0, [5.0], [5.0])
    found, gaps, _ = received(third)
    assert ([key for _, key in found], gaps) == ([*range(8), 9], [(0, 8, 8)])
    fourth.open()
    box.socket.send(json_stream.write_stop(1))
    assert received(fourth) == ({(0, 0): (5.0, 5.0)}, [], True)


def test_the_data_port():
    fields = [
        data_port.Field("INENC2.VAL", "Value", "int32", 0.1),
        data_port.Field("INENC3.VAL", "Value", "int32", 0.2),
    ]
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            peer, _ = server.accept()
            with peer:
                asked.append(peer.recv(100))
                peer.sendall(b"OK\n" + data_port.write_header(fields))
                peer.sendall(data_port.write_block(fields, [np.array([10, 20]), np.array([5, 10])]))
                peer.sendall(data_port.write_block(fields, [np.array([30]), np.array([15])]) + data_port.write_end(3))
                again = data_port.write_block(fields, [np.array([70]), np.array([35])])
                peer.sendall(data_port.write_header(fields) + again + data_port.write_end(1))

        thread = threading.Thread(target=serve)
        thread.start()
        source = PandaSource(address=f"panda://127.0.0.1:{server.getsockname()[1]}")
        following = source.follower()
        source.open()
        found, gaps, _ = received(source)
        assert following.begun(10.0)
        last = following.follower()
        following.open()
        assert received(following) == ({(0, 0): pytest.approx((7.0, 7.0))}, [], True)
        thread.join()
        last.open()
        with pytest.raises(SourceError, match="closed the connection"):
            received(last)
    assert asked == [data_port.REQUEST]
    assert found == {(0, k): pytest.approx((k + 1.0, k + 1.0)) for k in range(3)}
    assert gaps == []


def test_a_port_where_nobody_listens_is_told_at_once():
    with pytest.raises(SourceError, match="can not be reached"):
        PandaSource(address="panda://127.0.0.1:9").open()
