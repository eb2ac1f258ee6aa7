"""Who may call the service, and who may not."""

import contextlib
import json

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from firstlight.core.errors import FirstlightError
from firstlight.faces.rest.settings import Settings, is_loopback

TOKEN = "a token that is long enough"
pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "::", "example.org"])
def test_other_addresses_need_a_token(host):
    with pytest.raises(FirstlightError, match="token"):
        Settings(host=host)
    assert Settings(host=host, token=TOKEN).token == TOKEN


def test_weak_tokens_are_refused():
    with pytest.raises(FirstlightError, match="too short"):
        Settings(token="secret")
    assert TOKEN not in repr(Settings(token=TOKEN))


def test_loopback():
    assert all(map(is_loopback, ["127.0.0.1", "127.9.9.9", "localhost", "::1", "[::1]"]))
    assert not any(map(is_loopback, ["", "127.0.0.1.evil.org", "0.0.0.0", "10.0.0.1", "localhost.evil.org"]))


@pytest.mark.parametrize(
    "host", ["evil.org", "evil.org:8000", "localhost.evil.org", "", "user@localhost", "127.0.0.1.evil.org"]
)
def test_names_that_are_not_ours(service, host):
    answer = service.http.get("/runs", headers={"Host": host})
    assert answer.status_code in (400, 421)


@pytest.mark.parametrize("host", ["localhost", "localhost:9", "127.0.0.1:1", "[::1]:5"])
def test_names_that_are_ours(service, host):
    assert service.http.get("/runs", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.org", "null", "http://localhost:1", "file://"])
def test_pages_of_others_may_not_act(service, origin):
    answer = service.http.post("/runs", json={"job": {}}, headers={"Origin": origin})
    assert answer.status_code == 403
    assert answer.json()["error"]["field"] == "Origin"
    with pytest.raises(InvalidStatus, match="403"):
        service.socket("/runs/x/events", additional_headers={"Origin": origin})


def test_our_own_pages_may_act(service):
    run = service.start(frames=None)
    origin = f"http://{service.address}"
    assert service.http.post(f"/runs/{run}/stop", headers={"Origin": origin}).status_code == 200
    with service.socket(f"/runs/{run}/events", additional_headers={"Origin": origin}) as socket:
        assert json.loads(socket.recv())["type"] == "status"


def test_without_a_token_nothing_is_told(guarded):
    for path in ("/health", "/runs", "/catalogue", "/runs/x", "/runs/x/log"):
        answer = guarded.http.get(path)
        assert answer.status_code == 401, path
        assert answer.json()["error"]["field"] == "Authorization"
    assert guarded.http.post("/runs", json={"job": {}}).status_code == 401
    assert guarded.http.get("/runs", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert guarded.http.get("/runs", headers={"Authorization": "Bearer"}).status_code == 401
    assert guarded.http.get("/runs", headers={"Cookie": 'firstlight_token="\\'}).status_code == 401
    assert guarded.http.get(f"http://{guarded.address}/").status_code == 200  # the page that asks for it


def test_the_token_opens(guarded):
    assert guarded.http.get("/runs", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert guarded.http.post("/session", json={"token": "wrong"}).status_code == 401
    assert guarded.http.get("/runs").status_code == 401
    opened = guarded.http.post("/session", json={"token": TOKEN})
    assert opened.status_code == 200
    assert "HttpOnly" in opened.headers["set-cookie"]
    assert "samesite=strict" in opened.headers["set-cookie"].lower()
    assert guarded.http.get("/runs").status_code == 200
    assert guarded.start(frames=1)


@pytest.mark.parametrize("path", ["/runs/{}/events", "/runs/{}/views/slices.xy"])
def test_websockets_want_the_token_first(guarded, path):
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    run = guarded.http.post("/runs", json={"job": {"fake": {"frames": None}}}, headers=bearer).json()["id"]
    for first in ('{"token": null}', '{"token": "wrong"}', "{", '{"width": 5, "height": 5}', '{"token": 3}'):
        with guarded.socket(path.format(run)) as socket:
            socket.send(first)
            assert "token" in json.loads(socket.recv())["error"]["message"]
            with pytest.raises(ConnectionClosed):
                socket.recv()
    with guarded.socket(path.format(run)) as socket:
        socket.send(json.dumps({"token": TOKEN, "width": 32, "height": 32}))
        assert len(socket.recv()) > 100
    with guarded.socket(
        path.format(run), additional_headers={"Cookie": f"firstlight_token={TOKEN.replace(' ', '%20')}"}
    ) as socket:
        socket.send('{"width": 32, "height": 32}')
        assert b"token is needed" in bytes(str(socket.recv()), "utf8")  # that cookie was not ours
    with guarded.socket(path.format(run), additional_headers=bearer) as socket:
        socket.send('{"width": 32, "height": 32}')
        assert len(socket.recv()) > 100


def test_large_bodies_are_refused(service):
    answer = service.http.post("/runs", content=b'{"job": {"x": "' + b"a" * (5 << 20) + b'"}}')
    assert answer.status_code == 413
    parts = (b"a" * 65536 for _ in range(100))
    with contextlib.suppress(httpx.TransportError):  # the connection may be cut instead
        assert service.http.post("/runs", content=parts).status_code >= 400
