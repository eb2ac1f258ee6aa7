"""How the naive runner writes: everything is there, so that one sink after the other takes all of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from firstlight.core.chunk import Chunk, Gap, Item
from firstlight.core.counts import Ledger
from firstlight.core.job import SinkSpec
from firstlight.core.plan import Outlet, Port
from firstlight.core.sink import Sink

from .failing import part_failed
from .placeholders import filled
from .positions import expanded


def opened(outlet: Outlet, scan_name: str, record: Mapping[str, Any]) -> list[Sink]:
    """The sink of an outlet, open.

    Raises:
        FirstlightError: It can not be written; the sink is named.
    """
    if not isinstance(outlet.spec, SinkSpec):
        return []
    sink = filled(outlet.spec.sink, scan_name)
    with _guarded(sink):
        sink.open(outlet.scan, dict(record))
    return [sink]


def write_items(sink: Sink, outlet: Outlet, items: Mapping[Port, Sequence[Item]], ledger: Ledger) -> None:
    """Write what came at a port, and for a sink that captures the scan the other streams of the source.

    Raises:
        FirstlightError: It can not be written; the sink is named.
    """
    with _guarded(sink):
        for item in items[outlet.port]:
            if isinstance(item, Chunk):
                sink.write(expanded(item, outlet.scan.main))
                ledger.done(len(item))
            elif isinstance(item, Gap):
                sink.miss(item)
                ledger.miss(item)
        for item in (item for other in outlet.beside for item in items[other]):
            if isinstance(item, Chunk):
                sink.write(item)


def closed(sink: Sink, record: dict[str, Any], *, complete: bool) -> None:
    """Close a sink with the final record.

    Raises:
        FirstlightError: It can not be written; the sink is named.
    """
    with _guarded(sink):
        sink.close(record, complete=complete)


@contextmanager
def _guarded(sink: Sink) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise part_failed(f"sink '{sink.use}'", error) from error
