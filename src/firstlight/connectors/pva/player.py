"""Plays a scan: one frame after the other in time, some held back, the server restarted where that is wanted."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import play, wire
from .serve import Beamline

_log = logging.getLogger(__name__)

_TURNS_AHEAD = 40
"""Rounds of angles that are published ahead while a scan turns on and on."""
_BEHIND = 0.5
"""Seconds that the player may lag behind its schedule before the schedule moves."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When frames are posted, and which are not."""

    rate: float
    """Frames per second; 0: as fast as they can be posted."""
    frames: int | None
    seconds: float | None
    lose: float
    lose_ids: frozenset[int]
    seed: int
    restart_after: int | None
    first_id: int
    id_bits: int


@dataclass(slots=True)
class _Offered:
    """What was offered, counted while it plays."""

    posted: int = 0
    withheld: list[int] = field(default_factory=list[int])
    """Ids held back between the first and the last posted frame of an epoch: exactly what a receiver must miss."""
    epochs: int = 1
    began: float = 0.0
    ended: float = 0.0
    late: int = 0
    last_id: int = 0


class Player:
    """Posts the frames of a recording.

    Args:
        beamline: The channels ``image``, ``dark``, ``flat`` and ``theta``.
        recording: What to play.
        turn: How it turns on and on; None: it plays once.
        pictures: Its ready NTNDArrays.
        schedule: When frames are posted, and which are not.
        stop: Set from another thread to end soon.
    """

    def __init__(
        self,
        beamline: Beamline,
        recording: play.Recording,
        turn: play.Turn | None,
        pictures: play.Pictures,
        schedule: Schedule,
        stop: threading.Event,
    ) -> None:
        """Start before the first frame."""
        self._beamline, self._recording, self._turn = beamline, recording, turn
        self._pictures, self._schedule, self._stop = pictures, schedule, stop
        self._offered = _Offered()
        self._angles_known = 0

    def publish_fields(self) -> None:
        """Dark, flat and angles as they are known before the first frame; no frame."""
        for use in ("dark", "flat"):
            images = self._recording.images.get(use)
            self._beamline.set(use, wire.write_image(images[0].pixels if images else None))
        self._beamline.set("theta", wire.write_theta(self._angles(self._ahead(0))))
        self._beamline.set("image", wire.blank())

    def _ahead(self, place: int) -> int:
        """How many angles to publish when the scan is at a place."""
        if self._turn is None:
            return len(self._recording)
        return self._schedule.frames or place + _TURNS_AHEAD * self._turn.count

    def _angles(self, count: int) -> np.ndarray[Any, Any]:
        self._angles_known = count
        if self._turn is None:
            return self._recording.angles
        return np.array([self._turn.angle(self._recording.angles, place) for place in range(count)])

    def play(self, *, wait: bool, settle: float, down: float) -> None:
        """Play all epochs.

        Args:
            wait: Begin each when a client is connected.
            settle: Seconds from there to the first frame.
            down: Seconds that the server is away when it restarts.
        """
        offered, restart = self._offered, self._schedule.restart_after
        while not wait or self._beamline.wait_for_client(self._stop):
            self._stop.wait(settle)
            self._play_epoch()
            if restart is None or offered.epochs > 1 or self._stop.is_set():
                return
            _log.info("Restarting: the server goes away for %g s and ids start over.", down)
            offered.epochs += 1
            self._beamline.let_last_out()
            self._beamline.stop()
            self._stop.wait(down)
            self.publish_fields()
            self._beamline.start()

    def _places(self) -> Iterator[int]:
        """Places of one epoch, from 0 on."""
        frames = self._schedule.frames
        length = len(self._recording)
        end = frames if self._turn else min(frames or length, length)
        restart = self._schedule.restart_after if self._offered.epochs == 1 else None
        place = 0
        while (end is None or place < end) and place != restart:
            yield place
            place += 1

    def _play_epoch(self) -> None:
        schedule, offered = self._schedule, self._offered
        chance = np.random.default_rng([schedule.seed, offered.epochs])
        begin = time.perf_counter()
        offered.began = offered.began or begin
        held: list[int] = []
        for place in self._places():
            number = place + schedule.first_id
            hold = number in schedule.lose_ids or (place > 0 and chance.random() < schedule.lose)
            begin += self._pace(begin, place)
            if self._stop.is_set():
                return
            if schedule.seconds and time.perf_counter() - offered.began >= schedule.seconds:
                return
            self._new_fields(place)
            if hold:
                held.append(number)
                continue
            # what is held back before the first frame or after the last can not be missed by anyone
            offered.withheld += held if held and held[0] > schedule.first_id else []
            held = []
            self._post(place, number)

    def _pace(self, begin: float, place: int) -> float:
        """Wait for the frame's time; returns by how much the schedule must move because we are late."""
        if not self._schedule.rate:
            return 0.0
        left = begin + place / self._schedule.rate - time.perf_counter()
        if left > 0:
            self._stop.wait(left)
        elif left < -_BEHIND:
            self._offered.late += 1
            return -left
        return 0.0

    def _new_fields(self, place: int) -> None:
        """Darks and flats that were taken during the scan come when they came then; angles before they are needed."""
        for use in ("dark", "flat"):
            for image in self._recording.images.get(use, [])[1:]:
                if image.place == place:
                    self._beamline.post(use, wire.write_image(image.pixels))
        turn = self._turn
        if turn and not self._schedule.frames and place > self._angles_known - turn.count * _TURNS_AHEAD // 2:
            self._beamline.post("theta", wire.write_theta(self._angles(self._ahead(self._angles_known))))

    def _post(self, place: int, number: int) -> None:
        at, mirrored = self._turn.picture(place) if self._turn else (place, False)
        picture = self._pictures.get(at, mirrored=mirrored)
        seconds, nanoseconds = divmod(time.time_ns(), 10**9)
        picture.uniqueId = wire.as_signed(number & ((1 << self._schedule.id_bits) - 1))
        for stamp in (picture.timeStamp, picture.dataTimeStamp):
            stamp.secondsPastEpoch, stamp.nanoseconds = seconds, nanoseconds
        self._beamline.post("image", picture)
        self._offered.posted += 1
        self._offered.last_id = number
        self._offered.ended = time.perf_counter()

    def report(self, asked: float) -> dict[str, Any]:
        """What was offered, for JSON.

        Args:
            asked: The rate that the user asked for, in frames per second.
        """
        offered = self._offered
        seconds = max(0.0, offered.ended - offered.began)
        rate = (offered.posted - 1) / seconds if offered.posted > 1 and seconds > 0 else 0.0
        return {
            "posted": offered.posted,
            "withheld": len(offered.withheld),
            "withheld_ids": offered.withheld,
            "epochs": offered.epochs,
            "seconds": seconds,
            "rate_asked": asked,
            "rate_offered": rate,
            "bytes_per_second": rate * self._recording.scan.main.frame_bytes,
            "late": offered.late,
            "last_id": offered.last_id,
        }
