"""Who may call the service: host names, origins and tokens. A plain ASGI layer in front of everything.

* A service on loopback answers only to names of this machine, so that no page can reach it through a name of its own
  that it points at 127.0.0.1 (DNS rebinding).
* What changes something, and every websocket, must come from a page of the service itself.
* Where a token is set, everything under ``/api/`` needs it.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .settings import Settings, is_loopback

COOKIE = "firstlight_token"
AUTHORISED = "firstlight.authorised"
LARGEST_BODY = 4 << 20
OPEN = frozenset({"/api/v1/session", "/api/v1/openapi.json"})
"""What needs no token: how to give one, and what there is to call."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; font-src 'self' data:;"
        b" worker-src 'self' blob:; connect-src 'self' ws: wss:; object-src 'none'; frame-ancestors 'self'",
    ),
]


class Guard:
    """Refuses what must not reach the application."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        """Stand before `app`."""
        self._app = app
        self._settings = settings
        self._local = is_loopback(settings.host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refusal(scope, headers)
        if refused is not None:
            await _refuse(scope, send, *refused)
            return
        scope[AUTHORISED] = self._knows(headers)
        await self._app(scope, _limited(receive) if scope["type"] == "http" else receive, _with_headers(send))

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> tuple[int, str, str, Any, str] | None:
        host = headers.get("host", "")
        if self._local and not self._answers_to(host):
            return (
                421,
                "This service does not go by that name.",
                "Host",
                host,
                "localhost, or start it with --allow-host",
            )
        acts = scope["type"] == "websocket" or scope["method"] not in _SAFE
        origin = headers.get("origin")
        if acts and origin is not None and not self._is_ours(origin, host):
            return (
                403,
                "Another site's page may not use this service.",
                "Origin",
                origin,
                "a page of the service itself",
            )
        length = headers.get("content-length", "0")
        if scope["type"] == "http" and (not length.isdigit() or int(length) > LARGEST_BODY):
            return 413, "The request is too large.", "Content-Length", length, f"at most {LARGEST_BODY} bytes"
        path = scope["path"]
        if scope["type"] == "http" and path.startswith("/api/") and path not in OPEN and not self._knows(headers):
            return (
                401,
                "A token is needed.",
                "Authorization",
                None,
                "Authorization: Bearer TOKEN, or the session's cookie",
            )
        return None

    def _answers_to(self, host: str) -> bool:
        name = (urlsplit(f"//{host}").hostname or "") if host and "@" not in host else ""
        return is_loopback(name) or name in self._settings.allowed_hosts

    def _is_ours(self, origin: str, host: str) -> bool:
        return urlsplit(origin).netloc.lower() == host.lower() or origin in self._settings.allowed_origins

    def _knows(self, headers: Mapping[str, str]) -> bool:
        bearer = headers.get("authorization", "").removeprefix("Bearer ").strip()
        return token_fits(self._settings, bearer) or token_fits(self._settings, _cookie(headers.get("cookie", "")))


def token_fits(settings: Settings, given: str | None) -> bool:
    """True if no token is needed, or the right one is given; takes the same time for any wrong one."""
    if settings.token is None:
        return True
    return given is not None and hmac.compare_digest(given.encode(), settings.token.encode())


def _cookie(text: str) -> str | None:
    try:
        found = SimpleCookie(text).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value


async def _refuse(scope: Scope, send: Send, status: int, message: str, field: str, value: Any, expected: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": message})
        return
    error = {"field": field, "value": value, "expected": expected, "message": message, "next": ""}
    body = json.dumps({"error": error, "problems": []}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _limited(receive: Receive) -> Receive:
    """Count the body of a request that does not say how long it is."""
    taken = 0

    async def receive_less() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > LARGEST_BODY:
            return {"type": "http.disconnect"}
        return message

    return receive_less


def _with_headers(send: Send) -> Send:
    async def send_more(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *_HEADERS]}
        await send(message)

    return send_more
