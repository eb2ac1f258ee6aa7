"""View: the newest version of a result in a Tiled catalogue."""

from __future__ import annotations

import time
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from firstlight.core.chunk import Stream
from firstlight.core.units import Bytes, Second
from firstlight.core.view import Shown, View

from .layout import Layout, laid_out
from .nodes import Address
from .shared import give_back, numbered, share
from .sink import demand_client
from .tree import Tree


class TiledView(View):
    """Keeps the newest version of a result in a container of a Tiled server; what the server is too slow for is skipped."""

    use: ClassVar[str] = "tiled"

    url: str = Field(min_length=1)
    """Address of the server, such as ``http://localhost:8000``."""
    container: str = Field(min_length=1)
    """Names from the root to the container of this run; made if missing."""
    node: str | None = Field(default=None, pattern=r"^[^/].*[^/]$|^[^/]$")
    """Place of the array in the container, such as ``live/object``; none: the result is metadata alone."""
    layout: Layout = "plain"
    """plain; amplitude_phase: (2, y, x) of a complex result; root8: square roots of counts as uint8."""
    transposed: bool = False
    """Exchange the last two axes."""
    half: Literal[0, 1] | None = None
    """This is the first or the second of two results that make up the node, (2, y, x), each in float32."""
    rest: Annotated[Second, Field(ge=0)] = 0.0
    """Between two versions that are written; the last one always is."""
    tells: dict[str, str] = Field(default_factory=dict)
    """By node, the name in its metadata under which this result stands: its values, or how many they are, as `telling` says."""
    telling: Literal["values", "length"] = "values"
    """What stands there."""
    version_as: str = "version"
    """Name in the metadata for which version of the result it is."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Of the container."""
    specs: tuple[str, ...] = ()
    """Tiled's specs of every node."""
    access_tags: tuple[str, ...] = ()
    """Tiled's access tags of every node."""
    key: str = "TILED_API_KEY"
    """Name of the environment variable with the API key; not set: none is sent."""
    memory: Annotated[Bytes, Field(gt=0)] = 256 * 2.0**20
    """Bytes of frames that may wait for the server, of sinks of the same container."""
    patience: Annotated[Second, Field(ge=0)] = 30.0
    """How long to wait at the end of the run for a server that fails; one that is slow has ten times as long."""

    _tree: Tree | None = PrivateAttr(default=None)
    _due: float = PrivateAttr(default=0.0)
    _held: Shown | None = PrivateAttr(default=None)

    @property
    def _address(self) -> Address:
        return Address(self.url, self.container, self.key, self.specs, self.access_tags)

    def numbered(self, number: int) -> TiledView:
        """The same for a further scan: in a container of its own."""
        return self.model_copy(update=numbered(self.container, self.metadata, number))

    def open(self, name: str, stream: Stream) -> None:
        """Begin; the server is looked for on another thread.

        Raises:
            MissingExtra: Tiled's client is not installed.
        """
        demand_client("The view 'tiled'")
        self._tree = share(self._address, self.metadata, self.memory)

    def show(self, shown: Shown) -> None:
        """Hand over; returns at once."""
        self._held = shown
        if time.monotonic() >= self._due:
            self._hand_over()

    def _hand_over(self) -> None:
        shown, self._held = self._held, None
        if self._tree is None or shown is None:
            return
        self._due = time.monotonic() + self.rest
        for node, name in self.tells.items():
            values = len(shown.data) if self.telling == "length" else shown.data.tolist()
            self._tree.tell(node, {name: values})
        if self.node is not None:
            self._write(self._tree, self.node, shown)

    def _write(self, tree: Tree, node: str, shown: Shown) -> None:
        values = laid_out(shown.data, self.layout, transposed=self.transposed)
        told: dict[str, Any] = {self.version_as: shown.version, "newest_frame": shown.id}
        pixel = shown.calibration.get("pixel")
        if pixel is not None and pixel.unit != "px":
            told["pixel_size_m"] = pixel.to("m")
        if self.half is None:
            tree.replace(node, values, told)
        else:
            tree.half(node, self.half, values.astype(np.float32), told)

    def close(self) -> None:
        """Let the last sink or view of the container wait for the server."""
        self._hand_over()
        if self._tree is not None:
            self._tree = None
            give_back(self._address, complete=True, patience=self.patience, metadata={})
