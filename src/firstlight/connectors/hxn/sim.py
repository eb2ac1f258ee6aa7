"""Simulator: a nanoprobe that is not there. Replays a ptychographic scan as the streams of an Eiger and of a PandABox."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from firstlight.core import registry
from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError, SourceError
from firstlight.core.npy import open_npy
from firstlight.core.step import Configured
from firstlight.core.units import Bytes, Hertz, Second

from ..recorded.recognised import recognising
from .client import url_of
from .loading import Part, bring
from .start import config_of, limits_of, start

_KEY_IN = "SERVER_SECRET_KEY"  # the name of a variable
_MOMENT = 1.0
"""Seconds from the last frame of which nobody hears to the start of the reconstruction: the series has begun by then."""


class HxnSimulator(Configured):
    """Replays a scan as two streams: frames as an Eiger sends them (ZeroMQ), positions as a PandABox does (JSON over ZeroMQ)."""

    use: ClassVar[str] = "hxn"

    file: Path | None = None
    """A ptychographic scan (CXI, …); default: the phantom."""
    source: str | None = None
    """Name of the source that reads it; default: the first that knows the file, or phantom_ptychography."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Parameters of that source."""
    rate: Annotated[Hertz, Field(ge=0)] = 0.0
    """Frames per second of both streams; 0: as fast as they are taken."""
    skip_frames: Annotated[int, Field(ge=0)] = 0
    """Frames to leave out at the beginning."""
    max_frames: Annotated[int, Field(gt=0)] | None = None
    """Frames to play at most."""
    nx: Annotated[int, Field(gt=0)] | None = None
    """Columns to keep, about the middle."""
    ny: Annotated[int, Field(gt=0)] | None = None
    """Rows to keep, about the middle."""
    scans: Annotated[int, Field(ge=1, le=1000)] = 1
    """How often the scan is played, one right after the other, as further scans on the same streams."""
    compress: bool = True
    """Compress frames with bitshuffle and LZ4, as an Eiger does; otherwise they go out as they are (`raw`)."""
    lose_ids: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Numbers of frames to hold back."""
    lose_messages: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Numbers of messages with positions to hold back."""
    swap_ids: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Numbers of frames that go out after their successor."""
    swap_messages: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Numbers of messages with positions that go out after their successor."""
    settling_ids: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Numbers of frames whose positions lie beyond the scan, as while a stage settles."""
    join_after: Annotated[int, Field(ge=0)] = 0
    """Frames of which nobody hears: the reconstruction is started when they are out, and the scan goes on when it listens."""
    upsample: Annotated[int, Field(ge=1, le=1000)] = 1
    """Samples of the PandABox for each frame."""
    eiger_port: int = Field(default=0, ge=0, le=65535)
    """TCP port of the frames; 0: any free one."""
    panda_port: int = Field(default=0, ge=0, le=65535)
    """TCP port of the positions; 0: any free one."""
    interface: str = "127.0.0.1"
    """Address to serve on. Anything but loopback makes the streams visible to the network."""
    linger: Annotated[Second, Field(ge=0)] = 2.0
    """How long to stay after the last frame."""
    chunk_size: Annotated[int, Field(gt=0)] = 1024
    """Frames that are read at once, from a file or a server."""
    memory: Annotated[Bytes, Field(gt=0)] = 2.0**30
    """Bytes of frames to hold while they are read; all of them go to a temporary file."""
    socket: Literal["push", "pub"] = "push"
    """Push frames to one reader without loss, or publish them to many, as at HXN."""
    secret_key: str | None = None
    """Name of the environment variable with the server's secret key (Z85 or base64): the frames then speak CurveZMQ. Default:
    SERVER_SECRET_KEY, holoptycho's name for it, where there is such a variable."""
    panda_curve: bool = False
    """The positions speak CurveZMQ too."""
    panda_ch1: str = "INENC2.VAL.Value"
    """Channel of the PandABox for the fast axis, x."""
    panda_ch2: str = "INENC3.VAL.Value"
    """Channel of the PandABox for the slow axis, y."""
    tiled_url: str | None = None
    """Address of a Tiled server, a catalogue or a run, to play from in place of a file; default with `uid`: TILED_BASE_URL."""
    uid: str | None = None
    """Unique name of the run on the Tiled server."""
    scan_id: str = Field(default="0", pattern=r"^\w{1,100}$")
    """Number of the scan, for names of results; on a Tiled server, which one to play: of several the newest."""
    hp_start: bool = False
    """Start the reconstruction by holoptycho's routes, and play when it listens; publishes then."""
    hp_url: str | None = None
    """Address of that service; default: HOLOPTYCHO_URL, or port 8000 of this machine."""
    config: dict[str, str | float | bool] = Field(default_factory=dict)
    """Further keys of holoptycho's config, such as ``{alg_flag: DM}``; they go before those that the replay knows."""
    mode: Literal["iterative", "vit", "both"] = "iterative"
    """What holoptycho shall reconstruct with."""
    n_iterations: Annotated[int, Field(ge=0)] = 300
    """Iterations after the last frame."""

    eiger_endpoint: str | None = None
    """Address of the frames, such as tcp://127.0.0.1:5555, in place of interface and eiger_port."""
    panda_endpoint: str | None = None
    """Address of the positions, such as tcp://127.0.0.1:5556, in place of interface and panda_port."""

    @model_validator(mode="before")
    @classmethod
    def _known_key(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and os.environ.get(_KEY_IN):
            return {"secret_key": _KEY_IN, **given}
        return given

    @model_validator(mode="after")
    def _something_to_play(self) -> HxnSimulator:
        if self.file is not None and not self.file.is_file():
            raise ValueError(f"file = '{self.file}' is no file")
        if self.secret_key is not None and not os.environ.get(self.secret_key):
            raise ValueError(f"secret_key = '{self.secret_key}': the environment has no such variable")
        if self.panda_curve and self.secret_key is None:
            raise ValueError("panda_curve needs a secret_key: the name of the environment variable that holds it")
        return self

    def run(
        self, stop: threading.Event | None = None, on_ready: Callable[[dict[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        """Serve both streams until the scan is over, or `stop` is set.

        Args:
            stop: Set it from another thread to end.
            on_ready: Called once both ports are open, with the addresses, the unit of the positions and the calibration.

        Returns:
            What was sent, by stream.

        Raises:
            SourceError: There is nothing to play, or a port is taken: another replay may be running there.
        """
        stop = stop or threading.Event()
        with tempfile.TemporaryDirectory(prefix="firstlight-") as folder:
            return self._replay(Path(folder), stop, on_ready or (lambda content: None))

    def _replay(self, folder: Path, stop: threading.Event, begin: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        frames, places, told = self._load(folder)
        told["range"] = {"low": places.min(axis=0).tolist(), "high": places.max(axis=0).tolist()}
        if self.hp_start:
            begin = self._starting(frames.shape, told, stop, begin)
        places = unsettled(places, self.settling_ids)
        np.save(folder / "places.npy", places)
        return self._play(folder, told, stop, begin)

    def _starting(
        self,
        shape: tuple[int, ...],
        told: dict[str, Any],
        stop: threading.Event,
        on_ready: Callable[[dict[str, Any]], None],
    ) -> Callable[[dict[str, Any]], None]:
        """What is done when both ports are open: start the reconstruction, then tell."""
        count, rows, cols = shape
        config = config_of(told, (count, rows, cols), self.scan_id)
        config |= limits_of(told) if self.settling_ids else {}
        config |= {
            "recon_mode": self.mode,
            "n_iterations": str(self.n_iterations),
            "it_ends_after": str(self.n_iterations),
            "panda_upsample": str(self.upsample),
            "pos_x_channel": self.panda_ch1,
            "pos_y_channel": self.panda_ch2,
            **{name: str(value) for name, value in self.config.items()},
        }
        url = url_of(self.hp_url)

        def begin(content: dict[str, Any]) -> None:
            on_ready({**content, "run": start(url, config, stop).get("run")})

        return begin

    def _play(
        self, folder: Path, told: dict[str, Any], stop: threading.Event, on_ready: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        itemsize = open_npy(folder / "frames.npy").dtype.itemsize
        common = {"rate": self.rate, "linger": self.linger, "unheard": self.join_after}
        eiger = registry.get("simulators", "dectris")(
            file=folder / "frames.npy",
            encoding=f"bs{8 * itemsize}-lz4<" if self.compress else "raw",  # holoptycho's own word for it
            lose_ids=self.lose_ids,
            swap_ids=self.swap_ids,
            socket="pub" if self.hp_start or self.join_after else self.socket,
            auto=self.scans,
            **({"settle": 0.0} if self.scans > 1 else {}),
            secret_key=self.secret_key,
            **_place("eiger_endpoint", self.eiger_endpoint, self.interface, self.eiger_port),
            **common,
        )
        panda = registry.get("simulators", "panda")(
            file=folder / "places.npy",
            upsample=self.upsample,
            captures=self.scans,
            lose=self.lose_messages,
            swap=self.swap_messages,
            x_channel=self.panda_ch1,
            y_channel=self.panda_ch2,
            secret_key=self.secret_key if self.panda_curve else None,
            **_place("panda_endpoint", self.panda_endpoint, self.interface, self.panda_port),
            **common,
        )
        with ThreadPoolExecutor(3, "hxn simulator") as pool:
            late = _Late(self.join_after / (self.rate or 1e4) + _MOMENT, on_ready, stop, pool)
            both_there = _BothThere(told, late if self.join_after else on_ready, stop)
            both = {
                stream: pool.submit(_until_over, name, part, stop, both_there)
                for stream, name, part in (("data", "eiger", eiger), ("positions", "panda", panda))
            }
            sent = {name: future.result() for name, future in both.items()}
            late.demand_started()
            return sent

    def _load(self, folder: Path) -> tuple[Array, Array, dict[str, Any]]:
        """Frames (frame, row, col) in a file, positions (frame, 2), and what belongs to them."""
        given = {} if self.file is None else {"path": self.file}
        name = self.source or self._source()
        if name == "tiled":
            number = int(self.scan_id) if self.scan_id.isdecimal() and self.uid is None else 0
            url = self.tiled_url or os.environ.get("TILED_BASE_URL", "http://localhost:8000")
            given = {"url": url, "uid": self.uid, "scan_id": number or None}
        source = registry.get("sources", name)(**given, **self.parameters)
        part = Part(self.skip_frames, self.max_frames, self.ny, self.nx, self.chunk_size, self.memory)
        return bring(source, part, folder)

    def _source(self) -> str:
        if self.file is None:
            return "tiled" if self.tiled_url or self.uid else "phantom_ptychography"
        found = recognising(self.file)
        if found is not None:
            return found
        raise SourceError(
            "No source knows this file.",
            field="file",
            value=str(self.file),
            expected="a CXI, .ptyd, HXN or ptychodus file, or give `source`",
        )


class _BothThere:
    """Called by each part when its port is open; lets none begin before both are, and the reconstruction is started."""

    def __init__(self, told: dict[str, Any], on_ready: Callable[[dict[str, Any]], None], stop: threading.Event) -> None:
        self._told, self._on_ready, self._stop = dict(told), on_ready, stop
        self._lock, self._go = threading.Lock(), threading.Event()

    def __call__(self, content: dict[str, Any]) -> None:
        """Note the address of one part, and wait for the other one."""
        with self._lock:
            self._told.update(content)
            last = "data" in self._told and "positions" in self._told
        if last:
            self._on_ready(self._told)
            self._go.set()
        while not self._go.wait(0.05) and not self._stop.is_set():
            pass


class _Late:
    """Called when both ports are open; starts the reconstruction some seconds later, when frames are out already."""

    def __init__(
        self,
        seconds: float,
        on_ready: Callable[[dict[str, Any]], None],
        stop: threading.Event,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._seconds, self._on_ready, self._stop, self._pool = seconds, on_ready, stop, pool
        self._started: Future[None] | None = None

    def __call__(self, content: dict[str, Any]) -> None:
        """Return at once."""
        self._started = self._pool.submit(self._start, content)

    def _start(self, content: dict[str, Any]) -> None:
        if not self._stop.wait(self._seconds):
            self._on_ready(content)

    def demand_started(self) -> None:
        """Wait until the reconstruction is started.

        Raises:
            SourceError: It could not be started.
        """
        if self._started is not None:
            self._started.result()


def unsettled(places: Array, numbers: Sequence[int]) -> Array:
    """Positions (frame, 2) of which some lie beyond the scan, by a fifth of its extent on the fast axis."""
    wrong = [number for number in numbers if number < len(places)]
    found = np.array(places, np.float64)
    fast = found[:, 1]
    found[wrong, 1] = fast.max() + 0.2 * (np.ptp(fast) or 1.0)
    return found


def _place(name: str, endpoint: str | None, interface: str, port: int) -> dict[str, Any]:
    """Interface and port of one part.

    Raises:
        SourceError: The address is malformed.
    """
    if endpoint is None:
        return {"interface": interface, "port": port}
    kind, _, place = endpoint.partition("://")
    host, _, number = place.rpartition(":")
    if kind != "tcp" or not host or not number.isdigit() or int(number) > 65535:
        raise SourceError(
            "The address can not be used.", field=name, value=endpoint, expected="such as tcp://127.0.0.1:5555"
        )
    return {"interface": {"*": "0.0.0.0", "localhost": "127.0.0.1"}.get(host, host), "port": int(number)}  # noqa: S104


def _until_over(
    name: str, simulator: Any, stop: threading.Event, on_ready: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Run one of the two; if it fails, the other one has no sense any more, but may be played to its end if it is over.

    Raises:
        SourceError: Its port is taken, or it failed.
    """
    own = threading.Event()
    threading.Thread(target=_pass_on, args=(stop, own), daemon=True).start()
    try:
        return simulator.run(own, on_ready)
    except Exception as error:
        stop.set()
        if not isinstance(error, FirstlightError) or error.field != "port":
            raise
        raise SourceError(
            f"tcp://{simulator.interface}:{simulator.port} can not be used: another replay may be playing there.",
            field=f"{name}_endpoint",
            value=simulator.port,
            expected="a free port",
            next_move=f"Wait for it, end it, or give another --{name}-endpoint.",
        ) from error
    finally:
        own.set()


def _pass_on(stop: threading.Event, own: threading.Event) -> None:
    while not own.is_set() and not stop.wait(0.05):
        pass
    own.set()
