"""Whether both streams of the nanoprobe come: looked at before a scan is started, or while one runs."""

from __future__ import annotations

import os
import socket
import threading
import time
import urllib.parse
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from firstlight.core import registry
from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import Chunk
from firstlight.core.errors import FirstlightError, SourceError

_REACH = 3.0
"""Seconds for somebody to answer at an address."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came of one stream."""

    stream: str
    address: str
    state: Literal["OK", "TIMEOUT", "ERROR"]
    says: str
    data: Array | None = None
    """Frames (frame, row, col), or positions (position, channel), channels by name: x and y; in the order of their numbers."""
    numbers: Ids | None = None


def check_streams(
    timeout: float, *, frames: int = 10, messages: int = 10, variables: Mapping[str, str] | None = None
) -> list[Found]:
    """Listen to both streams at once, as the service does, until enough has come or nothing for some time.

    Args:
        timeout: Seconds without anything.
        frames: Of the detector to wait for.
        messages: Of the PandABox to wait for.
        variables: The environment; default: that of this process.

    Raises:
        SourceError: An address is not set.
    """
    known = os.environ if variables is None else variables
    missing = [name for name in ("SERVER_STREAM_SOURCE", "PANDA_STREAM_SOURCE") if not known.get(name)]
    if missing:
        raise SourceError(
            f"The environment lacks {' and '.join(missing)}.",
            field=missing[0],
            expected="addresses such as tcp://localhost:5555",
        )
    key = known.get("SERVER_PUBLIC_KEY")
    curve = {"server_key": key} | ({"secret_key": "CLIENT_SECRET_KEY"} if known.get("CLIENT_SECRET_KEY") else {})
    eiger = {
        "data": known["SERVER_STREAM_SOURCE"],
        "socket": "sub",
        "join": True,
        "queue": 20_000,
        **(curve if key else {}),
    }
    panda = {"address": known["PANDA_STREAM_SOURCE"]}
    with ThreadPoolExecutor(2, "stream check") as pool:
        both = [
            pool.submit(_listen, "Eiger", "dectris", eiger, eiger["data"], timeout, frames),
            pool.submit(_listen, "PandABox", "panda", panda, panda["address"], timeout, messages),
        ]
        return [one.result() for one in both]


def _listen(stream: str, kind: str, given: Mapping[str, Any], address: str, timeout: float, wanted: int) -> Found:
    unreachable = _unreachable(address)
    if unreachable:
        return Found(stream, address, "ERROR", unreachable)
    source: Any = registry.get("sources", kind)(**given, timeout=timeout, idle=timeout)
    began = time.monotonic()
    try:
        source.open()
        parts = _some(source, wanted, each_message=kind == "panda", limit=began + 10 * timeout)
    except FirstlightError as error:
        return Found(stream, address, "TIMEOUT" if time.monotonic() - began >= timeout else "ERROR", str(error))
    finally:
        source.close()
    if not parts:
        return Found(stream, address, "TIMEOUT", f"nothing came within {timeout:g} s")
    numbers = np.concatenate([part.ids for part in parts])
    order = np.argsort(numbers, kind="stable")  # chunks come as they are decoded
    order = order if kind == "panda" else order[:wanted]
    data, numbers = np.concatenate([part.data for part in parts])[order], numbers[order]
    if kind == "panda":
        return Found(stream, address, "OK", f"{len(data)} samples", data[:, ::-1], numbers)
    rows, cols = data.shape[-2:]
    return Found(stream, address, "OK", f"frames of {rows} × {cols} pixels, {data.dtype}", data, numbers)


def _some(source: Any, wanted: int, *, each_message: bool, limit: float) -> list[Chunk]:
    """The first chunks: so many, or so many frames in them. A scan that is over ends it, too."""
    parts: list[Chunk] = []
    watchdog = threading.Timer(max(0.0, limit - time.monotonic()), source.stop)
    watchdog.daemon = True
    watchdog.start()
    try:
        for item in source.items():
            if isinstance(item, Chunk):
                parts.append(item.with_data(np.array(item.data), item.axes))
            if (len(parts) if each_message else sum(map(len, parts))) >= wanted:
                break
    finally:
        watchdog.cancel()
    return parts


def _unreachable(address: str) -> str:
    """Why nobody can be reached at an address; empty if somebody can, or if it is none of a network."""
    parts = urllib.parse.urlsplit(address)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme not in ("tcp", "panda"):
        return ""
    if not parts.hostname or port is None:
        return "this is no address; expected such as tcp://localhost:5555"
    try:
        socket.create_connection((parts.hostname, port), _REACH).close()
    except OSError as error:
        return f"nobody answers: {error}"
    return ""


def save(found: list[Found], folder: Path) -> list[Path]:
    """Write what came, as ``eiger_dps.npy`` and ``panda_positions.npy``.

    Raises:
        SourceError: The folder can not be written.
    """
    names = {"Eiger": "eiger_dps.npy", "PandABox": "panda_positions.npy"}
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for each in found:
            if each.data is not None:
                np.save(folder / names[each.stream], each.data)
                written.append(folder / names[each.stream])
    except OSError as error:
        raise SourceError(f"It can not be written: {error}", field="save", value=str(folder)) from error
    return written
