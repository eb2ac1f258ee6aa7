"""Connections, acquisitions and controllers with the names that LiberTEM-live gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self

from firstlight.core.errors import FirstlightError
from firstlight.core.source import Source
from firstlight.jobs.detectors import Connected, connect, scan_shape
from firstlight.jobs.hooks import Hooks as LifeHooks

from .buffers import Shape
from .eiger_client import EigerClient


class ReadyForDataEnv(NamedTuple):
    """What `Hooks.on_ready_for_data` gets."""

    aq: Acquisition


class DetermineNavShapeEnv(NamedTuple):
    """What `Hooks.on_determine_nav_shape` gets."""

    nimages: int | None
    shape_hint: tuple[int, ...] | None


class Hooks:
    """Called in the life of an acquisition; derive from it."""

    def on_ready_for_data(self, env: ReadyForDataEnv) -> None:
        """The detector is armed: start the scan here. Not called where somebody else arms it."""

    def on_determine_nav_shape(self, env: DetermineNavShapeEnv) -> tuple[int, ...] | None:
        """Say what shape the scan has; None: as hinted, or as the detector tells."""
        return None


@dataclass(frozen=True, slots=True)
class Controller:
    """What an active acquisition sets the detector to."""

    settings: Mapping[str, Any]
    enable_corrections: bool = False


@dataclass(frozen=True, slots=True)
class PendingAcquisition:
    """An acquisition that somebody else has started."""

    source: Any

    @property
    def header(self) -> Any:
        """What the detector said at its start."""
        return self.source.header

    @property
    def nimages(self) -> int | None:
        """Frames that the detector announces."""
        return self.header.frames

    @property
    def nav_shape(self) -> tuple[int, int] | None:
        """The shape of the scan, where the detector tells it."""
        found: tuple[int, int] | None = getattr(self.header, "scan", None)
        return found

    @property
    def series(self) -> int | None:
        """Number of the series (DECTRIS)."""
        return getattr(self.header, "series", None)

    @property
    def detector_config(self) -> Mapping[str, Any]:
        """The detector's settings (DECTRIS)."""
        return getattr(self.header, "config", {})


class Connection:
    """A connection to a detector, for many acquisitions."""

    def __init__(self, kind: str, where: Mapping[str, Any]) -> None:
        """Connect."""
        self.kind, self._where = kind, dict(where)
        self._connected: Connected | None = connect(kind, **self._where)

    @property
    def detector(self) -> Connected:
        """The detector.

        Raises:
            FirstlightError: The connection is closed.
        """
        if self._connected is None:
            raise FirstlightError("The connection is closed.", next_move="Open it again: with connection: …")
        return self._connected

    def wait_for_acquisition(self, timeout: float | None = None) -> PendingAcquisition | None:
        """The next acquisition that somebody else starts; None at the time-out (in second)."""
        source = self.detector.wait(timeout)
        return None if source is None else PendingAcquisition(source)

    def get_active_controller(
        self, trigger_mode: str | None = None, *, enable_corrections: bool = False, **settings: Any
    ) -> Controller:
        """Settings for an acquisition that we start; None leaves one as it is.

        Args:
            trigger_mode: exte, inte, exts or ints (DECTRIS).
            enable_corrections: Patch the pixels that the detector says are bad (DECTRIS).
            settings: count_time, frame_time, roi_mode, compression, … (DECTRIS).

        Raises:
            FirstlightError: There is no such setting, or the detector takes none from here.
        """
        given = {"trigger_mode": trigger_mode, **settings}
        if "enable_file_writing" in given:
            given["file_writing"] = given.pop("enable_file_writing")
        given = {name: value for name, value in given.items() if value is not None}
        if self.kind == "merlin" and (given or enable_corrections):
            raise FirstlightError(
                "A Merlin is set with commands.",
                field=next(iter(given), "enable_corrections"),
                next_move="Use connection.control() in on_ready_for_data.",
            )
        return Controller(given, enable_corrections)

    def get_api_client(self) -> Any:
        """The SIMPLON REST interface, also by the names of DECTRIS's own client."""
        api = self.detector.api
        return EigerClient(api.address, version=api.version, timeout=api.timeout)

    def control(self) -> Control:
        """Merlin's command socket, for a ``with`` block."""
        return Control(self.detector.api)

    def read_sig_shape(self) -> tuple[int, int]:
        """Rows and columns, as the detector's control tells them."""
        api = self.detector.api
        if self.kind == "merlin":
            return int(api.get("IMAGEY")), int(api.get("IMAGEX"))
        return int(api.get("y_pixels_in_detector")), int(api.get("x_pixels_in_detector"))

    def reconnect(self) -> None:
        """Close and connect again."""
        self.close()
        self._connected = connect(self.kind, **self._where)

    def close(self) -> None:
        """Disconnect; harmless when called twice."""
        found, self._connected = self._connected, None
        if found is not None:
            found.close()

    def __enter__(self) -> Self:
        if self._connected is None:
            self._connected = connect(self.kind, **self._where)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Control:
    """Merlin's command socket with LiberTEM's names; its end leaves the socket to the connection."""

    def __init__(self, api: Any) -> None:
        """Keep the socket."""
        self._api = api

    def get(self, param: str) -> str:
        """The value of a parameter, as text."""
        found: str = self._api.get(param)
        return found

    def set(self, param: str, value: Any) -> None:
        """Change a parameter."""
        self._api.set(param, value)

    def cmd(self, name: str) -> None:
        """Give a command, such as STARTACQUISITION or SOFTTRIGGER."""
        self._api.command(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class Acquisition:
    """One scan: what `run_udf` takes for ``dataset``. An active one arms the detector when it is run."""

    def __init__(
        self,
        connection: Connection,
        nav_shape: tuple[int, ...] | None,
        controller: Controller | None,
        pending: PendingAcquisition | None,
        hooks: Hooks,
    ) -> None:
        """Decide on the shape of the scan, before data are read.

        Raises:
            SourceError: It does not fit the frames that the detector announces.
            FirstlightError: It is not complete, where we start the acquisition.
            ValueError: Both a controller and a pending acquisition are given.
        """
        if controller is not None and pending is not None:
            raise ValueError("controller and pending_aq exclude each other: who starts the acquisition?")
        self.connection, self.hooks = connection, hooks
        self.controller, self.pending = controller, pending
        self._nav = self._active_shape(nav_shape) if pending is None else self._passive_shape(nav_shape, pending)
        self._sig: tuple[int, int] | None = None

    @property
    def shape(self) -> Shape:
        """Sizes of scan and detector; the latter are asked for over its control."""
        told: Any = None if self.pending is None else getattr(self.pending.header, "sig", None)
        sig = self._sig or told or self.connection.read_sig_shape()
        self._sig = sig
        return Shape((*self._nav, *sig))

    @property
    def nav_shape(self) -> tuple[int, ...]:
        """Sizes of the scan."""
        return self._nav

    def source(self) -> Source:
        """The source of the frames; arms the detector and calls `on_ready_for_data` where we start the acquisition."""
        sizes = {"scan_y": self._nav[0], "scan_x": self._nav[1]} if len(self._nav) == 2 else {}
        if self.pending is not None:
            made: Source = self.pending.source.model_copy(update=sizes)
            return made
        if self.connection.kind == "merlin":
            return self._merlin(sizes)
        settings = dict(self.controller.settings) if self.controller is not None else {}
        return self.connection.detector.arm(shape=self._nav, hooks=_Ready(self), **settings)

    def _merlin(self, sizes: Mapping[str, int]) -> Source:
        """Merlin's commands, that which starts included, are given by the hook."""
        source = self.connection.detector.listen(sizes)
        self.hooks.on_ready_for_data(ReadyForDataEnv(self))
        return source

    def _active_shape(self, given: tuple[int, ...] | None) -> tuple[int, ...]:
        if given is None or len(given) != 2 or any(size < 1 for size in given):
            raise FirstlightError(
                "To start an acquisition, the shape of the scan must be known.",
                field="nav_shape",
                value=given,
                expected="(scan_y, scan_x), both 1 or more",
            )
        return tuple(given)

    def _passive_shape(self, given: tuple[int, ...] | None, pending: PendingAcquisition) -> tuple[int, ...]:
        decided = self.hooks.on_determine_nav_shape(DetermineNavShapeEnv(pending.nimages, given))
        wanted = decided or given or pending.nav_shape or (-1, -1)
        found = scan_shape(wanted, pending.nimages)
        return (pending.nimages or 1,) if found is None else found


class _Ready(LifeHooks):
    """Our hooks, from which LiberTEM's are called."""

    def __init__(self, acquisition: Acquisition) -> None:
        self._acquisition = acquisition

    def on_ready_for_data(self, detector: Any) -> None:
        """The detector is armed."""
        self._acquisition.hooks.on_ready_for_data(ReadyForDataEnv(self._acquisition))
