"""Simulator: a Merlin detector that is not there. Plays a file or a phantom over its data port, with a control port."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from firstlight.core import registry
from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError
from firstlight.core.npy import open_npy
from firstlight.core.source import RandomAccess, Source
from firstlight.core.step import Configured
from firstlight.core.units import Hertz, Second

from .commands import Commands
from .mib import read_recording
from .wire import FRAMES, PER_TRIGGER, message, write_frame, write_start


class MerlinSimulator(Configured):
    """Sends acquisitions as a Merlin detector does, to one client at a time, and understands its commands."""

    use: ClassVar[str] = "merlin"

    file: Path | None = None
    """File to play: .npy (frames of 8, 16, 32 or 64 bits) or .mib; default: the phantom of a phase object."""
    replay: Path | None = None
    """A .mib file whose frames are sent as they are, byte for byte, behind the header of its .hdr file."""
    source: str | None = None
    """Name of the source that makes or reads the frames; default: mib for a file, otherwise phantom4d."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the source that makes the frames, such as ``{scan_y: 64, scan_x: 64}`` for the phantom."""
    arrangement: str = "1x1"
    """Of the chips, as headers name it: 1x1, 2x2, 2x2G, Nx1."""
    depth: int = Field(default=12, ge=1, le=64)
    """Bits of the counter, as headers tell them."""
    auto: Annotated[int, Field(ge=0)] = 1
    """Start so many acquisitions by itself once a client is there; 0: wait for STARTACQUISITION and SOFTTRIGGER."""
    continuous: bool = False
    """Announce 0 frames and go on and on."""
    rate: Annotated[Hertz, Field(ge=0)] = 0.0
    """Frames per second; 0: as fast as they are taken."""
    dwell: Annotated[Second, Field(ge=0)] = 0.0
    """Pause after each line of the scan."""
    tell_scan: bool = False
    """Tell ScanX and ScanY in the header, as newer software does."""
    leftovers: int = Field(default=0, ge=0, le=10**8)
    """Bytes of garbage that a new client gets first."""
    lose_ids: tuple[int, ...] = ()
    """Numbers of frames to hold back, from 0."""
    repeat_ids: tuple[int, ...] = ()
    """Numbers of frames to send twice."""
    truncate_ids: tuple[int, ...] = ()
    """Numbers of frames to cut off."""
    restart_after: Annotated[int, Field(gt=0)] | None = None
    """Abandon the acquisition once after so many frames, and begin another."""
    linger: Annotated[Second, Field(ge=0)] = 2.0
    """How long to stay after the last acquisition."""
    port: int = Field(default=0, ge=0, le=65535)
    """Data port; 0: any free one."""
    control_port: int = Field(default=0, ge=0, le=65535)
    """Control port; 0: any free one."""
    interface: str = "127.0.0.1"
    """Address to serve on. Anything but loopback makes the detector visible to the network."""

    @model_validator(mode="after")
    def _something_to_play(self) -> MerlinSimulator:
        if self.file is not None and not self.file.is_file():
            raise ValueError(f"file = '{self.file}' is no file")
        if self.replay is not None and not (self.replay.is_file() and self.replay.with_suffix(".hdr").is_file()):
            raise ValueError(f"replay = '{self.replay}' is no .mib file with its .hdr file beside it")
        return self

    def run(
        self, stop: threading.Event | None = None, on_ready: Callable[[dict[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        """Serve until the acquisitions are over, or `stop` is set.

        Args:
            stop: Set it from another thread to end.
            on_ready: Called once both ports are open.

        Returns:
            What was sent.

        Raises:
            SourceError: There is nothing to play, or a port is taken.
        """
        stop = stop or threading.Event()
        if self.replay is not None:
            return self._replay(self.replay, stop, on_ready)
        frames, line = self._load()
        commands = Commands(frames.shape, self.depth, continuous=self.continuous)
        sent = acquisitions = 0
        with self._listen(self.port) as data, commands.serve(self._listen(self.control_port), stop) as control:
            if on_ready is not None:
                host, port = data.getsockname()
                on_ready({"host": host, "port": port, "control_port": control, "frames": len(frames)})
            began = time.monotonic()
            while not stop.is_set() and (not self.auto or acquisitions < self.auto):
                data.settimeout(0.1)
                with contextlib.suppress(TimeoutError):
                    client, _ = data.accept()
                    with client, contextlib.suppress(OSError):
                        client.settimeout(None)
                        client.sendall(b"\xa5MPX,garbage" * (self.leftovers // 12))
                        while not stop.is_set() and (not self.auto or acquisitions < self.auto):
                            if not self.auto and not commands.started(0.05):
                                if _gone(client):
                                    break
                                continue
                            sent += self._acquire(client, frames, line, commands, stop)
                            acquisitions += 1
                        if self.auto:
                            stop.wait(self.linger)
            seconds = time.monotonic() - began
            stop.set()
        return {"sent": sent, "acquisitions": acquisitions, "rate": round(sent / max(seconds, 1e-9), 1)}

    # ---- within -----------------------------------------------------------------------------------------------------

    def _replay(
        self, path: Path, stop: threading.Event, on_ready: Callable[[dict[str, Any]], None] | None
    ) -> dict[str, Any]:
        """Send a recording to the first client."""
        header, frames = read_recording(path)
        with self._listen(self.port) as data:
            if on_ready is not None:
                host, port = data.getsockname()
                on_ready({"host": host, "port": port, "frames": len(frames)})
            data.settimeout(0.1)
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    client, _ = data.accept()
                    break
            else:
                return {"sent": 0, "acquisitions": 0}
            sent, began = 0, time.monotonic()
            with client, contextlib.suppress(OSError):
                client.settimeout(None)
                client.sendall(message(header))
                for frame in frames:
                    if self.rate > 0:
                        stop.wait(max(0.0, began + sent / self.rate - time.monotonic()))
                    if stop.is_set():
                        break
                    client.sendall(message(bytes(frame)))
                    sent += 1
                stop.wait(self.linger)
        return {"sent": sent, "acquisitions": 1}

    def _acquire(
        self, client: socket.socket, frames: Array, line: int, commands: Commands, stop: threading.Event
    ) -> int:
        """One acquisition; the number of frames that were sent."""
        count = commands.frames
        client.sendall(message(self._header(count, line, len(frames) // line)))
        if not self.auto:
            commands.wait_for_trigger(stop)
        began, sent, at, restarted = time.monotonic(), 0, 0, False
        while (at < count or self.continuous) and not stop.is_set() and not commands.stopped:
            if at == self.restart_after and not restarted:
                restarted, at = True, 0
                client.sendall(message(self._header(count, line, len(frames) // line)))
            if self.rate > 0:
                stop.wait(max(0.0, began + sent / self.rate - time.monotonic()))
            sent += self._send(client, at, frames[at % len(frames)])
            at += 1
            if self.dwell and at % line == 0:
                stop.wait(self.dwell)
        commands.finish()
        return sent

    def _send(self, client: socket.socket, at: int, pixels: Array) -> int:
        if at in self.lose_ids:
            return 0
        payload = write_frame(at, pixels, arrangement=self.arrangement, depth=self.depth)
        if at in self.truncate_ids:
            payload = payload[: len(payload) // 2]
        for _ in range(2 if at in self.repeat_ids else 1):
            client.sendall(message(payload))
        return 1

    def _header(self, count: int, line: int, lines: int) -> bytes:
        values = {
            "Chip Type (Medipix 3.0, Medipix 3.1, Medipix 3RX)": "Medipix 3RX",
            "Assembly Size (NX1, 2X2)": self.arrangement,
            "Counter Depth (number)": self.depth,
            FRAMES: 0 if self.continuous else count,
            PER_TRIGGER: count,
            "Readout System": "simulated by firstlight, no measured data",
        }
        return write_start({**values, "ScanX": line, "ScanY": lines} if self.tell_scan else values)

    def _load(self) -> tuple[Array, int]:
        """Frames of shape (frame, row, col), and how many make a line."""
        if self.file is not None and self.file.suffix == ".npy":
            found = open_npy(self.file)
        else:
            path = {} if self.file is None else {"path": self.file}
            name = self.source or ("phantom4d" if self.file is None else "mib")
            source: Source = registry.get("sources", name)(**path, **self.parameters)
            source.open()
            found = source.read({}) if isinstance(source, RandomAccess) else np.zeros(0)
            source.close()
        if found.ndim not in (3, 4) or found.dtype.kind != "u":
            raise SourceError(
                "This can not be played.",
                field="file",
                value=(found.shape, found.dtype.name),
                expected="3 or 4 axes of unsigned integers",
            )
        return found.reshape(-1, *found.shape[-2:]), int(found.shape[found.ndim - 3])

    def _listen(self, port: int) -> socket.socket:
        try:
            return socket.create_server((self.interface, port))
        except OSError as error:
            raise SourceError(f"The port can not be used: {error}.", field="port", value=port) from error


def _gone(client: socket.socket) -> bool:
    """True if the client has closed its connection."""
    try:
        return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
