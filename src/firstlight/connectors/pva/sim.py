"""Simulator: a beamline that is not there. Publishes a file or the phantom as areaDetector and TomoScanStream would.

In a process of its own: ``python -m firstlight.connectors.pva.sim rate=50 file=scan.h5 report=report.json``.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import yaml
from pydantic import Field, model_validator

from firstlight.core.errors import FirstlightError, SourceError
from firstlight.core.step import Configured
from firstlight.core.units import Bytes, Hertz, Second

from . import play, wire
from .serve import Beamline, answers_elsewhere

_log = logging.getLogger(__name__)

_TURNS_AHEAD = 40
"""Rounds of angles that are published ahead while a scan turns on and on."""
_BEHIND = 0.5
"""Seconds that the player may lag behind its schedule before the schedule moves."""

Codec = Literal["", "lz4", "lz4hdf5", "bslz4", "blosc", "zlib"]


@dataclass(slots=True)
class Played:
    """What was offered, counted while it plays."""

    posted: int = 0
    withheld: list[int] = field(default_factory=list[int])
    """Places, in the newest epoch, that were held back."""
    held_back: int = 0
    """Frames held back between the first and the last posted one of their epoch: exactly what a receiver must miss."""
    epochs: int = 1
    began: float = 0.0
    ended: float = 0.0
    late: int = 0
    """Frames posted more than half a second late."""
    last_place: int = -1

    @property
    def rate(self) -> float:
        """Frames per second that were offered."""
        return (self.posted - 1) / (self.ended - self.began) if self.posted > 1 and self.ended > self.began else 0.0


class PvaSimulator(Configured):
    """Publishes a scan over EPICS PV Access as a beamline would: frames, dark, flat and angles."""

    use: ClassVar[str] = "pva"

    file: Path | None = None
    """DXfile or NXtomo file to play; default: the phantom."""
    source: str | None = None
    """Name of the source that reads it; default: found from the file."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Parameters of that source, such as ``{columns: 512, rows: 64}`` for the phantom."""
    rate: Annotated[Hertz, Field(ge=0)] = 20.0
    """Frames per second; 0: as fast as they can be posted."""
    prefix: str = "firstlight:"
    """Start of all channel names."""
    image: str = "Pva1:Image"
    """Channel of the frames, after the prefix."""
    dark: str = "StreamDarkFields"
    """Channel of the averaged dark image, after the prefix."""
    flat: str = "StreamFlatFields"
    """Channel of the averaged flat image, after the prefix."""
    theta: str = "StreamTheta"
    """Channel of the angles, after the prefix."""
    codec: Codec = ""
    """How to compress the frames: lz4, lz4hdf5, bslz4, blosc or zlib; default: not at all."""
    loop: bool = False
    """Go on turning with new ids after the last frame; odd half turns are mirrored about the axis."""
    center: float | None = None
    """Column of the axis for mirrored half turns; default: what the source knows, or the middle of the detector."""
    frames: Annotated[int, Field(gt=0)] | None = None
    """Stop after so many ids (withheld ones count)."""
    seconds: Annotated[Second, Field(gt=0)] | None = None
    """Stop after this time."""
    lose: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Part of the frames to hold back: their ids are skipped. Never the first."""
    lose_ids: tuple[int, ...] = ()
    """Ids to hold back."""
    seed: int = 1
    """Another seed holds back other frames."""
    restart_after: Annotated[int, Field(gt=0)] | None = None
    """Restart the server once, after so many ids; they then start over."""
    down: Annotated[Second, Field(ge=0)] = 1.0
    """How long the server stays away when it restarts."""
    first_id: int = Field(default=1, ge=0)
    """``uniqueId`` of the first frame."""
    id_bits: Literal[32, 16] = 32
    """Width of the running number: 16 for a camera whose ids wrap at 65535."""
    wait_for_clients: bool = True
    """Begin when the first client connects to the image channel."""
    settle: Annotated[Second, Field(ge=0)] = 0.5
    """Time from a client's connection to the first frame, so that it can subscribe."""
    linger: Annotated[Second, Field(ge=0)] = 2.0
    """How long to go on serving after the last frame, so that it reaches everybody."""
    port: int = Field(default=0, ge=0, le=65535)
    """TCP port of the server; 0: any free one."""
    interface: str = "127.0.0.1"
    """Address to serve on. Anything but loopback makes the channels visible to the network."""
    memory: Annotated[Bytes, Field(gt=0)] = 4 * 2.0**30
    """Bytes of frames to hold ready."""
    ready: Path | None = None
    """File to write once the channels are served: JSON with the server's address and the names."""
    report: Path | None = None
    """File to write at the end: JSON with what was offered."""

    @model_validator(mode="after")
    def _something_to_play(self) -> PvaSimulator:
        if self.file is None and self.source is None and self.restart_after and self.loop:
            return self
        if self.file is not None and not self.file.is_file():
            raise ValueError(f"file = '{self.file}' is no file; expected a DXfile or NXtomo file")
        return self

    def run(
        self, stop: threading.Event | None = None, on_ready: Callable[[dict[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        """Publish until the scan is over, `stop` is set, or a limit is reached.

        Args:
            stop: Set it from another thread to end soon.
            on_ready: Called once the channels are served, with the server's address and the names.

        Returns:
            What was offered: posted, withheld, rate and so on (also written to `report`).

        Raises:
            SourceError: The scan can not be played, or a channel's name is taken.
        """
        stop = stop or threading.Event()
        recording = self._load()
        turn = play.turn_of(recording.angles) if self.loop else None
        pictures = play.Pictures(recording, self.codec, self._axis(recording), self.memory)
        pictures.prepare(turn.count if turn else len(recording), mirrored=bool(turn and turn.mirrored))
        answers_elsewhere([self.prefix + name for name in (self.image, self.dark, self.flat, self.theta)], self.interface)
        beamline = Beamline(self.prefix, (self.image, self.dark, self.flat, self.theta), self.interface, self.port)
        played = Played()
        try:
            self._publish_fields(beamline, recording, turn)
            beamline.start()
            self._announce(beamline, recording, on_ready)
            self._play(beamline, recording, turn, pictures, played, stop)
        finally:
            beamline.stop()
            recording.source.close()
        report = self._report(recording, played)
        if self.report is not None:
            _write(self.report, report)
        return report

    # ---- before -----------------------------------------------------------------------------------------------------

    def _load(self) -> play.Recording:
        if self.file is not None:
            name = self.source or play.find_source(self.file)
            return play.load(name, {"path": self.file, **self.parameters}, self.memory)
        return play.load(self.source or "phantom", self.parameters, self.memory)

    def _axis(self, recording: play.Recording) -> float:
        if self.center is not None:
            return self.center
        # the phantom knows its axis; a file does not
        known = recording.source.model_dump().get("center")
        return float(known) if known is not None else (recording.shape[1] - 1) / 2

    def _angles(self, recording: play.Recording, turn: play.Turn | None, count: int) -> np.ndarray[Any, Any]:
        if turn is None:
            return recording.angles
        return np.array([turn.angle(recording.angles, place) for place in range(count)])

    def _publish_fields(self, beamline: Beamline, recording: play.Recording, turn: play.Turn | None) -> None:
        """Dark, flat and angles as they are known before the first frame."""
        for use in ("dark", "flat"):
            images = recording.images.get(use)
            beamline.set(getattr(self, use), wire.write_image(images[0].pixels if images else None))
        ahead = 0 if turn is None else (self.frames or _TURNS_AHEAD * turn.count)
        beamline.set(self.theta, wire.write_theta(self._angles(recording, turn, ahead)))
        beamline.set(self.image, wire.blank())

    def _announce(
        self, beamline: Beamline, recording: play.Recording, on_ready: Callable[[dict[str, Any]], None] | None
    ) -> None:
        names = {use: self.prefix + getattr(self, use) for use in ("image", "dark", "flat", "theta")}
        rows, cols = recording.shape
        told = {
            "server": beamline.address,
            "search_port": beamline.search_port,
            **names,
            "frames": self.frames or (None if self.loop else len(recording)),
            "rows": rows,
            "cols": cols,
            "dtype": recording.dtype.name,
        }
        if self.ready is not None:
            _write(self.ready, told)
        if on_ready is not None:
            on_ready(told)

    # ---- the scan ---------------------------------------------------------------------------------------------------

    def _places(self, recording: play.Recording, played: Played) -> Iterator[int]:
        """Places of one epoch, from 0 on."""
        end = self.frames if self.loop else min(self.frames or len(recording), len(recording))
        place = 0
        restart = self.restart_after if played.epochs == 1 else None
        while (end is None or place < end) and place != restart:
            yield place
            place += 1

    def _play(
        self,
        beamline: Beamline,
        recording: play.Recording,
        turn: play.Turn | None,
        pictures: play.Pictures,
        played: Played,
        stop: threading.Event,
    ) -> None:
        while True:
            if self.wait_for_clients and not beamline.wait_for_client(stop):
                return
            stop.wait(self.settle)
            self._play_epoch(beamline, recording, turn, pictures, played, stop)
            if self.restart_after is None or played.epochs > 1 or stop.is_set():
                break
            _log.info("Restarting: the server goes away for %g s and ids start over.", self.down)
            played.epochs += 1
            beamline.stop()
            stop.wait(self.down)
            self._publish_fields(beamline, recording, turn)
            beamline.start()
        stop.wait(self.linger)

    def _play_epoch(
        self,
        beamline: Beamline,
        recording: play.Recording,
        turn: play.Turn | None,
        pictures: play.Pictures,
        played: Played,
        stop: threading.Event,
    ) -> None:
        chance = np.random.default_rng([self.seed, played.epochs])
        hidden = set(self.lose_ids)
        begin = time.perf_counter()
        played.began = played.began or begin
        pending: list[int] = []
        shift = 0.0
        published = len(self._angles(recording, turn, self.frames or _TURNS_AHEAD * turn.count)) if turn else 0
        for place in self._places(recording, played):
            number = place + self.first_id
            hold = number in hidden or (place > 0 and chance.random() < self.lose)
            shift += self._pace(begin + shift, place, played, stop)
            if stop.is_set() or (self.seconds and time.perf_counter() - played.began >= self.seconds):
                break
            if turn and place > published - turn.count * (_TURNS_AHEAD // 2) and not self.frames:
                published += _TURNS_AHEAD * turn.count
                beamline.post(self.theta, wire.write_theta(self._angles(recording, turn, published)))
            self._new_images(beamline, recording, place)
            if hold:
                pending.append(number)
                continue
            played.withheld += pending if played.last_place >= 0 else []
            played.held_back += len(pending)
            pending = []
            at, mirrored = turn.picture(place) if turn else (place, False)
            self._post(beamline, pictures.get(at, mirrored=mirrored), number)
            played.posted += 1
            played.last_place = place
            played.ended = time.perf_counter()

    def _pace(self, begin: float, place: int, played: Played, stop: threading.Event) -> float:
        """Wait for the frame's time; returns by how much the schedule must move because we are late."""
        if not self.rate:
            return 0.0
        left = begin + place / self.rate - time.perf_counter()
        if left > 0:
            stop.wait(left)
            return 0.0
        if left > -_BEHIND:
            return 0.0
        played.late += 1
        return -left

    def _new_images(self, beamline: Beamline, recording: play.Recording, place: int) -> None:
        """Darks and flats that were taken during the scan come when they came then."""
        for use in ("dark", "flat"):
            for image in recording.images.get(use, [])[1:]:
                if image.place == place:
                    beamline.post(getattr(self, use), wire.write_image(image.pixels))

    def _post(self, beamline: Beamline, picture: Any, number: int) -> None:
        now = time.time_ns()
        seconds, nanoseconds = divmod(now, 10**9)
        picture.uniqueId = wire.as_signed(number & ((1 << self.id_bits) - 1))
        for stamp in (picture.timeStamp, picture.dataTimeStamp):
            stamp.secondsPastEpoch, stamp.nanoseconds = seconds, nanoseconds
        beamline.post(self.image, picture)

    def _report(self, recording: play.Recording, played: Played) -> dict[str, Any]:
        seconds = played.ended - played.began
        return {
            "posted": played.posted,
            "withheld": played.held_back,
            "withheld_ids": played.withheld,
            "epochs": played.epochs,
            "seconds": seconds,
            "rate_asked": self.rate,
            "rate_offered": played.rate,
            "bytes_per_second": played.rate * recording.scan.main.frame_bytes,
            "late": played.late,
            "last_id": played.last_place + self.first_id,
        }


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write JSON so that a reader never sees half of it."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, indent=1), encoding="utf-8")
    part.replace(path)


def main(arguments: list[str]) -> int:
    """Run a simulator with parameters given as ``name=value``; prints the address and the names as one line of JSON."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        given = dict(text.split("=", 1) for text in arguments)
        simulator = PvaSimulator.model_validate({name: yaml.safe_load(value) for name, value in given.items()})
        simulator.run(stop, lambda told: _say(told))
    except (FirstlightError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1 if isinstance(error, SourceError) else 2
    return 0


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
