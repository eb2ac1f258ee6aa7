"""What a user wants to be told of in the life of an acquisition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import PrivateAttr

from firstlight.core.chunk import Chunk, Item, Scan
from firstlight.core.errors import FirstlightError
from firstlight.core.source import Source

Shape = tuple[int | None, ...]
"""(scan_y, scan_x); None or -1 for a size that follows from the number of frames. One size alone: no lines."""


class Hooks:
    """Called in the life of an acquisition; a class of one's own changes those methods that it needs.

    In the order in which they come: `on_configured`, `on_armed`, `on_ready_for_data` (not where somebody else arms),
    `on_nav_shape`, `on_started`, `on_chunk`, then `on_done` or `on_error`, and `on_closed`. From `on_started` on they run on the
    thread that reads: while one works, the detector's own buffer fills. One that raises ends the run with its error.
    """

    def on_configured(self, detector: Any) -> None:
        """The detector has taken its settings, and is not armed yet."""

    def on_armed(self, detector: Any) -> None:
        """The detector is armed."""

    def on_ready_for_data(self, detector: Any) -> None:
        """Frames can come: start or trigger the scan here. Not called where somebody else arms the detector."""

    def on_nav_shape(self, frames: int | None, shape: Shape | None) -> Shape | None:
        """Say what shape the scan has; called when somebody else has armed the detector.

        Args:
            frames: How many the detector will send; None if it does not say.
            shape: What `wait` was given.

        Returns:
            (scan_y, scan_x), or None for what was given.
        """
        return None

    def on_started(self, scan: Scan) -> None:
        """The source is open: it is known what frames look like."""

    def on_chunk(self, chunk: Chunk) -> None:
        """Frames have come; their memory is used again later, so copy what is to be kept. `chunk.dense()` has pixels, always."""

    def on_done(self) -> None:
        """All frames have come, or the run was stopped."""

    def on_error(self, error: Exception) -> None:
        """Opening or receiving failed, or a step of the run did: then `run.finished()` raises what it was."""

    def on_closed(self) -> None:
        """The source is closed."""


class HookedSource(Source):
    """A source that tells hooks what happens; otherwise the source itself."""

    pausable = False

    _source: Source = PrivateAttr()
    _hooks: Hooks = PrivateAttr()
    _open: bool = PrivateAttr(default=False)

    def __init__(self, source: Source, hooks: Hooks) -> None:
        """Nothing is opened yet."""
        super().__init__()
        self._source, self._hooks = source, hooks

    @property
    def use(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The name of the source itself, so that the record of a run names what can be used again."""
        return self._source.use

    @property
    def header(self) -> Any:
        """The header of the acquisition, once the source is open."""
        return getattr(self._source, "header", None)

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """The parameters of the source itself."""
        return self._source.model_dump(**options)

    def holds(self) -> bool:
        """As the source itself."""
        return self._source.holds()

    def open(self) -> Scan:
        """Open the source, and tell what will come.

        Raises:
            SourceError: It can not be opened.
        """
        self._source.on_listening(self._on_listening)
        self._open = True
        try:
            scan = self._source.open()
            self._hooks.on_started(scan)
        except Exception as error:
            self._hooks.on_error(error)
            self.close()
            raise
        return scan

    def items(self) -> Iterator[Item]:
        """The items of the source; chunks are told.

        Raises:
            SourceError: Receiving failed.
        """
        try:
            for item in self._source.items():
                if isinstance(item, Chunk):
                    self._hooks.on_chunk(item)
                yield item
        except GeneratorExit:
            told = "The run failed, and takes no more frames."
            self._hooks.on_error(FirstlightError(told, next_move="Its own error, from run.finished(), says why."))
            raise
        except Exception as error:
            self._hooks.on_error(error)
            raise
        self._hooks.on_done()

    def stop(self) -> None:
        """End soon; what has arrived is delivered."""
        self._source.stop()

    def close(self) -> None:
        """Close the source, and tell it once."""
        self._source.close()
        was_open, self._open = self._open, False
        if was_open:
            self._hooks.on_closed()
