"""Requests to a tracking server: who asks, how long, how much; nothing beyond Python's own library."""

from __future__ import annotations

import base64
import http.client
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from firstlight.core.errors import FirstlightError

PATIENCE = 30.0
"""Seconds without an answer."""
LARGEST_ANSWER = 2**24
"""Bytes of a JSON answer."""
LARGEST_FILE = 2**31
"""Bytes of a network: more is no message that ONNX can hold."""
_PIECE = 2**20


class RegistryError(FirstlightError):
    """A model registry that refuses, does not answer, or answers nonsense."""


class _Straight(urllib.request.HTTPRedirectHandler):
    """No redirection: it would carry the token to whoever the answer names."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """None: the answer itself becomes the error."""
        return


_opener = urllib.request.build_opener(_Straight)


def address_of(given: str) -> str:
    """The address of a tracking server, without a slash at its end.

    Raises:
        RegistryError: It is none.
    """
    found = given.strip().rstrip("/")
    parts = urllib.parse.urlsplit(found)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise RegistryError(
            "This is no address of a model registry.",
            field="registry",
            value=given.rpartition("@")[2],  # what stands before it may be a password
            expected="such as http://models.example.org:5000, or azureml://… as Azure shows it",
        )
    return found


def credentials() -> dict[str, str]:
    """Header that says who asks, from MLflow's own variables: a token, or a name and password."""
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    if token:
        return {"Authorization": f"Bearer {token}"}
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("USERNAME", "PASSWORD"))
    if user and password:
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
    return {}


def ask(address: str, path: str, asked: Mapping[str, str], *, token: str | None = None) -> dict[str, Any]:
    """One question; its answer from JSON.

    Args:
        address: Of the server.
        path: Of the question.
        asked: Its parameters.
        token: Who asks, in place of what MLflow's variables say.

    Raises:
        RegistryError: There is none.
    """
    who = credentials() if token is None else {"Authorization": f"Bearer {token}"}
    data = b"".join(_pieces(address, path, asked, LARGEST_ANSWER, who))
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RegistryError("What answers is no MLflow tracking server.", field="registry", value=address)
    return found


def file_of(address: str, path: str, asked: Mapping[str, str]) -> Iterator[bytes]:
    """A file in pieces.

    Raises:
        RegistryError: There is none, it stops early, or it is far too large.
    """
    return _pieces(address, path, asked, LARGEST_FILE, credentials())


def _pieces(address: str, path: str, asked: Mapping[str, str], most: int, who: Mapping[str, str]) -> Iterator[bytes]:
    with _opened(address, path, asked, who) as answer:
        told = answer.headers.get("Content-Length") or ""
        wanted, got = int(told) if told.isdigit() else None, 0
        while piece := _read(answer, _PIECE, address):
            got += len(piece)
            if got > most:
                raise RegistryError(
                    "The answer is too large.", field="registry", value=address, expected=f"{most} bytes"
                )
            yield piece
    if wanted is not None and got != wanted:
        raise RegistryError("The answer stopped early.", field="registry", value=address, expected=f"{wanted} bytes")


def _opened(address: str, path: str, asked: Mapping[str, str], who: Mapping[str, str]) -> Any:
    query = f"?{urllib.parse.urlencode(asked)}" if asked else ""
    request = urllib.request.Request(address + urllib.parse.quote(path) + query, headers=dict(who))  # noqa: S310 - address_of
    try:
        return _opener.open(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        with error:
            raise RegistryError(
                f"The registry refuses: {error.code} {_detail(error)}",
                field="registry",
                value=address,
                next_move="Give MLFLOW_TRACKING_TOKEN, or a name and password." if error.code in (401, 403) else None,
            ) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _silent(address, error) from None


def _read(answer: BinaryIO, size: int, address: str) -> bytes:
    try:
        return answer.read(size)
    except (OSError, http.client.HTTPException) as error:
        raise _silent(address, error) from None


def _silent(address: str, error: Exception) -> RegistryError:
    return RegistryError(
        f"No model registry answers ({getattr(error, 'reason', error)}).", field="registry", value=address
    )


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        found = json.loads(error.read(_PIECE))
        return str(found["message"])[:500]
    except (ValueError, RecursionError, OSError, KeyError, TypeError, http.client.HTTPException):
        return str(error.reason)
