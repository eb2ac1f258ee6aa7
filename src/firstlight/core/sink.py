"""Sinks: lossless consumers of results. A sink may slow the pipeline."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Self

from .arrays import Ids
from .chunk import Chunk, Gap, Scan
from .errors import SinkError
from .step import Configured


class Sink(Configured):
    """Writes one output of one run. Blocking methods, called from one writer thread."""

    captures: ClassVar[bool] = False
    """True if it takes every stream of the scan (darks, flats) when it is given the source's own frames."""

    @abstractmethod
    def open(self, scan: Scan, record: dict[str, Any]) -> None:
        """Prepare to write `scan.main`. The record comes first, so that even an interrupted file says what it is.

        Raises:
            SinkError: It can not be written; the message names the path and the next move.
        """

    @property
    def resumable(self) -> bool:
        """True if it can go on with what a run left that was ended in order (Ctrl-C, a full disk)."""
        return False

    @property
    def survives_a_kill(self) -> bool:
        """True if it can go on with what a killed run left, too: nothing that was written is harmed by the kill."""
        return self.resumable

    def resume(self, scan: Scan, record: dict[str, Any], done: Ids) -> None:
        """Open what an interrupted run left, and go on in it.

        Args:
            scan: What is written is `scan.main`.
            record: Of the run that goes on.
            done: Ids of the frames that are there and whole; what else is there is not to be trusted.

        Raises:
            SinkError: It is not there, or does not fit; or this sink can not do that.
        """
        raise SinkError(
            f"The sink '{self.use}' can not go on with what an interrupted run left.",
            field="resume",
            value=True,
            next_move="Run the job without --resume.",
        )

    def numbered(self, number: int) -> Self:
        """The same for a further scan, counted from 2: where it has a `path`, its name carries the number."""
        path = getattr(self, "path", None)
        if path is None:
            return self
        folder, slash, name = str(path).rpartition("/")
        stem, dot, ending = name.partition(".")
        return self.model_copy(update={"path": type(path)(f"{folder}{slash}{stem}_{number}{dot}{ending}")})

    @abstractmethod
    def write(self, chunk: Chunk) -> None:
        """Write the frames of one chunk at the places that their ids name.

        Raises:
            SinkError: The disk is full, or the store is gone.
        """

    def miss(self, gap: Gap) -> None:
        """Note frames that will not come."""

    @abstractmethod
    def close(self, record: dict[str, Any], *, complete: bool) -> None:
        """Write the final record (counts, gaps, changes) and say whether the run came to its end."""

    def location(self) -> str | None:
        """Where the result is, for people: a path or an address."""
        return None
