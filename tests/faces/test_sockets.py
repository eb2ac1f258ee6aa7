import contextlib
import json
import time
from io import BytesIO

import anyio
import numpy as np
import pytest
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from websockets.exceptions import ConnectionClosed

from firstlight.faces.rest.pieces import PIECE
from firstlight.faces.rest.sockets.talk import converse

pytestmark = pytest.mark.timeout(90)


def read_image(message):
    size = int.from_bytes(message[:4], "little")
    return json.loads(message[4 : 4 + size]), message[4 + size :]


def ask(socket, width=32, height=24, **more):
    socket.send(json.dumps({"token": None, "width": width, "height": height, "region": None, **more}))


def test_images_come_scaled_and_newest_first(service):
    run = service.start(frames=None, rate=100)
    with service.socket(f"/runs/{run}/views/slices.xy") as socket:
        asked = time.time()
        ask(socket)
        header, pixels = read_image(socket.recv())
        assert header["shape"] == [24, 32]
        assert header["full_shape"] == [48, 64]
        assert header["region"] == [0, 48, 0, 64]
        assert header["axes"] == ["y", "x"]
        assert (header["unit"], header["pixel_size"], header["pixel_unit"]) == ("1/cm", [0.65, 0.65], "um")
        assert header["coverage"] == 0.5
        assert asked <= header["sent"] <= time.time()
        assert len(header["histogram"]["counts"]) == 128
        image = np.frombuffer(pixels, "<f4").reshape(header["shape"])
        assert image[0, 0] == pytest.approx(np.mean([0, 1, 64, 65]) + 5000)
        # nothing comes before it is acknowledged, and then the newest, not the next
        service.until(run, lambda found: found["counts"]["done"] >= header["version"] + 30)
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.05)
        socket.send(json.dumps({"ack": header["version"]}))
        later, _ = read_image(socket.recv())
        assert later["version"] > header["version"] + 20
        socket.send(json.dumps({"ack": later["version"] - 1}))  # not the one on its way
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.3)


def test_another_viewport_gives_another_image_at_once(service):
    run = service.start(frames=1)
    service.wait_for(run, "done")
    with service.socket(f"/runs/{run}/views/slices.xy") as socket:
        ask(socket)
        header, _ = read_image(socket.recv())
        socket.send(json.dumps({"ack": header["version"]}))
        with pytest.raises(TimeoutError):  # the run is over: nothing new will come
            socket.recv(timeout=0.5)
        ask(socket, 100, 100, region=[0, 10, 0, 20])
        header, pixels = read_image(socket.recv())
        assert header["shape"] == [10, 20]
        socket.send(json.dumps({"ack": header["version"]}))
        ask(socket, 100, 100, region=[0, 10, 0, 20], half=True)
        header, pixels = read_image(socket.recv())
        assert header["dtype"] == "float16"
        assert len(pixels) == 400


def test_a_large_image_leaves_in_pieces_that_make_one_message(service):
    """A loop that hands 4 MB to the system at once answers nobody for tens of milliseconds."""
    run = service.start(frames=1, size=(1024, 1024))
    service.wait_for(run, "done")
    with service.socket(f"/runs/{run}/views/slices.xy") as socket:
        ask(socket, 1024, 1024)
        pieces = list(socket.recv_streaming())
        assert len(pieces) > 10
        assert max(map(len, pieces)) <= PIECE
        header, pixels = read_image(b"".join(pieces))
        assert len(pixels) == 4 * 1024 * 1024
        whole = np.frombuffer(pixels, "<f4").reshape(header["shape"])
        assert np.array_equal(whole, np.load(BytesIO(service.http.get(f"/runs/{run}/views/slices.xy.npy").content)))
        socket.send(json.dumps({"ack": header["version"]}))
        ask(socket)  # the next message is one again
        assert read_image(socket.recv())[0]["shape"] == [24, 32]


def test_lines_are_sent_as_lines(endless):
    with endless.socket(f"/runs/{endless.run}/views/profile") as socket:
        ask(socket)
        header, pixels = read_image(socket.recv())
        assert (header["shape"], len(pixels)) == ([64], 256)


@pytest.mark.parametrize(
    "message",
    [
        "{",
        "[]",
        "3",
        "null",
        '{"width": 0}',
        '{"width": "x", "height": 3}',
        '{"region": [1]}',
        b"\x00\xff",
        '{"width": 1e999}',
        "[" * 5000,
        "",
    ],
)
def test_messages_that_make_no_sense_are_answered_and_survived(endless, message):
    with endless.socket(f"/runs/{endless.run}/views/slices.xy") as socket:
        socket.send(message)
        answer = json.loads(socket.recv())
        assert answer["error"]["message"]
        ask(socket)
        assert read_image(socket.recv())[0]["view"] == "slices.xy"


def test_too_many_or_too_long_messages_end_the_connection(endless):
    with endless.socket(f"/runs/{endless.run}/views/slices.xy") as socket:
        for _ in range(30):
            try:
                socket.send("{")
            except ConnectionClosed:
                break
        with contextlib.suppress(ConnectionClosed):
            for _ in range(40):
                socket.recv()
        with pytest.raises(ConnectionClosed):
            socket.recv()
    with endless.socket(f"/runs/{endless.run}/views/slices.xy") as socket:
        socket.send("x" * 100_000)
        with pytest.raises(ConnectionClosed):
            socket.recv()
    assert endless.http.get("/health").status_code == 200


def test_a_client_that_goes_while_it_is_sent_something_leaves_no_error():
    async def talk():
        gone = anyio.Event()

        async def receive():
            await gone.wait()
            return {"type": "websocket.disconnect", "code": 1001}

        async def nowhere(message):
            pass

        async def answer():
            gone.set()
            raise WebSocketDisconnect(1006)  # what starlette raises where the connection is closing

        socket = WebSocket({"type": "websocket", "path": "/", "headers": []}, receive, nowhere)
        socket.client_state = WebSocketState.CONNECTED
        with anyio.fail_after(60):
            await converse(socket, answer, lambda message: None)

    anyio.run(talk)


@pytest.mark.parametrize("path", ["/runs/nothing/views/a", "/runs/nothing/events", "/runs/{}/views/nothing"])
def test_unknown_runs_and_views(endless, path):
    with endless.socket(path.format(endless.run)) as socket:
        with contextlib.suppress(ConnectionClosed):
            ask(socket)
        assert "no" in json.loads(socket.recv())["error"]["message"]
        with pytest.raises(ConnectionClosed):
            socket.recv()


def test_events_bring_status_and_log(service):
    run = service.start(frames=60, rate=50)
    statuses, lines = [], []
    begun = time.monotonic()
    with service.socket(f"/runs/{run}/events") as socket:
        socket.send('{"token": null}')
        while not statuses or statuses[-1]["state"] != "done":
            message = json.loads(socket.recv())
            if message["type"] == "status":
                statuses.append(message["run"])
            else:
                lines.append(message["line"])
        ended = time.monotonic()
        while lines[-1]["text"] != "The run is done.":
            lines.append(json.loads(socket.recv())["line"])
    assert [line["n"] for line in lines] == list(range(len(lines)))
    assert statuses[-1]["counts"]["done"] == 60
    assert statuses[0]["steps"][0]["schema"]
    assert len(statuses) <= 5 * (ended - begun) + 2


def test_events_go_on_after_a_crash(service):
    run = service.start(frames=None)
    with service.socket(f"/runs/{run}/events") as socket:
        socket.recv()
        service.supervisor.run(run).kill()
        while True:
            message = json.loads(socket.recv())
            if message["type"] == "status" and message["run"]["state"] == "crashed":
                break
        assert "SIGKILL" in message["run"]["error"]


def test_a_slow_client_slows_nobody(service):
    run = service.start(frames=None, rate=100)
    with (
        service.socket(f"/runs/{run}/views/slices.xy") as slow,
        service.socket(f"/runs/{run}/views/slices.xy") as quick,
    ):
        ask(slow)  # and never acknowledges
        ask(quick)
        versions = []
        for _ in range(40):
            header, _ = read_image(quick.recv())
            quick.send(json.dumps({"ack": header["version"]}))
            versions.append(header["version"])
    assert versions == sorted(set(versions))
