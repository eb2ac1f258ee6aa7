"""One acquisition: which frames look like it, and how a batch of them is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from itertools import groupby
from typing import NamedTuple

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.receiving import Layout, Limits, Receiving

from .wire import BadMessage, Format, FrameHeader, Start, decode_many, read_format


class Piece(NamedTuple):
    """A frame as it came: it begins at some byte of the memory into which it was received, among others."""

    memory: Array
    begin: int


class Acquisition(Receiving[Piece]):
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
        self._look = b""
        super().__init__(
            "the acquisition", limits, self._decode_batch, decoders, announced=True, total=start.frames, layout=None
        )

    def receive(self, header: FrameHeader, payload: memoryview, piece: Piece) -> None:
        """Take one frame: its header, its bytes, and where they lie."""
        number = header.number - self.first
        if number < 0:
            return
        try:
            self._check(header, payload)
        except BadMessage as error:
            self.take(number, None, str(error))
            return
        self.take(number, piece)

    def _check(self, header: FrameHeader, payload: memoryview) -> None:
        """Learn from the first frame what frames look like; refuse those that look otherwise.

        Raises:
            BadMessage: It looks otherwise, or can not be read.
        """
        if self.format is None:
            found = read_format(payload)
            if len(payload) != found.nbytes:
                raise BadMessage(
                    "A frame is cut off or too long.",
                    field="length",
                    value=len(payload),
                    expected=f"{found.nbytes} byte",
                )
            self.format, self._look = found, header.look
            self.learn(Layout(found.shape, found.dtype))
        if header.look != self._look or len(payload) != self.format.nbytes:
            raise BadMessage("A frame differs from those before it.", field="length", value=len(payload))

    def _decode_batch(self, frames: Sequence[Piece], out: Array) -> list[str | None]:
        """Decode all frames that lie in one piece of memory together."""
        reasons: list[str | None] = []
        for _, group in groupby(frames, key=lambda frame: id(frame.memory)):
            pieces, done = list(group), len(reasons)
            reason = self._decode_pieces(pieces, out[done : done + len(pieces)])
            reasons += [reason] * len(pieces)
        return reasons

    def _decode_pieces(self, pieces: Sequence[Piece], out: Array) -> str | None:
        if self.format is None:
            return "no frame has told what frames look like"
        try:
            decode_many(self.format, pieces[0].memory, np.array([piece.begin for piece in pieces]), out)
        except BadMessage as error:
            return str(error)
        return None
