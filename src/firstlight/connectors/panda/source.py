"""Source: one position for each trigger, from a PandABox."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import numpy as np
import zmq
from pydantic import Field, PrivateAttr

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Item, Scan, Stream
from firstlight.core.curve import BadKey
from firstlight.core.errors import SourceError
from firstlight.core.source import Source
from firstlight.core.units import Bytes, Degree, Second

from .json_stream import channel_name
from .link import Capture, Link, Wanted
from .receiver import DataPort, JsonSocket, Receiver


class PandaSource(Source):
    """Receives positions from a PandABox, one for each frame, keyed by sample number: loss and disorder never shift them.

    `address` is the JSON stream over ZeroMQ (``tcp://host:6666``) or the box's own data port (``panda://host:8889``). A
    position is the mean of `upsample` samples; y and x are ``encoder · scale · direction``. What has no samples is lost, what is
    not a number rejected, and both are counted. The scan is over when its capture is: the box says so, or another begins.
    """

    use: ClassVar[str] = "panda"
    pausable: ClassVar[bool] = False

    address: Annotated[str, Field(pattern=r"^(tcp|ipc|panda)://.+")] = "tcp://127.0.0.1:6666"
    """Where samples come from: JSON over ZeroMQ (``tcp://`` or ``ipc://``), or the data port (``panda://host:8889``)."""
    x_channel: str = "INENC2.VAL.Value"
    """Channel of the fast axis; a slash before it does not matter."""
    y_channel: str = "INENC3.VAL.Value"
    """Channel of the slow axis."""
    x_scale: float = 1.0
    """Length per count of the fast axis, in `unit`."""
    y_scale: float = 1.0
    """Length per count of the slow axis, in `unit`."""
    x_direction: Literal[-1, 1] = 1
    """−1 turns the fast axis round."""
    y_direction: Literal[-1, 1] = 1
    """−1 turns the slow axis round."""
    swap: bool = False
    """Exchange y and x."""
    unit: Literal["m", "mm", "um", "nm", "px"] = "um"
    """Unit of the positions."""
    angle: Degree | None = None
    """Rotation of the sample: the fast axis is foreshortened by |cos θ| up to 45°, by |sin θ| beyond; default: not at all."""
    upsample: Annotated[int, Field(ge=1, le=100_000)] = 1
    """Samples that were taken for each frame."""
    positions: Annotated[int, Field(gt=0)] | None = None
    """How many there will be, where that is known: the source ends after the last one."""
    window: Annotated[int, Field(ge=1, le=1_000_000)] = 1024
    """How many later positions must be complete before a missing one is given up."""
    server_key: Annotated[str, Field(min_length=40, max_length=44)] | None = None
    """Public key (Z85 or base64) of a server that speaks CurveZMQ."""
    secret_key: str | None = None
    """Name of the environment variable with our own secret key; default: a new key for each connection."""
    idle: Annotated[Second, Field(gt=0)] = 30.0
    """The capture is over after this time without a sample, once one came."""
    timeout: Annotated[Second, Field(gt=0)] = 300.0
    """How long to wait for the first sample."""
    memory: Annotated[Bytes, Field(gt=0)] = 64 * 2.0**20
    """Bytes of positions that may wait for the run."""

    _link: Link | None = PrivateAttr(default=None)
    _lent: Link | None = PrivateAttr(default=None)
    """The link, where it belongs to the source of the next scan."""
    _capture: Capture | None = PrivateAttr(default=None)

    @property
    def follows(self) -> bool:
        """True: captures come one after the other over one connection."""
        return True

    def _make_follower(self) -> PandaSource:
        found = PandaSource(**self.model_dump())
        found._link = self._lent = self._link or Link(self._connected(), self._wanted())
        return found

    def begun(self, timeout: float) -> bool:
        """True once samples of the next capture have come; waits up to `timeout` second for them."""
        return self._link is not None and self._link.begun(timeout)

    def open(self) -> Scan:
        """Connect; positions are received from now on.

        Raises:
            SourceError: The address or a key is malformed, or nothing listens at the data port.
        """
        if self._capture is not None:
            self.close()
        self._link = self._lent or self._link or Link(self._connected(), self._wanted())
        self._capture = self._link.take()
        axes = ("position", "yx")
        return Scan({MAIN: Stream(axes, {"position": self.positions, "yx": 2}, "float64", unit=self.unit)}, "panda")

    def items(self) -> Iterator[Item]:
        """Chunks of positions, gaps and the end, as they come.

        Raises:
            SourceError: Receiving failed, or no sample came within `timeout`.
        """
        capture = self._capture
        if capture is None:
            raise SourceError(
                "The source is not open.", field="address", value=self.address, next_move="Call open() first."
            )
        yield from capture.handover.items()
        if capture.failed:
            raise SourceError(f"Receiving positions failed: {capture.failed}", field="address", value=self.address)
        if capture.silent:
            raise self._silence(capture.averages.strays)

    def stop(self) -> None:
        """End; what has arrived is delivered."""
        if self._capture is not None:
            self._capture.stop()

    def close(self) -> None:
        """Disconnect, unless the connection is that of the next scan's source."""
        self.stop()
        link, self._link, self._capture = self._link, None, None
        if link is not None and link is not self._lent:
            link.close()

    def places(self, counts: Array) -> Array:
        """Positions of encoder counts, both of shape (position, 2): y and x."""
        short = 1.0
        if self.angle is not None:
            theta = math.radians(self.angle)
            short = abs(math.cos(theta)) if abs(self.angle) <= 45 else abs(math.sin(theta))
        scale = np.array([self.y_scale * self.y_direction, self.x_scale * self.x_direction * short])
        found = counts * scale
        return found[:, ::-1].copy() if self.swap else found

    def _silence(self, strays: int) -> SourceError:
        if strays:
            return SourceError(
                f"{strays} messages came from {self.address}, but none with both channels.",
                field="x_channel",
                value=(self.x_channel, self.y_channel),
                expected="channels that the PandABox captures",
                next_move="Set x_channel and y_channel to names that it sends.",
            )
        return SourceError(
            f"No position came within {self.timeout:g} s.",
            field="address",
            value=self.address,
            expected="a PandABox that is armed",
            next_move="Check the address, that the box is armed, and, with CurveZMQ, the keys: a wrong key is silent.",
        )

    # ---- connecting -------------------------------------------------------------------------------------------------

    def _wanted(self) -> Wanted:
        return Wanted(
            channels=(channel_name(self.y_channel), channel_name(self.x_channel)),
            upsample=self.upsample,
            window=self.window,
            memory=int(self.memory),
            positions=self.positions,
            idle=self.idle,
            timeout=self.timeout,
            places=self.places,
        )

    def _connected(self) -> Receiver:
        try:
            if self.address.startswith("panda://"):
                return DataPort(self.address.removeprefix("panda://"))
            return JsonSocket(self.address, self.server_key, self._secret())
        except (OSError, zmq.ZMQError, ValueError, BadKey) as error:
            raise SourceError(
                f"The PandABox can not be reached: {error}",
                field="address",
                value=self.address,
                expected="such as tcp://host:6666 for JSON over ZeroMQ, panda://host:8889 for the data port",
            ) from error

    def _secret(self) -> str | None:
        if self.secret_key is None:
            return None
        found = os.environ.get(self.secret_key)
        if not found:
            raise SourceError(
                "The environment variable with the secret key is not set.", field="secret_key", value=self.secret_key
            )
        return found
