"""Sink: results and frames in a Tiled catalogue."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, PrivateAttr

from firstlight.core.chunk import Chunk, Scan
from firstlight.core.errors import MissingExtra, SinkError
from firstlight.core.sink import Sink
from firstlight.core.units import Bytes, Second

from .layout import Layout, laid_out
from .nodes import Address
from .shared import give_back, share
from .tree import Rows, Tree


class TiledSink(Sink):
    """Writes one output into a container of a Tiled server, without ever slowing the run.

    A result becomes an array; frames are placed by their number into an array that grows. Sinks and views of one container
    share it. Where the server is gone the run goes on, the sink tries again, and at the end says what the container lacks.
    """

    use: ClassVar[str] = "tiled"

    url: str = Field(min_length=1)
    """Address of the server, such as ``http://localhost:8000``."""
    container: str = Field(min_length=1)
    """Names from the root to the container of this run, such as ``hxn/processed/holoptycho/3fa9c1``; made if missing."""
    node: str = Field(min_length=1, pattern=r"^[^/].*[^/]$|^[^/]$")
    """Place of the array in the container, such as ``final/object``."""
    layout: Layout = "plain"
    """plain; amplitude_phase: (2, y, x) of a complex result; root8: square roots of counts as uint8."""
    transposed: bool = False
    """Exchange the last two axes."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Of the container."""
    specs: tuple[str, ...] = ()
    """Tiled's specs of every node."""
    access_tags: tuple[str, ...] = ()
    """Tiled's access tags of every node."""
    key: str = "TILED_API_KEY"
    """Name of the environment variable with the API key; not set: none is sent."""
    memory: Annotated[Bytes, Field(gt=0)] = 256 * 2.0**20
    """Bytes of frames that may wait for the server; what comes beyond is left out, and told."""
    patience: Annotated[Second, Field(ge=0)] = 30.0
    """How long to wait at the end of the run for what is not written yet."""

    _tree: Tree | None = PrivateAttr(default=None)
    _rows: bool = PrivateAttr(default=False)

    def open(self, scan: Scan, record: dict[str, Any]) -> None:
        """Begin; the server is looked for on another thread.

        Raises:
            MissingExtra: Tiled's client is not installed.
        """
        demand_client("The sink 'tiled'")
        self._rows = scan.main.arrival > 0
        told = {**self.metadata, "scan": scan.name}
        self._tree = share(self._address, told, self.memory)

    @property
    def _address(self) -> Address:
        return Address(self.url, self.container, self.key, self.specs, self.access_tags)

    def write(self, chunk: Chunk) -> None:
        """Hand over; returns at once.

        Raises:
            SinkError: The sink is not open, or the output comes in blocks.
        """
        if self._tree is None:
            raise SinkError("The sink is not open.", field="sink", value="tiled", next_move="Call open() first.")
        if any(cut != slice(None) for cut in chunk.where.values()):
            raise SinkError(
                "An output that comes in blocks can not be written to Tiled.",
                field="of",
                value=self.node,
                expected="whole frames, or a whole result",
            )
        if not len(chunk):
            return
        if not self._rows:
            self._tree.replace(self.node, laid_out(chunk.data[-1], self.layout, transposed=self.transposed), {})
            return
        values = laid_out(chunk.data, self.layout, transposed=self.transposed)
        order = np.argsort(chunk.ids, kind="stable")
        ids = chunk.ids[order]
        for part in np.split(np.arange(len(ids)), np.flatnonzero(np.diff(ids) != 1) + 1):
            self._tree.place(Rows(self.node, int(ids[part[0]]), values[order[part]]))

    def close(self, record: dict[str, Any], *, complete: bool) -> None:
        """Let the last sink or view of the container wait for the server, and say what it lacks."""
        if self._tree is not None:
            self._tree = None
            give_back(self._address, complete=complete, patience=self.patience, metadata=counted(record))

    def location(self) -> str | None:
        """Address of the container."""
        return f"{self.url.partition('?')[0].rstrip('/')}#{self.container}/{self.node}"


def counted(record: dict[str, Any]) -> dict[str, Any]:
    """What of a record stands in the container's metadata."""
    return {name: record[name] for name in ("counts",) if name in record}


def demand_client(who: str) -> None:
    """Refuse to begin without Tiled's client.

    Raises:
        MissingExtra: It is not installed.
    """
    from importlib.util import find_spec

    if find_spec("tiled") is None or find_spec("tiled.client") is None:
        raise MissingExtra("tiled", "tiled", who)
