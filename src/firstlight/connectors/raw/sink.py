"""Sink for plain numbers with a description in JSON."""

from __future__ import annotations

from typing import ClassVar

from firstlight.core.chunk import Stream

from ..recorded.mapped_sink import MappedSink


class RawSink(MappedSink):
    """Writes one output as plain numbers in one file (C order, this machine's bytes), described by a JSON file beside it.

    ``NAME.raw`` gets ``NAME.raw.json`` with shape, type, byte order, axes, units, the record and what is missing, and
    ``NAME.raw.times`` with the time at which each frame came.
    """

    use: ClassVar[str] = "raw"

    def head(self, stream: Stream) -> bytes:
        """Nothing."""
        return b""
