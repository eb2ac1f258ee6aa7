"""Talking to a service with holoptycho's routes; the standard library alone."""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from firstlight.core.errors import FirstlightError

DEFAULT_URL = "http://127.0.0.1:8000"
LARGEST_ANSWER = 64 << 20
"""Bytes of an answer."""
PATIENCE = 90.0
"""Seconds: longer than the service itself waits for a run to be ready."""


class HoloptychoError(FirstlightError):
    """The service refused, or is not there.

    Args:
        status: Code of HTTP; 0 if there was no answer.
        detail: Why.
    """

    def __init__(self, status: int, detail: str) -> None:
        """Keep the code."""
        super().__init__(f"Error {status}: {detail}" if status else detail)
        self.status = status
        self.detail = detail


def url_of(given: str | None) -> str:
    """The service's address: as given, or from HOLOPTYCHO_URL, or port 8000 of this machine.

    Raises:
        HoloptychoError: It is no address of HTTP.
    """
    found = (given or os.environ.get("HOLOPTYCHO_URL") or DEFAULT_URL).rstrip("/")
    parts = urllib.parse.urlsplit(found)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise HoloptychoError(0, f"'{found}' is no address of a service; expected such as {DEFAULT_URL}.")
    return found


def ask(
    url: str, path: str, body: Mapping[str, Any] | None = None, *, post: bool = False, timeout: float = PATIENCE
) -> Any:
    """One request; its answer from JSON.

    Args:
        url: Address of the service.
        path: Such as ``/status``.
        body: What is sent as JSON.
        post: POST instead of GET.
        timeout: Seconds without an answer.

    Raises:
        HoloptychoError: The service refuses, does not answer, or answers nonsense.
    """
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if data is not None else {}
    token = os.environ.get("FIRSTLIGHT_TOKEN")
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(  # noqa: S310 - url_of takes http and https alone
        url + path, data=data, headers=headers, method="POST" if post else "GET"
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
            return _json(answer.read(LARGEST_ANSWER), url)
    except urllib.error.HTTPError as error:
        raise HoloptychoError(error.code, _detail(error)) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise HoloptychoError(
            0, f"No service answers at {url} ({reason}). Start it: firstlight serve --holoptycho."
        ) from None


def _json(data: bytes, url: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise HoloptychoError(0, f"What answers at {url} is no service with holoptycho's routes.") from None


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        found = json.loads(error.read(LARGEST_ANSWER))
    except (ValueError, RecursionError, OSError):
        return str(error.reason)
    if not isinstance(found, dict):
        return str(error.reason)
    inner = found.get("error")
    detail = found.get("detail") or (inner.get("message") if isinstance(inner, dict) else None)
    return detail if isinstance(detail, str) else json.dumps(detail) if detail else str(error.reason)
