"""Views: newest-wins consumers of results. A view may never slow the pipeline."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from .arrays import Array
from .chunk import Stream
from .step import Configured
from .units import Quantity


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture of a result, as it was at some moment."""

    data: Array
    stream: Stream
    version: int
    epoch: int = 0
    id: int = 0
    """The newest frame in it."""
    received: float = 0.0
    """When that frame arrived (Unix time in second)."""
    finished: float = field(default_factory=time.time)
    coverage: float | None = None
    covered: Array | None = None
    """Of values that are filled in one by one: which have come; None: all, or no such values."""
    coarse: bool = False
    calibration: Mapping[str, Quantity] = field(default_factory=dict[str, Quantity])


class View(Configured):
    """Shows the newest version of one output. Called from a thread of its own; what it is too slow for is skipped and counted."""

    @abstractmethod
    def open(self, name: str, stream: Stream) -> None:
        """Prepare to show an output."""

    def numbered(self, number: int) -> Self:
        """The same for a further scan, counted from 2; of a view that keeps what it shows under a name, another name."""
        return self

    @abstractmethod
    def show(self, shown: Shown) -> None:
        """Show one version."""

    @abstractmethod
    def close(self) -> None:
        """Give everything back; harmless when called twice."""
