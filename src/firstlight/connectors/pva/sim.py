"""Simulator: a beamline that is not there. Publishes a file or the phantom as areaDetector and TomoScanStream would.

In a process of its own: ``python -m firstlight.connectors.pva.sim rate=50 file=scan.h5 report=report.json``.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import Field, model_validator

from firstlight.core.errors import FirstlightError, SourceError
from firstlight.core.step import Configured
from firstlight.core.units import Bytes, Hertz, Second

from . import play
from .player import Player, Schedule
from .serve import Beamline, refuse_taken

Codec = Literal["", "lz4", "lz4hdf5", "bslz4", "blosc", "zlib"]


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
    """Column of the axis for mirrored half turns; default: what the source knows, or found from opposite projections."""
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
        mirrored = turn is not None and turn.mirrored
        center = play.find_axis(recording) if mirrored and self.center is None else self.center
        pictures = play.Pictures(recording, self.codec, center, self.memory)
        pictures.prepare(turn.count if turn else len(recording), mirrored=mirrored)
        names = {use: self.prefix + getattr(self, use) for use in ("image", "dark", "flat", "theta")}
        refuse_taken(list(names.values()), self.interface)
        beamline = Beamline(names, self.interface, self.port)
        player = Player(beamline, recording, turn, pictures, self._schedule(), stop)
        try:
            player.publish_fields()
            beamline.start()
            self._announce(beamline, recording, center, on_ready)
            player.play(wait=self.wait_for_clients, settle=self.settle, down=self.down)
            stop.wait(self.linger)
            beamline.let_last_out()
        finally:
            beamline.stop()
            recording.source.close()
        report = player.report(self.rate)
        if self.report is not None:
            _write(self.report, report)
        return report

    # ---- before -----------------------------------------------------------------------------------------------------

    def _load(self) -> play.Recording:
        if self.file is not None:
            name = self.source or play.find_source(self.file)
            return play.load(name, {"path": self.file, **self.parameters}, self.memory)
        return play.load(self.source or "phantom", self.parameters, self.memory)

    def _schedule(self) -> Schedule:
        return Schedule(
            rate=self.rate,
            frames=self.frames,
            seconds=self.seconds,
            lose=self.lose,
            lose_ids=frozenset(self.lose_ids),
            seed=self.seed,
            restart_after=self.restart_after,
            first_id=self.first_id,
            id_bits=self.id_bits,
        )

    def _announce(
        self,
        beamline: Beamline,
        recording: play.Recording,
        center: float | None,
        on_ready: Callable[[dict[str, Any]], None] | None,
    ) -> None:
        """Tell who asked, in a file or by a call, where the channels are and what they will bring."""
        rows, cols = recording.shape
        told = {
            "server": beamline.address,
            "search_port": beamline.search_port,
            **beamline.names,
            "frames": self.frames or (None if self.loop else len(recording)),
            "rows": rows,
            "cols": cols,
            "dtype": recording.dtype.name,
            "center": center,
        }
        if self.ready is not None:
            _write(self.ready, told)
        if on_ready is not None:
            on_ready(told)


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
