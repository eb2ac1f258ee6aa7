"""One file that several sinks fill: the first makes it, others of the same path add to it."""

from __future__ import annotations

import json
from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core.chunk import Chunk, Scan
from firstlight.core.errors import SinkError

from .handles import File, Group
from .target import Storage, Target
from .writing import Writing


class Part(Writing):
    """One array of a file that holds one scan, with its own record and mark of completeness beside it.

    Args:
        path: Where the file is.
        file: The open file.
        scan: What will be written is `scan.main`.
        storage: Layout of the array.
        name: Of the array, in the names of its record and its mark.
    """

    def __init__(self, path: Path, file: File, scan: Scan, storage: Storage, name: str) -> None:
        """Nothing is written yet."""
        super().__init__(path, file, scan, storage)
        self.name = name
        self.made: Target | None = None
        """The array, once its shape is known."""

    @property
    @abstractmethod
    def beside(self) -> Group:
        """Where the record is."""

    @abstractmethod
    def make(self, chunk: Chunk | None) -> Target:
        """The array, new; its shape is known by the scan, or by this chunk."""

    def not_complete(self, record: dict[str, Any]) -> None:
        """Write the record, and that this part is not complete."""
        self.beside.attrs[f"{self.name}_complete"] = np.bool_(False)
        self.beside[f"{self.name}_record"] = json.dumps(record, default=str)

    def target(self, chunk: Chunk) -> Target:
        """The array.

        Raises:
            SinkError: The detector began again: one reconstruction has one object.
        """
        if chunk.epoch and self.scan.main.arrival:
            raise SinkError(
                "This file holds one scan.", field="epoch", value=chunk.epoch, next_move="Use the sink hdf5 or zarr."
            )
        self.made = self.made or self.make(chunk)
        return self.made

    def note(self, target: Target, chunk: Chunk | None) -> None:
        """Nothing goes with single frames."""

    def end(self, record: dict[str, Any], *, complete: bool) -> None:
        """Write the final record, and whether this part is complete."""
        self.beside[f"{self.name}_record_final"] = json.dumps(record, default=str)
        self.beside.attrs[f"{self.name}_complete"] = np.bool_(complete)


def file_of_another(path: Path, what: str, first: str, use: str, *, head: str, taken: str) -> File:
    """The file that an earlier sink of the same run made.

    Args:
        path: Of the file.
        what: What is to be added.
        first: What the sink that makes the file writes.
        use: Name of these sinks.
        head: What a file of that sink holds.
        taken: What would be there if it had been added before.

    Raises:
        SinkError: It is not there, or is not just made.
    """
    import h5py

    try:
        file = h5py.File(path, "r+", locking=False)
    except OSError as error:
        raise SinkError(
            f"There is no file to add the {what} to ({error}).",
            field="path",
            value=str(path),
            next_move=f"Write the {first} first: a sink '{use}' with role {first} and the same path, before this one.",
        ) from error
    if head not in file or taken in file:
        file.close()
        raise SinkError(
            f"The file is none of a sink '{use}' without a {what}.",
            field="path",
            value=str(path),
            expected="one just made",
        )
    return file
