"""Sources: where frames come from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar, Protocol, runtime_checkable

from .arrays import Array
from .chunk import MAIN, Item, Scan
from .step import Configured


class Source(Configured):
    """Gives a scan, then its chunks, gaps and ends. All methods block; they run on a reader thread."""

    pausable: ClassVar[bool] = True
    """False if frames keep coming while nobody reads, as from a detector."""

    @abstractmethod
    def open(self) -> Scan:
        """Connect or open, and say what will come.

        Raises:
            SourceError: It can not be opened; the message names the dataset, address or record, and the next move.
        """

    @abstractmethod
    def items(self) -> Iterator[Item]:
        """Chunks, gaps and ends, until the scan is over or `stop` was called."""

    @abstractmethod
    def stop(self) -> None:
        """Ask `items` to end soon; callable from any thread, at any time, more than once."""

    @abstractmethod
    def close(self) -> None:
        """Give everything back; harmless when called twice, or before `open`."""


@runtime_checkable
class RandomAccess(Protocol):
    """A source that can also read any block, so that workers fetch their own."""

    def read(self, where: Mapping[str, slice], stream: str = MAIN) -> Array:
        """One block of a stream; axes that `where` does not name are whole."""
        ...
