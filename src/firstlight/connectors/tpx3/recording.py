"""Record what a Timepix3 detector sends, byte for byte: chunks of sparse frames (Accos), or raw packets (SERVAL)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from firstlight.core.tap import Arrived, Tap

from ..recorded.appended import AppendedFile, tap_for

FRAMES, PACKETS = ".csr", ".tpx3"
"""Endings of recorded chunks, and of recorded packets."""


class StreamFile(AppendedFile):
    """Appends messages as they came; beside the file, when each came and what the scan is."""

    def encode(self, arrived: Arrived) -> Sequence[bytes | memoryview]:
        """All of it."""
        return arrived.parts


def stream_tap(path: Path | None, memory: float) -> Tap | None:
    """What gathers messages to be recorded; None without a file.

    Raises:
        SinkError: The file exists already.
    """
    return None if path is None else tap_for(StreamFile(path), memory, begun="")


def with_ending(path: Path | None, ending: str, what: str) -> Path | None:
    """A path whose ending says what it holds.

    Raises:
        ValueError: It says something else.
    """
    if path is not None and path.suffix.lower() != ending:
        raise ValueError(f"record = '{path}': {what} are recorded as they come in a {ending} file")
    return path
