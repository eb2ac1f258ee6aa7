"""Sources: where frames come from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from pydantic import PrivateAttr

from .arrays import Array
from .chunk import MAIN, Chunk, End, Item, Scan, Stream
from .step import Configured

DARK = "dark"
FOLLOWING_KEPT = 16
"""Scans that may wait over the connections of followers until they are read, the oldest go first: the same number for every source, because
the second scan of one is joined with the second scan of another."""


class Source(Configured):
    """Gives a scan, then its chunks, gaps and ends. All methods block; they run on a reader thread."""

    pausable: ClassVar[bool] = True
    """False if frames keep coming while nobody reads, as from a detector."""

    _follower: Source | None = PrivateAttr(default=None)
    _on_listening: Callable[[], None] | None = PrivateAttr(default=None)

    def on_listening(self, call: Callable[[], None] | None) -> None:
        """Have `call` called by `open` once nothing that is sent from now on is missed, also while it waits for a scan.

        A source that has nothing to wait for need not do so: it listens when `open` has returned.
        """
        self._on_listening = call

    def listening(self) -> None:
        """Say that nothing that is sent from now on is missed: for `open` of a source that then waits for a scan."""
        if self._on_listening is not None:
            self._on_listening()

    def awaited(self) -> tuple[str, Scan] | None:
        """What `open` would have to wait for now, in a sentence, and what will come as far as the settings say.

        Lengths that they do not say are None. None where it need not wait, or where that is known by trying alone.
        """
        return None

    def holds(self) -> bool:
        """True if a detector that can not be paused keeps what is not read in a buffer of its own, and sends it later.

        A job may then choose the policy ``wait``; what the detector does when its own buffer is full is its affair.
        """
        return False

    @property
    def follows(self) -> bool:
        """True if scans come one after the other over its connections, so that it can have a `follower`."""
        return False

    def follower(self) -> Source | None:
        """The source of the scan that comes next over the same connections, if `follows`; the same each time it is asked for.

        To be asked for before `open`: it connects, and the connections are the follower's from then on. What comes for the next
        scan waits for it, `close` of this source leaves them, and somebody has to close the follower.

        Raises:
            SourceError: It can not be connected.
        """
        if self._follower is None and self.follows:
            self._follower = self._make_follower()
        return self._follower

    def _make_follower(self) -> Source | None:
        return None

    def begun(self, timeout: float) -> bool:
        """Of a follower: True once its scan has begun; waits up to `timeout` second for that."""
        return False

    def parts(self) -> Mapping[str, Source]:
        """The sources that this one reads from, by stream, if it is made of others."""
        return {}

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


def stored_together(source: object, label: str) -> int:
    """Positions along a frame axis that a source stores as one piece, so that reading one of them reads them all."""
    found = getattr(source, "stored_together", None)
    return 1 if found is None else int(found(label))


def with_dark_level(scan: Scan, level: float | None) -> Scan:
    """The scan with a stream of one dark frame, where there is none and its level is known."""
    main = scan.main
    if level is None or DARK in scan.streams or main.frame_axes != ("row", "col"):
        return scan
    sizes = {"frame": 1, "row": main.sizes["row"], "col": main.sizes["col"]}
    dark = Stream(("frame", "row", "col"), sizes, "float32", unit=main.unit, first=-1)
    return replace(scan, streams={**scan.streams, DARK: dark}, order=(DARK, *scan.order) if scan.order else ())


def dark_of_level(scan: Scan, level: float) -> tuple[Item, ...]:
    """The frame of that stream, the same in every pixel, and its ends."""
    frame = np.full((1, scan.main.size("row"), scan.main.size("col")), level, np.float32)
    return Chunk(frame, ("row", "col"), np.array([-1]), stream=DARK), End(DARK, 0), End(DARK)
