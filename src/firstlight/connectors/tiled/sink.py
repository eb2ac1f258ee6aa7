"""Sink: results and frames in a Tiled catalogue."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.errors import MissingExtra, SinkError
from firstlight.core.sink import Sink
from firstlight.core.units import Bytes, Second

from .batches import Batches
from .layout import Layout, laid_out
from .nodes import CHUNK, Address, Room
from .shared import give_back, numbered, share
from .tree import Rows, Tree

MOST_ROWS = 1_000_000
"""That an array may have from the beginning."""


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
    times: tuple[float, ...] = ()
    """Factors by which the values along the last axis are multiplied, such as (1e-6, 1e-6) for metres."""
    column: Annotated[int, Field(ge=0)] | None = None
    """The one value along the last axis that is written; default: all."""
    stride: Annotated[int, Field(ge=1)] = 1
    """Of frames, only each so many-th is written: row r is frame r · stride."""
    rows: Annotated[int, Field(ge=0, le=MOST_ROWS)] = 0
    """Rows that the array has from the beginning; it grows beyond."""
    stack: Annotated[int, Field(ge=1, le=MOST_ROWS)] | None = None
    """A result becomes the first of so many in an array, as finished scans are kept; default: it is the array."""
    batch: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Frames become arrays of so many each, as they come: for the node ``vit/pred`` ``vit/batches/000000/pred`` with their numbers in
    ``…/indices``, and the newest as ``vit/pred_latest``; default: all lie in one array, by their number."""
    told_as: dict[Literal["rows", "shape"], str] = Field(default_factory=dict)
    """Names in the metadata of the container for how many rows were written, and for the shape of a stack."""
    coordinates: dict[str, str] = Field(default_factory=dict)
    """By coordinate that frames carry, such as where they were cut, the name in the metadata of the container for the newest one's."""
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
    """How long to wait at the end of the run for a server that fails; one that is slow has ten times as long."""

    _tree: Tree | None = PrivateAttr(default=None)
    _rows: bool = PrivateAttr(default=False)
    _told: dict[str, Any] = PrivateAttr(default_factory=dict[str, Any])
    _batches: Batches | None = PrivateAttr(default=None)

    def numbered(self, number: int) -> TiledSink:
        """The same for a further scan: in a container of its own."""
        return self.model_copy(update=numbered(self.container, self.metadata, number))

    def open(self, scan: Scan, record: dict[str, Any]) -> None:
        """Begin; the server is looked for on another thread.

        Raises:
            MissingExtra: Tiled's client is not installed.
        """
        demand_client("The sink 'tiled'")
        self._rows = scan.main.arrival > 0
        self._batches = None if self.batch is None else Batches(self.node, self.batch)
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
        self._tell_coordinates(self._tree, chunk)
        if self._batches is not None:
            self._batches.add(self._tree, self._values(chunk.data), chunk.ids)
        elif self._rows:
            self._write_rows(self._tree, chunk)
        elif self.stack is None:
            self._tree.replace(self.node, self._values(chunk.data[-1]), {})
        else:
            values = self._values(chunk.data[-1:])
            self._told = {"shape": [self.stack, *values.shape[1:]]}
            self._tree.place(Rows(self.node, 0, values, Room(self.stack, 1, dark=False)))

    def _tell_coordinates(self, tree: Tree, chunk: Chunk) -> None:
        found = {
            told: chunk.coords[name][-1].tolist() for name, told in self.coordinates.items() if name in chunk.coords
        }
        if any(self._told.get(told) != value for told, value in found.items()):
            self._told.update(found)
            tree.note(found)

    def _write_rows(self, tree: Tree, chunk: Chunk) -> None:
        """Frames, at the places that their numbers name."""
        kept = chunk if self.stride == 1 else chunk.take(np.flatnonzero(chunk.ids % self.stride == 0))
        if not len(kept):
            return
        values, room = self._values(kept.data), Room(self.rows, CHUNK)
        order = np.argsort(kept.ids, kind="stable")
        places = kept.ids[order] // self.stride
        for part in np.split(np.arange(len(places)), np.flatnonzero(np.diff(places) != 1) + 1):
            tree.place(Rows(self.node, int(places[part[0]]), values[order[part]], room))

    def _values(self, data: Array) -> Array:
        """Values as the node holds them."""
        found = laid_out(data, self.layout, transposed=self.transposed)
        if self.times:
            found = found * np.asarray(self.times, found.dtype)
        return found if self.column is None else np.ascontiguousarray(found[..., self.column])

    def close(self, record: dict[str, Any], *, complete: bool) -> None:
        """Let the last sink or view of the container wait for the server, and say what it lacks."""
        if self._tree is not None:
            if self._batches is not None:
                self._batches.end(self._tree)
            self._tree = None
            give_back(
                self._address,
                complete=complete,
                patience=self.patience,
                metadata={
                    **counted(record),
                    **{self.told_as[k]: v for k, v in self._told.items() if k in self.told_as},
                },
                counted={self.told_as["rows"]: self.node} if "rows" in self.told_as else {},
            )

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
