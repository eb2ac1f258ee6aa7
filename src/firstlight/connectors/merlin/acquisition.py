"""One acquisition: which frames look like it, and how a batch of them is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

from firstlight.core.arrays import Array, Ids, as_ids
from firstlight.core.receiving import Layout, Limits, Receiving

from .pieces import Alike, Pieces
from .wire import BadMessage, Format, FrameHeader, Start, read_format


class Acquisition(Receiving[Pieces]):
    """Receives the frames of one acquisition.

    Args:
        start: Its header.
        limits: What it may take.
        decoders: Decodes; its threads are bounded.
        first: Number of its first frame: other than 0 for a further scan of a continuous acquisition.
    """

    def __init__(self, start: Start, limits: Limits, decoders: Executor, first: int = 0) -> None:
        """Start before the first frame."""
        self.start, self.first = start, first
        self.format: Format | None = None
        self.header = b""
        """The header as it came."""
        self.alike: Alike | None = None
        """How messages with such frames begin."""
        self._look = b""
        super().__init__("the acquisition", limits, _decode, decoders, announced=True, total=start.frames, layout=None)

    @property
    def numbers(self) -> range:
        """Those that frames which it takes may have."""
        total = self.places.total
        return range(self.first, self.first if self.over else 2**40 if total is None else self.first + total)

    def receive(self, header: FrameHeader, payload: memoryview, memory: Array, begin: int) -> None:
        """Take one frame.

        Args:
            header: What it says of itself.
            payload: Its bytes.
            memory: Where they lie among others, uint8.
            begin: At which byte.
        """
        number = header.number - self.first
        if number < 0:
            return
        try:
            like = self._check(header, payload)
        except BadMessage as error:
            self.take(number, None, str(error))
            return
        self.take_many(as_ids(number), Pieces(like, memory, as_ids(begin)))

    def receive_many(self, numbers: Ids, memory: Array, begins: Ids) -> None:
        """Take frames that are like those before, by their numbers and where they begin in memory."""
        if self.format is not None:
            self.take_many(numbers - self.first, Pieces(self.format, memory, begins))

    def _check(self, header: FrameHeader, payload: memoryview) -> Format:
        """Learn from the first frame what frames look like; refuse those that look otherwise.

        Raises:
            BadMessage: It looks otherwise, or can not be read.
        """
        if self.format is None or self.alike is None:
            found = read_format(payload)
            if len(payload) != found.nbytes:
                raise BadMessage(
                    "A frame is cut off or too long.",
                    field="length",
                    value=len(payload),
                    expected=f"{found.nbytes} byte",
                )
            self.format, self._look, self.alike = found, header.look, Alike.of(found, header)
            self.learn(Layout(found.shape, found.dtype))
        if header.look != self._look or len(payload) != self.format.nbytes:
            raise BadMessage("A frame differs from those before it.", field="length", value=len(payload))
        return self.format


def _decode(frames: Sequence[Pieces], out: Array) -> list[str | None]:
    """Frames are always handed over as pieces that decode themselves; see `Together`."""
    return [reason for at, frame in enumerate(frames) for reason in frame.decode(out[at : at + 1])]
