"""Containers and arrays of a Tiled server, through its own client."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from firstlight.core.arrays import Array

WHOLE = 16_384
"""Rows up to which an array of known length is one storage chunk."""
CHUNK = 64
"""Rows of a storage chunk of an array that grows, as holoptycho has them."""


@dataclass(frozen=True, slots=True)
class Address:
    """One container of one server, and what is written beside each node."""

    url: str
    container: str
    """Names from the root, such as ``hxn/processed/holoptycho/3fa9c1``."""
    key: str
    """Name of the environment variable with the API key; unset: none is sent."""
    specs: tuple[str, ...] = ()
    access_tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Room:
    """How an array that grows begins."""

    rows: int = 0
    """That it has from the beginning; 0: one chunk."""
    chunk: int = CHUNK
    """Rows of a storage chunk."""
    dark: bool = True
    """What never came is NaN, where the type knows it; otherwise 0, without anything being written."""


GROWING = Room()


class Nodes:
    """Writes into one container of a server; used by one thread. Each call raises what the client raises."""

    def __init__(self, address: Address, metadata: Mapping[str, Any]) -> None:
        """Connect, and make the container if it is not there.

        Args:
            address: Where.
            metadata: Of the container.
        """
        from tiled.client import from_uri

        self._address = address
        self._marks = {"specs": list(address.specs), "access_tags": list(address.access_tags) or None}
        self._root: Any = from_uri(address.url, api_key=os.environ.get(address.key) or None)
        *above, name = [part for part in address.container.split("/") if part]
        for part in above:
            self._root = self._root[part] if part in self._root else self._root.create_container(part)
        self._run: Any = (
            self._root[name]
            if name in self._root
            else self._root.create_container(name, metadata=dict(metadata), **self._marks)
        )
        self._known: dict[str, Any] = {"": self._run}
        self._lengths: dict[str, int] = {}

    def _container(self, path: str) -> Any:
        """The container of a node, made if it is not there."""
        if path not in self._known:
            above, _, name = path.rpartition("/")
            parent = self._container(above)
            self._known[path] = parent[name] if name in parent else parent.create_container(name, **self._marks)
        return self._known[path]

    def replace(self, node: str, values: Array, metadata: Mapping[str, Any]) -> None:
        """Write a whole array in place of what the node holds."""
        above, _, name = node.rpartition("/")
        parent = self._container(above)
        there = parent[name] if name in parent else None
        if there is not None and (there.shape != values.shape or there.dtype != values.dtype):
            there.delete(external_only=False)  # an array of Tiled keeps its shape
            there = None
        if there is None:
            parent.write_array(values, key=name, metadata=dict(metadata), **self._marks)
            return
        there.write(values)
        there.update_metadata(dict(metadata))

    def place(self, node: str, first: int, rows: Array, room: Room) -> None:
        """Write rows at their place in an array that grows; rows that never came are NaN, or 0."""
        above, _, name = node.rpartition("/")
        parent = self._container(above)
        key = f"{node}/"
        if key not in self._known:
            self._known[key] = parent[name] if name in parent else self._new(parent, name, rows, room)
            self._lengths[key] = self._known[key].shape[0]
        array, length = self._known[key], self._lengths[key]
        if first > length and rows.dtype.kind == "f":
            rows = np.concatenate([np.full((first - length, *rows.shape[1:]), np.nan, rows.dtype), rows])
            first = length
        array.patch(rows, offset=(first,), extend=True)
        self._lengths[key] = max(length, first + len(rows))

    def _new(self, parent: Any, name: str, rows: Array, room: Room) -> Any:
        """An array of NaN or 0: Tiled has no empty ones, and takes the size of chunks from the first."""
        from tiled.structures.array import ArrayStructure, BuiltinDtype
        from tiled.structures.core import StructureFamily
        from tiled.structures.data_source import DataSource

        wanted = room.rows or room.chunk
        # Tiled makes whole chunks of it: a length that is known, and not too long, is one
        chunk = wanted if 1 < room.chunk and wanted <= WHOLE else room.chunk
        shape = (-(-wanted // chunk) * chunk, *rows.shape[1:])
        structure = ArrayStructure(
            shape=shape,
            chunks=((chunk,) * (shape[0] // chunk), *((size,) for size in shape[1:])),
            data_type=BuiltinDtype.from_numpy_dtype(rows.dtype),
        )
        made = parent.new(
            StructureFamily.array,
            [DataSource(structure=structure, structure_family=StructureFamily.array)],
            key=name,
            metadata={},
            **self._marks,
        )
        if rows.dtype.kind == "f" and room.dark:
            made.patch(np.full(shape, np.nan, rows.dtype), offset=(0,))
        return made

    def describe(self, metadata: Mapping[str, Any]) -> None:
        """Write metadata of the container beside what is there."""
        self._run.update_metadata(dict(metadata))

    def close(self) -> None:
        """Close the connections."""
        self._run.context.http_client.close()
