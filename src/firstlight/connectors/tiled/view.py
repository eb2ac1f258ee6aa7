"""View: the newest version of a result in a Tiled catalogue."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from firstlight.core.chunk import Stream
from firstlight.core.units import Bytes, Second
from firstlight.core.view import Shown, View

from .layout import Layout, laid_out
from .nodes import Address
from .shared import give_back, share
from .sink import demand_client
from .tree import Tree


class TiledView(View):
    """Keeps the newest version of a result in a container of a Tiled server; what the server is too slow for is skipped."""

    use: ClassVar[str] = "tiled"

    url: str = Field(min_length=1)
    """Address of the server, such as ``http://localhost:8000``."""
    container: str = Field(min_length=1)
    """Names from the root to the container of this run; made if missing."""
    node: str = Field(min_length=1, pattern=r"^[^/].*[^/]$|^[^/]$")
    """Place of the array in the container, such as ``live/object``."""
    layout: Layout = "plain"
    """plain; amplitude_phase: (2, y, x) of a complex result; root8: square roots of counts as uint8."""
    transposed: bool = False
    """Exchange the last two axes."""
    half: Literal[0, 1] | None = None
    """This is the first or the second of two results that make up the node, (2, y, x), each in float32."""
    counts: tuple[str, ...] = ()
    """Nodes in whose metadata `iteration` says how many values this result has: one for each iteration."""
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
    """How long to wait at the end of the run for what is not written yet."""

    _tree: Tree | None = PrivateAttr(default=None)

    @property
    def _address(self) -> Address:
        return Address(self.url, self.container, self.key, self.specs, self.access_tags)

    def open(self, name: str, stream: Stream) -> None:
        """Begin; the server is looked for on another thread.

        Raises:
            MissingExtra: Tiled's client is not installed.
        """
        demand_client("The view 'tiled'")
        self._tree = share(self._address, self.metadata, self.memory)

    def show(self, shown: Shown) -> None:
        """Hand over; returns at once."""
        if self._tree is None:
            return
        values = laid_out(shown.data, self.layout, transposed=self.transposed)
        told: dict[str, Any] = {self.version_as: shown.version, "newest_frame": shown.id}
        pixel = shown.calibration.get("pixel")
        if pixel is not None and pixel.unit != "px":
            told["pixel_size_m"] = pixel.to("m")
        for node in self.counts:
            self._tree.tell(node, {"iteration": len(values)})
        if self.half is None:
            self._tree.replace(self.node, values, told)
        else:
            self._tree.half(self.node, self.half, values.astype(np.float32), told)

    def close(self) -> None:
        """Let the last sink or view of the container wait for the server."""
        if self._tree is not None:
            self._tree = None
            give_back(self._address, complete=True, patience=self.patience, metadata={})
