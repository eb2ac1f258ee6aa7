"""A control unit that is not there: its configuration and state, and the series that it sends."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import zmq

from firstlight.core.arrays import Array

from . import stream1, stream2
from .wire import SeriesStart

READY, ACQUIRE, IDLE = "ready", "acquire", "idle"
_KEPT = 512
"""Encoded frames that are kept for the next time."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, by the number of the frame."""

    lose: frozenset[int] = frozenset()
    repeat: frozenset[int] = frozenset()
    truncate: frozenset[int] = frozenset()
    garbage: frozenset[int] = frozenset()
    swap: frozenset[int] = frozenset()
    """These go out after their successor."""
    restart_after: int | None = None
    """The series is abandoned after so many frames, once, and armed anew."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How frames are sent."""

    version: int = 1
    encoding: str = "bs16-lz4<"
    split: bool = False
    rate: float = 0.0
    """Frames per second; 0: as fast as they go."""
    dwell: float = 0.0
    """Seconds of pause after each line of the scan."""
    settle: float = 0.5
    """Seconds from arming to the first frame where the trigger is a signal."""
    channels: tuple[str, ...] = ("threshold_1",)
    faults: Faults = field(default_factory=Faults)
    unheard: int = 0
    """Frames after which the first series pauses until `heard` returns."""
    heard: Callable[[], None] | None = None


class ControlUnit:
    """Arms, triggers and sends.

    Args:
        socket: Where frames go; used by one thread at a time.
        frames: Shape (frame, row, col); played round and round.
        config: What the detector's configuration begins with.
        manner: How frames are sent.
        stop: Ends everything.
        line: Frames in a line of the scan, for `dwell`.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        frames: Array,
        config: Mapping[str, Any],
        manner: Manner,
        stop: threading.Event,
        line: int,
    ) -> None:
        """Idle, with no series yet."""
        self._socket, self._frames, self._manner, self._stop, self._line = socket, frames, manner, stop, line
        self.config: dict[str, dict[str, Any]] = {
            "detector": dict(config),
            "stream": {
                "mode": "enabled",
                "header_detail": "basic",
                "format": "cbor" if manner.version == 2 else "legacy",
            },
            "filewriter": {"mode": "disabled", "name_pattern": "series_$id"},
            "monitor": {"mode": "disabled"},
        }
        self.state = IDLE
        self.series = 0
        self.sent = 0
        self.withheld = 0
        self._at = 0
        self._busy = threading.RLock()
        self._end = threading.Event()
        self._restarted = False
        self._swapped = _swapped(manner.faults.swap)
        self._player: threading.Thread | None = None
        self._encoded: OrderedDict[int, tuple[str, list[bytes]]] = OrderedDict()

    @property
    def start(self) -> SeriesStart:
        """The series as its header tells it."""
        return SeriesStart(self.series, "basic", self.config["detector"])

    # ---- commands ---------------------------------------------------------------------------------------------------

    def arm(self) -> int:
        """Send the header; the number of the series."""
        if self.state != IDLE:
            self.abort()
        with self._busy:
            self.series += 1
            self._at, self.state = 0, READY
            self._end.clear()
            self._send(self._header())
        if str(self.config["detector"]["trigger_mode"]).startswith("ext"):
            self._player = threading.Thread(target=self._external, name="simulated triggers", daemon=True)
            self._player.start()
        return self.series

    def trigger(self) -> None:
        """Play what one trigger brings: `nimages` frames (ints), or one (inte)."""
        count = self.config["detector"]["nimages"] if self.config["detector"]["trigger_mode"] == "ints" else 1
        with self._busy:
            self.state = ACQUIRE
            self._play(int(count))
            if self.state == ACQUIRE:
                self.state = READY

    def abort(self) -> None:
        """End the series at once."""
        self._end.set()
        with self._busy:
            if self.state != IDLE:
                self._send(self._ending())
            self.state = IDLE

    def wait(self) -> None:
        """Until the series that signals trigger is over."""
        while self._player is not None and self._player.is_alive() and not self._stop.is_set():
            self._player.join(0.05)

    def _external(self) -> None:
        with self._busy:
            self.state = ACQUIRE
            if not self._end.wait(self._manner.settle):
                self._play(self.start.frames or 0)

    # ---- playing ----------------------------------------------------------------------------------------------------

    def _play(self, count: int) -> None:
        faults, total = self._manner.faults, self.start.frames or 0
        begin, first = time.monotonic(), self._at
        while self._at < min(first + count, total) and not self._over():
            if faults.restart_after == self._at and not self._restarted:
                self._restart()
                begin, first = time.monotonic(), 0
                continue
            if self._manner.heard is not None and self.series == 1 and self._at == self._manner.unheard:
                self._manner.heard()
                begin = time.monotonic() - (self._at - first) / (self._manner.rate or math.inf)
            self._pace(begin, self._at - first)
            self._frame(self._swapped.get(self._at, self._at))
            self._at += 1
            if self._manner.dwell and self._at % self._line == 0:
                self._end.wait(self._manner.dwell)
        if self._at >= total and not self._over():
            self._send(self._ending())
            self.state = IDLE

    def _over(self) -> bool:
        return self._end.is_set() or self._stop.is_set()

    def _restart(self) -> None:
        """The detector is armed anew without a word about the series before."""
        self._restarted = True
        self.series += 1
        self._at = 0
        self._send(self._header())

    def _pace(self, begin: float, played: int) -> None:
        if self._manner.rate > 0:
            left = begin + played / self._manner.rate - time.monotonic()
            if left > 0:
                self._end.wait(left)

    def _frame(self, at: int) -> None:
        faults = self._manner.faults
        if at in faults.garbage:
            self._send([[b"\x00\xffgarbage", b"{}"]])
        if at in faults.lose:
            self.withheld += 1
            return
        message = self._encode(at)
        if at in faults.truncate:
            message = [
                [*parts[:-1], parts[-1][: len(parts[-1]) // 2]] if len(parts) == 1 else parts[:2] for parts in message
            ]
        for _ in range(2 if at in faults.repeat else 1):
            self._send(message)
        self.sent += 1

    def _encode(self, at: int) -> list[list[bytes]]:
        number = at % len(self._frames)
        times = (at * 1_000_000, at * 1_000_000 + 900_000, 900_000)
        if self._manner.version == 2:
            pixels = self._frames[number]
            # a higher threshold sees fewer of the same counts
            planes = {name: pixels >> k for k, name in enumerate(self._manner.channels)}
            codec = "bslz4" if "bs" in self._manner.encoding else "lz4" if "lz4" in self._manner.encoding else ""
            return [[stream2.write_frame(self.series, at, planes, codec=codec, times=times)]]
        kept = self._encoded.get(number)
        if kept is None:
            pixels = np.asarray(self._frames[number])
            parts = stream1.write_frame(0, 0, pixels, encoding=self._manner.encoding, times=times)
            kept = self._encoded[number] = (stream1.digest(parts[2]), parts[1:])
            if len(self._encoded) > _KEPT:
                self._encoded.popitem(last=False)
        return [[stream1.first_part(self.series, at, kept[0]), *kept[1]]]

    def _header(self) -> list[list[bytes]]:
        detector = self.config["detector"]
        if self._manner.version == 2:
            told = {
                "image_size_x": detector["x_pixels_in_detector"],
                "image_size_y": detector["y_pixels_in_detector"],
                "image_dtype": f"uint{detector['bit_depth_image']}",
                "number_of_images": self.start.frames,
            }
            return [[stream2.write_start(self.series, {**detector, **told}, channels=self._manner.channels)]]
        detail = self.config["stream"]["header_detail"]
        shape = self._frames.shape[1:]
        flat, mask, rates = np.ones(shape, np.float32), np.zeros(shape, np.uint32), np.ones((2, 2), np.float32)
        tables = {"flatfield": flat, "pixel_mask": mask, "countrate_table": rates}
        return [stream1.write_start(self.series, detector, detail=detail, tables=tables)]

    def _ending(self) -> list[list[bytes]]:
        return [[stream2.write_end(self.series)] if self._manner.version == 2 else stream1.write_end(self.series)]

    def _send(self, messages: list[list[bytes]]) -> None:
        if self.config["stream"]["mode"] != "enabled":
            return
        for message in messages:
            for part in [[one] for one in message] if self._manner.split else [message]:
                self._send_one(part)

    def _send_one(self, parts: list[bytes]) -> None:
        """Wait for room, as a control unit does whose buffer fills, but not after an abort, or the simulator's end."""
        patience = 20
        while not self._stop.is_set() and patience:
            patience -= self._end.is_set()
            if self._socket.poll(50, zmq.POLLOUT):
                self._socket.send_multipart(parts, zmq.NOBLOCK, copy=False)
                return


def _swapped(numbers: frozenset[int]) -> dict[int, int]:
    """Which frame goes out in the turn of another one, where some go out after their successor."""
    turns: dict[int, int] = {}
    for number in sorted(numbers):
        turns[number], turns[number + 1] = number + 1, turns.get(number, number)
    return turns
