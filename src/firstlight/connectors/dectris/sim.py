"""Simulator: a DECTRIS detector that is not there. Plays a file or a phantom over stream v1 or v2, with a REST interface."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import uvicorn
import zmq
from pydantic import Field, model_validator

from firstlight.core import registry
from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Chunk
from firstlight.core.curve import z85_key
from firstlight.core.errors import SourceError
from firstlight.core.npy import open_npy
from firstlight.core.source import Source
from firstlight.core.step import Configured
from firstlight.core.units import Bytes, Hertz, Second

from .replay import replay as play_again
from .rest import app_for
from .unit import ControlUnit, Faults, Manner
from .wire import read_encoding


class DectrisSimulator(Configured):
    """Sends series as a DECTRIS detector does, over ZeroMQ, and can be configured, armed and triggered over REST."""

    use: ClassVar[str] = "dectris"

    file: Path | None = None
    """Array to play (.npy), or a file for `source`; default: the phantom of a phase object."""
    source: str | None = None
    """Name of the source that reads it; default: none for .npy, otherwise phantom4d."""
    replay: Path | None = None
    """Recording (``.cbors``) whose messages are sent again, byte for byte, instead of frames; no commands are understood."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Parameters of that source, such as ``{scan_y: 64, scan_x: 64, rows: 128, columns: 128}``."""
    stream: Literal[1, 2] = 1
    """Version of the stream."""
    encoding: str = "bs16-lz4<"
    """How frames are compressed: ``bs<bits>-lz4<``, ``lz4<`` or ``<`` (not at all)."""
    header_detail: Literal["none", "basic", "all"] = "basic"
    """How much the header of stream v1 tells."""
    split: bool = False
    """Send every part as a message of its own, as LiberTEM's simulator and some proxies do."""
    channels: tuple[str, ...] = ("threshold_1",)
    """Names of the thresholds (stream v2)."""
    socket: Literal["push", "pub"] = "push"
    """Push to one reader without loss, or publish to many."""
    trigger_mode: Literal["ints", "inte", "exts", "exte"] = "exte"
    """What the detector is set to at first."""
    auto: Annotated[int, Field(ge=0)] = 1
    """Arm and trigger by itself so many series, once somebody reads; 0: wait for commands over REST."""
    rate: Annotated[Hertz, Field(ge=0)] = 0.0
    """Frames (of a recording: messages) per second; 0: as fast as they are taken."""
    dwell: Annotated[Second, Field(ge=0)] = 0.0
    """Pause after each line of the scan."""
    frames: Annotated[int, Field(gt=0)] | None = None
    """Frames of a series; default: as many as there are. More go round and round."""
    lose: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Part of the frames to hold back."""
    lose_ids: tuple[int, ...] = ()
    """Numbers of frames to hold back."""
    repeat_ids: tuple[int, ...] = ()
    """Numbers of frames to send twice."""
    truncate_ids: tuple[int, ...] = ()
    """Numbers of frames to cut off."""
    garbage_ids: tuple[int, ...] = ()
    """Numbers of frames before which bytes without meaning are sent."""
    swap_ids: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Numbers of frames that go out after their successor."""
    restart_after: Annotated[int, Field(gt=0)] | None = None
    """Abandon the series once after so many frames, and arm anew."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Another seed holds back other frames."""
    unheard: Annotated[int, Field(ge=0)] = 0
    """Frames that are published before anybody reads, as for a run that was started too late; the series then waits for it."""
    settle: Annotated[Second, Field(ge=0)] = 0.5
    """Time from arming to the first frame where a signal triggers."""
    linger: Annotated[Second, Field(ge=0)] = 2.0
    """How long to stay after the last series."""
    port: int = Field(default=0, ge=0, le=65535)
    """TCP port of the frames; 0: any free one."""
    api_port: int = Field(default=0, ge=0, le=65535)
    """TCP port of the REST interface; 0: any free one."""
    interface: str = "127.0.0.1"
    """Address to serve on. Anything but loopback makes the detector visible to the network."""
    secret_key: str | None = None
    """Name of the environment variable with the server's secret key (Z85 or base64): the stream then speaks CurveZMQ."""
    memory: Annotated[Bytes, Field(gt=0)] = 2 * 2.0**30
    """Bytes of frames to hold."""

    @model_validator(mode="after")
    def _something_to_play(self) -> DectrisSimulator:
        if self.file is not None and not self.file.is_file():
            raise ValueError(f"file = '{self.file}' is no file")
        if self.replay is not None and not self.replay.is_file():
            raise ValueError(f"replay = '{self.replay}' is no file")
        if self.unheard and self.socket == "push":
            raise ValueError(f"unheard = {self.unheard} needs socket = pub: what is pushed waits for a reader")
        read_encoding(self.encoding)
        return self

    def run(
        self, stop: threading.Event | None = None, on_ready: Callable[[dict[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        """Serve until the series are over, or `stop` is set.

        Args:
            stop: Set it from another thread to end.
            on_ready: Called once both ports are open, with the addresses and what will be played.

        Returns:
            What was sent.

        Raises:
            SourceError: There is nothing to play, or a port is taken.
        """
        stop = stop or threading.Event()
        if self.replay is not None:
            return self._replay(self.replay, stop, on_ready)
        frames, line = self._load()
        context = zmq.Context()
        try:
            socket, readers, data = self._bind(context)
            manner = self._manner(frames)
            if self.unheard:
                manner = replace(manner, unheard=self.unheard, heard=lambda: self._wait_for_reader(readers, stop))
            unit = ControlUnit(socket, frames, self._config(frames), manner, stop, line)
            unit.config["stream"]["header_detail"] = self.header_detail
            with _Served(unit, self.interface, self.api_port) as api:
                if on_ready is not None:
                    on_ready({"data": data, "api": api, "frames": unit.start.frames, "shape": frames.shape[1:]})
                began = time.monotonic()
                self._play(unit, readers, stop)
                seconds = time.monotonic() - began
                stop.wait(self.linger if self.auto else None)
        finally:
            stop.set()
            context.destroy(linger=0)
        rate = unit.sent / max(seconds, 1e-9)
        return {"sent": unit.sent, "withheld": unit.withheld, "series": unit.series, "rate": round(rate, 1)}

    # ---- within -----------------------------------------------------------------------------------------------------

    def _replay(
        self, path: Path, stop: threading.Event, on_ready: Callable[[dict[str, Any]], None] | None
    ) -> dict[str, Any]:
        context = zmq.Context()
        try:
            socket, readers, data = self._bind(context)
            if on_ready is not None:
                on_ready({"data": data, "replay": str(path)})
            self._wait_for_reader(readers, stop)
            report = play_again(socket, path, self.rate, stop)
            stop.wait(self.linger)
            return report
        finally:
            stop.set()
            context.destroy(linger=0)

    def _wait_for_reader(self, readers: zmq.Socket[bytes], stop: threading.Event) -> None:
        while not stop.is_set() and not readers.poll(100):
            pass

    def _play(self, unit: ControlUnit, readers: zmq.Socket[bytes], stop: threading.Event) -> None:
        if not self.auto:
            return
        if not self.unheard:
            self._wait_for_reader(readers, stop)
        for _ in range(self.auto):
            unit.arm()
            while unit.state != "idle" and not stop.is_set():
                if self.trigger_mode.startswith("int"):
                    unit.trigger()
                else:
                    unit.wait()

    def _load(self) -> tuple[Array, int]:
        """Frames of shape (frame, row, col), and how many make a line."""
        if self.file is not None and self.file.suffix == ".npy":
            found = open_npy(self.file)
        else:
            path = {} if self.file is None else {"path": self.file}
            found = _read(self.source or "phantom4d", {**path, **self.parameters}, self.memory)
        if found.ndim not in (3, 4) or found.dtype.name not in ("uint8", "uint16", "uint32"):
            raise SourceError(
                "This can not be played.",
                field="file",
                value=(found.shape, found.dtype.name),
                expected="3 or 4 axes of uint8, uint16 or uint32",
            )
        return found.reshape(-1, *found.shape[-2:]), found.shape[-3]

    def _config(self, frames: Array) -> dict[str, Any]:
        count = self.frames or len(frames)
        single = self.trigger_mode in ("inte", "exte")
        return {
            "description": "simulated by firstlight, no measured data",
            "x_pixels_in_detector": frames.shape[2],
            "y_pixels_in_detector": frames.shape[1],
            "bit_depth_image": 8 * frames.dtype.itemsize,
            "trigger_mode": self.trigger_mode,
            "nimages": 1 if single else count,
            "ntrigger": count if single else 1,
            "count_time": 1e-3,
            "frame_time": 1 / self.rate if self.rate else 1e-3,
            "compression": "bslz4" if "bs" in self.encoding else "lz4" if "lz4" in self.encoding else "none",
            "mask_to_zero": False,
            "roi_mode": "disabled",
        }

    def _manner(self, frames: Array) -> Manner:
        count = self.frames or len(frames)
        drawn = np.flatnonzero(np.random.default_rng(self.seed).random(count) < self.lose) if self.lose else []
        faults = Faults(
            lose=frozenset([*self.lose_ids, *map(int, drawn)]),
            repeat=frozenset(self.repeat_ids),
            truncate=frozenset(self.truncate_ids),
            garbage=frozenset(self.garbage_ids),
            swap=frozenset(number for number in self.swap_ids if number + 1 < count),
            restart_after=self.restart_after,
        )
        return Manner(self.stream, self.encoding, self.split, self.rate, self.dwell, self.settle, self.channels, faults)

    def _bind(self, context: zmq.Context[Any]) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes], str]:
        """The socket to send on, the one that tells when somebody reads, and the address."""
        socket = context.socket(zmq.PUSH if self.socket == "push" else zmq.XPUB)
        # who has connected to one that publishes hears nothing yet: the subscription follows, and comes on the socket itself
        readers = socket if self.socket == "pub" else socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        if self.secret_key is not None:
            secret = z85_key(os.environ[self.secret_key], self.secret_key).encode("ascii")
            socket.curve_server = True
            socket.curve_publickey, socket.curve_secretkey = zmq.curve_public(secret), secret
        try:
            socket.bind(f"tcp://{self.interface}:{self.port or '*'}")
        except zmq.ZMQError as error:
            raise SourceError(f"The port can not be used: {error}.", field="port", value=self.port) from error
        return socket, readers, socket.getsockopt_string(zmq.LAST_ENDPOINT)


def _read(name: str, parameters: dict[str, Any], memory: float) -> Array:
    """All frames of a source, by their place."""
    source: Source = registry.get("sources", name)(**parameters)
    scan = source.open()
    try:
        count, shape = scan.main.frames, scan.main.frame_shape
        if count is None or count * scan.main.frame_bytes > memory:
            raise SourceError("The scan does not fit into memory.", field="memory", value=memory, expected="more")
        out = np.zeros((count, *shape), scan.main.dtype)
        for item in source.items():
            if isinstance(item, Chunk) and item.stream == MAIN:
                out[item.ids - scan.main.first] = item.data
    finally:
        source.close()
    lines = scan.main.sizes[scan.main.arrival_axes[-1]] or count
    return out.reshape(-1, lines, *shape)


class _Served:
    """The REST interface in a thread of its own."""

    def __init__(self, unit: ControlUnit, interface: str, port: int) -> None:
        config = uvicorn.Config(app_for(unit), host=interface, port=port, log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        self._interface, self._port = interface, port
        self._thread = threading.Thread(target=self._server.run, name="simulated SIMPLON", daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise SourceError("The port can not be used.", field="api_port", value=self._port)
            time.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://{self._interface}:{port}"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)
