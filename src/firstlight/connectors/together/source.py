"""Source: several detectors of one scan, each received by a source of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import PrivateAttr, field_validator

from firstlight.core import registry
from firstlight.core.chunk import MAIN, Chunk, End, Gap, Item, Scan, Stream
from firstlight.core.errors import FirstlightError, SourceError, Stopped
from firstlight.core.source import Source

_WAITING = 64
"""Items of each source that may wait; then it is told to wait too, or drops and counts, as its kind is."""


class TogetherSource(Source):
    """Receives a scan from several sources at once, such as frames from a detector and positions from a PandABox.

    The source under `data` is the main one; the frames of each other one become the stream of its name. Streams are joined
    by id where a step takes two, whatever the order of arrival. The scan is over when all of them have ended.
    """

    use: ClassVar[str] = "together"
    pausable: ClassVar[bool] = False

    sources: dict[str, dict[str, Any]]
    """By stream name: a source, such as ``{data: {use: dectris, data: "tcp://dcu:9999"}, positions: {use: panda}}``."""

    _opened: dict[str, Source] = PrivateAttr(default_factory=lambda: {})
    _ready: dict[str, Source] = PrivateAttr(default_factory=lambda: {})
    """Sources over connections that are there already; not open."""
    _stopping: threading.Event = PrivateAttr(default_factory=threading.Event)

    @field_validator("sources")
    @classmethod
    def _complete(cls, given: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        if MAIN not in given or len(given) < 2:
            raise ValueError(f"needs a source for '{MAIN}', and at least one more")
        for name, each in given.items():
            if "use" not in each:
                raise ValueError(f"the source of '{name}' has no 'use'")
        return given

    def parts(self) -> dict[str, Source]:
        """The sources, by stream; not open."""
        return {name: self._part(name) for name in self.sources}

    def _part(self, name: str) -> Source:
        given = dict(self.sources[name])
        return registry.get("sources", given.pop("use"))(**given)

    def _main_last(self) -> list[str]:
        """The streams in the order in which they are connected: a detector is armed when everybody listens."""
        return sorted(self.sources, key=lambda name: name == MAIN)

    def open(self) -> Scan:
        """Open all; the main one last.

        Raises:
            SourceError: One of them can not be opened.
        """
        ready, self._ready = self._ready, {}
        self.close()
        self._ready = ready
        self._stopping.clear()
        scans: dict[str, Scan] = {}
        try:
            for name in self._main_last():
                source = self._opened[name] = self._ready.pop(name, None) or self._part(name)
                if name == MAIN:
                    source.on_listening(self.listening)  # all others are open by then
                if self._stopping.is_set():
                    raise Stopped("The run was stopped before all sources were there.")
                with _named(name):
                    scans[name] = source.open()
        except BaseException:
            self.close()
            raise
        return _merged(scans)

    def items(self) -> Iterator[Item]:
        """What all sources give, as it comes; the main stream ends last.

        Raises:
            SourceError: One of them failed; the others are stopped.
        """
        if not self._opened:
            raise SourceError("The source is not open.", field="sources", next_move="Call open() first.")
        arriving: queue.Queue[tuple[str, Item | Exception | None]] = queue.Queue(_WAITING * len(self._opened))
        threads = [
            threading.Thread(target=self._read, args=(name, source, arriving), name=f"together {name}", daemon=True)
            for name, source in self._opened.items()
        ]
        for thread in threads:
            thread.start()
        try:
            yield from self._sorted(arriving, len(threads))
        finally:
            # whoever stops reading, by an error or on purpose, must not leave a source waiting to be read
            self.stop()
            while any(thread.is_alive() for thread in threads):
                with suppress(queue.Empty):
                    arriving.get(timeout=0.05)

    def _sorted(self, arriving: queue.Queue[tuple[str, Item | Exception | None]], running: int) -> Iterator[Item]:
        """Everything but the end of the main stream, and then that.

        Raises:
            SourceError: What the first source that failed raised.
        """
        failed: Exception | None = None
        last: list[Item] = []
        came = False
        while running:
            name, item = arriving.get()
            came = came or (name == MAIN and isinstance(item, Chunk))
            if item is None:
                running -= 1
            elif isinstance(item, Exception):
                failed = failed or item
                self.stop()
            elif failed is None and isinstance(item, End) and item.stream == MAIN and item.set is None:
                last.append(item)
                if not came:  # given up before its first frame: what the others send next belongs to the scan after it
                    self.stop()
            elif failed is None:
                yield item
        if failed is not None:
            raise failed
        yield from last

    def _read(self, name: str, source: Source, arriving: queue.Queue[tuple[str, Item | Exception | None]]) -> None:
        """One source, on a thread of its own."""
        try:
            with _named(name):
                for item in source.items():
                    arriving.put((name, _renamed(item, name)))
        except Exception as error:
            arriving.put((name, error))
        finally:
            arriving.put((name, None))

    @property
    def follows(self) -> bool:
        """True if scans come one after the other from all of them."""
        return all(source.follows for source in self.parts().values())

    def _make_follower(self) -> TogetherSource:
        """The next scan is the next one of each, in order."""
        found = TogetherSource(sources=self.sources)
        try:
            for name in self._main_last():
                source = self._ready[name] = self._ready.get(name) or self._part(name)
                following = source.follower()
                if following is not None:
                    found._ready[name] = following
        except BaseException:
            found.close()
            raise
        return found

    def begun(self, timeout: float) -> bool:
        """True once the next scan of the main source has begun."""
        main = self._ready.get(MAIN)
        return main is not None and main.begun(timeout)

    def stop(self) -> None:
        """End all of them."""
        self._stopping.set()
        for source in list(self._opened.values()):
            source.stop()

    def close(self) -> None:
        """Close all of them."""
        opened = [*self._opened.values(), *self._ready.values()]
        self._opened, self._ready = {}, {}
        problems: list[Exception] = []
        for source in opened:
            try:
                source.close()
            except FirstlightError as error:
                problems.append(error)
        if problems:
            raise problems[0]


@contextmanager
def _named(name: str) -> Generator[None]:
    """Say of an error which stream it is about: several wait for something that does not come.

    Raises:
        SourceError: The same, with the stream's name.
    """
    try:
        yield
    except SourceError as error:
        raise SourceError(
            f"Stream '{name}': {error.message}",
            field=error.field,
            value=error.value,
            expected=error.expected,
            next_move=error.next_move,
        ) from error


def _renamed(item: Item, name: str) -> Item:
    """The frames of a source that is not the main one belong to the stream of its name."""
    if name == MAIN or item.stream != MAIN:
        return item
    if isinstance(item, Chunk | Gap | End):
        return replace(item, stream=name)
    return item


def _merged(scans: Mapping[str, Scan]) -> Scan:
    """One scan with the streams of all."""
    main = scans[MAIN]
    streams: dict[str, Stream] = dict(main.streams)
    calibration = dict(main.calibration)
    for name, scan in scans.items():
        if name == MAIN:
            continue
        if name in streams:
            raise SourceError(
                f"The main source has a stream '{name}' itself.",
                field="sources",
                value=name,
                expected="a name that it does not use",
            )
        streams[name] = scan.main
        calibration = {**scan.calibration, **calibration}
    return replace(main, streams=streams, calibration=calibration, order=())
