"""View: results as NTNDArray over PV Access, for ImageJ, c2dv, Phoebus and any other viewer of areaDetector images."""

from __future__ import annotations

import threading
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from firstlight.core.arrays import Array
from firstlight.core.chunk import Stream
from firstlight.core.errors import SinkError
from firstlight.core.view import Shown, View

from . import wire
from .serve import Beamline, refuse_taken

PLANES: dict[tuple[str, ...], int] = {("y", "x"): 0, ("z", "x"): 1, ("z", "y"): 2}
"""Axes of a plane to its place in TomoStream's picture: Z, Y, X from left to right."""

_LAST = 1.0
"""Seconds for clients to receive what was shown last, when the view is closed."""


class PvaView(View):
    """Serves a 2-D result as an NTNDArray, with the newest frame's id and time.

    With ``layout: tomostream``, the three planes of `live_slices` go into one picture of n rows and 3n columns, side by
    side as Z | Y | X, as TomoStream publishes them. One view is then opened for each of the three outputs and shown
    all of them; views of one channel name share one channel, whether they are one object or three.
    """

    use: ClassVar[str] = "pva"

    name: str = Field(min_length=1)
    """Name of the channel, such as ``2bmb:TomoStream:StreamRecon``."""
    layout: Literal["image", "tomostream"] = "image"
    """image: the result as it is; tomostream: the planes xy, xz and yz side by side."""
    interface: str | None = None
    """Address to serve on; ``127.0.0.1`` keeps it on this machine. Default: as the EPICS_PVAS_* environment says."""
    port: int = Field(default=0, ge=0, le=65535)
    """TCP port of the server; 0: what the environment says, or any free one on loopback."""

    _channel: _Channel | None = PrivateAttr(default=None)

    @property
    def address(self) -> str | None:
        """``host:port`` of the server, while it is open."""
        return self._channel.beamline.address if self._channel else None

    def open(self, name: str, stream: Stream) -> None:
        """Serve the channel; with the layout tomostream once for each plane, in any order.

        Args:
            name: Name of the output.
            stream: What it looks like.

        Raises:
            SinkError: The output is no picture, or no plane of the layout.
            SourceError: Another server has a channel of this name.
        """
        if len(stream.axes) != 2 and len(stream.frame_axes) != 2:
            raise SinkError(
                f"'{name}' has the axes {' '.join(stream.axes) or '(none)'} and can not be shown as a picture.",
                field="of",
                value=name,
                expected="a result with two axes",
            )
        if self.layout == "tomostream":
            self._check_plane(name, stream)
        if self._channel is None:
            self._channel = _share(self)

    def _check_plane(self, name: str, stream: Stream) -> None:
        if stream.axes not in PLANES:
            raise SinkError(
                f"'{name}' has the axes {' '.join(stream.axes)}.",
                field="layout",
                value=self.layout,
                expected="the planes 'y x', 'z x' and 'z y', such as live_slices gives",
                next_move="Use layout: image for other results.",
            )
        tall, wide = stream.sizes.get("z"), stream.sizes.get("x") or stream.sizes.get("y")
        if tall is not None and wide is not None and tall > wide:
            raise SinkError(
                f"The sample is {tall} rows high and {wide} columns wide.",
                field="layout",
                value=self.layout,
                expected="no more rows than columns: TomoStream's picture has no room for more",
            )

    def show(self, shown: Shown) -> None:
        """Publish one version; a plane of the layout tomostream waits for the other two of its version.

        Raises:
            SinkError: It is no picture of real numbers.
        """
        channel = self._channel
        if channel is None:
            return
        if shown.data.ndim != 2 or shown.data.dtype.kind not in "biuf":
            raise SinkError(
                f"The result can not be shown over PVA: {shown.data.dtype} {shown.data.shape}.",
                field="of",
                value=self.name,
                expected="two axes and real numbers",
            )
        channel.show(shown, packed=self.layout == "tomostream")

    def close(self) -> None:
        """Take the channel away, once all its views are closed."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.release()


class _Channel:
    """One served channel, shared by all views of its name."""

    def __init__(self, view: PvaView) -> None:
        self.beamline = Beamline({"image": view.name}, view.interface, view.port)
        self.beamline.set("image", wire.blank())
        refuse_taken([view.name], view.interface)
        self.beamline.start()
        self.users = 0
        self._name = view.name
        self._lock = threading.Lock()
        self._planes: dict[int, Shown] = {}
        self._fresh: set[int] = set()

    def show(self, shown: Shown, *, packed: bool) -> None:
        with self._lock:
            if packed:
                self._show_plane(shown)
            else:
                self._post(shown.data, shown)

    def _show_plane(self, shown: Shown) -> None:
        """Post when the three planes of one version are there; a plane that comes again does not wait for the others."""
        place = PLANES[shown.stream.axes]
        if place in self._fresh and len(self._planes) == len(PLANES):
            self._post_planes()
        self._planes[place] = shown
        self._fresh.add(place)
        if len(self._fresh) == len(PLANES):
            self._post_planes()

    def _post_planes(self) -> None:
        self._fresh.clear()
        newest = max(self._planes.values(), key=lambda shown: (shown.epoch, shown.id, shown.version))
        self._post(pack({place: shown.data for place, shown in self._planes.items()}), newest)

    def _post(self, data: Array, shown: Shown) -> None:
        kept = data if data.dtype.name in wire.FIELDS else data.astype(np.float32)
        number = max(0, shown.id) & 0xFFFFFFFF
        attributes = {"Version": shown.version, "Epoch": shown.epoch, "Coarse": int(shown.coarse)}
        self.beamline.post("image", wire.write_frame(kept, number, shown.finished, attributes, taken=shown.received))

    def release(self) -> None:
        with _sharing:
            self.users -= 1
            if self.users:
                return
            _shared.pop(self._name, None)
        self.beamline.let_last_out(_LAST)
        self.beamline.stop()


_shared: dict[str, _Channel] = {}
_sharing = threading.Lock()


def _share(view: PvaView) -> _Channel:
    with _sharing:
        channel = _shared.get(view.name)
        if channel is None:
            channel = _shared[view.name] = _Channel(view)
        channel.users += 1
        return channel


def pack(planes: dict[int, Array]) -> Array:
    """TomoStream's picture of three planes.

    Args:
        planes: By place: 0 the Z slice (y x), 1 the Y slice (z x), 2 the X slice (z y); n columns each, z at most n.

    Returns:
        Shape (n, 3n), float32; what a plane does not fill is 0.
    """
    n = planes[0].shape[1]
    picture: Array = np.zeros((n, 3 * n), np.float32)
    for place, plane in planes.items():
        rows, cols = min(plane.shape[0], n), min(plane.shape[1], n)
        picture[:rows, place * n : place * n + cols] = plane[:rows, :cols]
    return picture
