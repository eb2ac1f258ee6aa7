"""Source: frames of an areaDetector over PV Access, with dark, flat and theta channels as TomoScanStream serves them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PrivateAttr, model_validator

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Item, Scan, Stream
from firstlight.core.errors import SourceError, Stopped
from firstlight.core.source import Source, dark_of_level, with_dark_level
from firstlight.core.units import Bytes, Degree, KeV, Micrometre, Quantity, Second

from .arrivals import Arrivals
from .receive import IMAGE, Receiver

_log = logging.getLogger(__name__)

_MOST_KNOWN_ANGLES = 10**6
"""Angles beyond these are looked up frame by frame, but not copied into the scan (back-and-forth scans post 10^8)."""


class Angles:
    """The angle of each place: from a list that may be replaced, or from a start and a step."""

    def __init__(self, start: float, step: float | None) -> None:
        """Start without a list."""
        self._start, self._step = start, step
        self.theta: Array | None = None

    def replace(self, theta: Array) -> None:
        """Take a new list, in degree."""
        if len(theta) > 50 and 3.0 < float(np.abs(theta[: 10**6]).max()) <= 2.001 * np.pi:
            _log.warning("The angles look like radians (up to %.4g); they are taken as degrees.", float(theta.max()))
        self.theta = theta

    def at(self, place: int) -> float | None:
        """Angle in degree, or None if the list is too short."""
        if self.theta is not None:
            return float(self.theta[place]) if place < len(self.theta) else None
        return None if self._step is None else self._start + place * self._step

    def known(self, frames: int | None) -> Array | None:
        """The angles that are known before the scan, shape (place,)."""
        if self.theta is not None:
            return np.array(self.theta[: min(frames or _MOST_KNOWN_ANGLES, _MOST_KNOWN_ANGLES)], np.float64)
        if self._step is not None and frames is not None:
            return self._start + self._step * np.arange(frames)
        return None


class PvaSource(Source):
    """Receives a scan from areaDetector over EPICS PV Access.

    Frames are placed by ``uniqueId``: a scan goes on through reconnections, and ids that start over open a new epoch.
    The value that a channel holds when we connect counts only if the next frame continues it. The scan is over after
    `frames` ids, on stop, or after `idle` without a frame once one came.
    """

    use: ClassVar[str] = "pva"
    pausable: ClassVar[bool] = False

    image: Annotated[str, Field(min_length=1)]
    """Channel of the frames (NTNDArray), such as ``2bmSP2:Pva1:Image``."""
    dark: str | None = None
    """Channel of the averaged dark image, such as ``2bmb:TomoScanStream:StreamDarkFields``."""
    dark_level: Annotated[float, Field(ge=0)] | None = None
    """Counts of a pixel without light, where there is no dark channel: 0 for a detector that counts photons."""
    flat: str | None = None
    """Channel of the averaged flat image, such as ``2bmb:TomoScanStream:StreamFlatFields``."""
    theta: str | None = None
    """Channel of the angles in degree, such as ``2bmb:TomoScanStream:StreamTheta``."""
    angle_start: Degree = 0.0
    """Angle of the first projection, where there is no theta channel but `angle_step`."""
    angle_step: Degree | None = None
    """Step from projection to projection, where there is no theta channel."""
    first_id: int = Field(default=1, ge=0)
    """``uniqueId`` of the first frame that a started detector sends."""
    first_proj_id: int = Field(default=0, ge=0)
    """TomoScanStream's FirstProjid: angle of a frame = theta[uniqueId − first_id − first_proj_id]."""
    id_bits: Literal[32, 16] = 32
    """Width of the detector's counter: 16 for cameras whose ids wrap at 65535."""
    window: int = Field(default=64, ge=1, le=16384)
    """How far out of order frames may come; a frame is given up after so many later ones."""
    frames: Annotated[int, Field(gt=0)] | None = None
    """Number of frames of the scan, if known; a missing head or tail then counts as lost."""
    idle: Annotated[Second, Field(gt=0)] = 10.0
    """The scan is over after this time without a frame, once one came."""
    timeout: Annotated[Second, Field(gt=0)] = 5.0
    """How long to wait for each channel to connect."""
    first_frame: Annotated[Second, Field(gt=0)] = 300.0
    """How long to wait for the first frame on a connected channel that has none yet."""
    attributes: tuple[str, ...] | None = None
    """NDAttributes to carry along with every frame; default: all that are numbers."""
    queue: int = Field(default=32, ge=4, le=4096)
    """Updates that may wait in the network layer, here and in the server, before it skips some."""
    memory: Annotated[Bytes, Field(gt=0)] = 256 * 2.0**20
    """Bytes of frames that may wait for the run to take them; what does not fit is counted as dropped."""
    server: str | None = None
    """Address ``host:port`` of the PVA server; default: found as the EPICS_PVA_* environment says."""
    pixel: Annotated[Micrometre, Field(gt=0)] | None = None
    """Pixel size at the sample."""
    energy: Annotated[KeV, Field(gt=0)] | None = None
    """Photon energy."""

    _receiver: Receiver | None = PrivateAttr(default=None)
    _angles: Angles | None = PrivateAttr(default=None)
    _seen: Scan | None = PrivateAttr(default=None)
    _stopped: bool = PrivateAttr(default=False)

    @model_validator(mode="after")
    def _one_kind_of_angles(self) -> PvaSource:
        if self.theta is not None and self.angle_step is not None:
            raise ValueError("Give either a theta channel or an angle_step, not both.")
        return self

    def open(self) -> Scan:
        """Connect, and wait for the first frame to learn shape and type.

        Raises:
            SourceError: A channel does not connect within `timeout` or holds no 2-D frames.
            Stopped: `stop` was called meanwhile.
        """
        self._connect()
        try:
            self._wait_for_channels()
            self._wait_for_layout()
            self._seen = with_dark_level(self._scan(), self.dark_level)
            return self._seen
        except BaseException:
            self.close()
            raise

    def items(self) -> Iterator[Item]:
        """Chunks of frames, dark and flat images, gaps and ends, as they come.

        Raises:
            SourceError: The frames are not what `open` found, or receiving failed.
        """
        receiver = self._receiver
        if receiver is None:
            raise SourceError(
                "The source is not open.", field="image", value=self.image, next_move="Call open() first."
            )
        if self.dark is None and self.dark_level is not None and self._seen is not None:
            yield from dark_of_level(self._seen, self.dark_level)
        yield from receiver.handover.items()
        if receiver.error is not None:
            raise receiver.error

    def stop(self) -> None:
        """End the scan; what has arrived is delivered."""
        self._stopped = True
        receiver = self._receiver
        if receiver is not None:
            receiver.stop()
            with receiver.changed:
                receiver.changed.notify_all()

    def close(self) -> None:
        """Disconnect."""
        receiver, self._receiver = self._receiver, None
        self._stopped = False
        if receiver is not None:
            receiver.stop()
            receiver.join(timeout=10.0)

    # ---- opening ----------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        from p4p.client.raw import Context

        names = {IMAGE: self.image, "dark": self.dark, "flat": self.flat, "theta": self.theta}
        self._angles = Angles(self.angle_start, self.angle_step)
        conf = client_conf(self.server)
        self._receiver = Receiver(
            lambda: Context("pva", conf=conf, useenv=conf is None, nt=False),
            {use: name for use, name in names.items() if name},
            queue=self.queue,
            arrivals=Arrivals(
                start=self.first_id + self.first_proj_id,
                bits=self.id_bits,
                window=self.window,
                frames=self.frames,
                idle=self.idle,
                since=time.time(),
            ),
            angle_at=self._angles.at if self.theta or self.angle_step is not None else None,
            set_theta=self._angles.replace,
            keep=self.attributes,
            idle=self.idle,
            limit=int(self.memory),
            renew=conf is not None,
        )
        self._receiver.connect()

    def _wait_for_channels(self) -> None:
        receiver, angles = self._receiver, self._angles
        if receiver is None or angles is None:
            return
        names = {IMAGE: self.image, "dark": self.dark, "flat": self.flat, "theta": self.theta}
        wanted = {use for use, name in names.items() if name}
        self._wait(lambda: wanted <= receiver.connected, self.timeout)
        for use in (IMAGE, "dark", "flat", "theta"):
            if use in wanted - receiver.connected:
                raise SourceError(
                    f"The PV '{names[use]}' did not connect within {self.timeout:g} s.",
                    field=use,
                    value=names[use],
                    expected="a PV Access channel that a server answers for",
                    next_move=_where_to_look(self.server),
                )
        self._wait(lambda: self.theta is None or angles.theta is not None, self.timeout)
        if self.theta is not None and angles.theta is None:
            raise SourceError(
                f"The PV '{self.theta}' holds no angles.",
                field="theta",
                value=self.theta,
                next_move="Start the scan so that it posts its angles, or give angle_start and angle_step instead.",
            )

    def _wait_for_layout(self) -> None:
        receiver = self._receiver
        if receiver is None:
            return
        self._wait(lambda: receiver.layout is not None, self.first_frame)
        if receiver.layout is None:
            raise SourceError(
                f"The PV '{self.image}' is connected, but no frame came within {self.first_frame:g} s.",
                field="image",
                value=self.image,
                next_move="Start the detector, and see that its PVA plugin has EnableCallbacks = Enable.",
            )

    def _wait(self, condition: Any, timeout: float) -> None:
        """Wait for something that the receiver notices.

        Raises:
            SourceError: It failed meanwhile.
            Stopped: `stop` was called meanwhile.
        """
        receiver = self._receiver
        if receiver is None:
            return
        end = time.monotonic() + timeout
        with receiver.changed:
            while not condition() and receiver.error is None and not self._stopped:
                left = end - time.monotonic()
                if left <= 0:
                    return
                receiver.changed.wait(min(left, 0.05))
        if receiver.error is not None:
            raise receiver.error
        if self._stopped:
            raise Stopped("The run was stopped before the first frame came.")

    def _scan(self) -> Scan:
        receiver, angles = self._receiver, self._angles
        if receiver is None or angles is None or receiver.layout is None:
            raise SourceError("The source was closed while it opened.", field="image", value=self.image)
        layout = receiver.layout
        rows, cols = layout.shape
        arrival = "angle" if self.theta or self.angle_step is not None else "time"
        sizes = {"row": rows, "col": cols}
        streams = {MAIN: Stream((arrival, "row", "col"), {arrival: self.frames, **sizes}, layout.dtype, order="any")}
        for use, name in (("dark", self.dark), ("flat", self.flat)):
            if name:
                streams[use] = Stream(("frame", "row", "col"), {"frame": None, **sizes}, "float32")
        calibration = {}
        if self.pixel is not None:
            calibration["pixel"] = Quantity(self.pixel, "um")
        if self.energy is not None:
            calibration["energy"] = Quantity(self.energy, "keV")
        known = angles.known(self.frames)
        coords = {} if known is None else {"angle": known}
        return Scan(streams, name=self.image, calibration=calibration, coords=coords)


def client_conf(server: str | None) -> Mapping[str, str] | None:
    """Configuration of a PVA client that asks one server alone; None: as the environment says."""
    if server is None:
        return None
    conf = {"EPICS_PVA_NAME_SERVERS": server, "EPICS_PVA_ADDR_LIST": "", "EPICS_PVA_AUTO_ADDR_LIST": "NO"}
    if server.partition(":")[0] in ("127.0.0.1", "localhost"):
        conf["EPICS_PVA_INTF_ADDR_LIST"] = "127.0.0.1"
    return conf


def _where_to_look(server: str | None) -> str:
    place = f"at {server}" if server else "in the networks of EPICS_PVA_ADDR_LIST"
    return f"Check the name (pvinfo NAME), that the IOC runs, and that it can be reached {place}."
