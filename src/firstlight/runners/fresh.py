"""What a sink makes when it is opened: taken away again where another one can not be, so that nothing half-made is left."""

from __future__ import annotations

import shutil
from contextlib import suppress
from glob import escape
from pathlib import Path

from firstlight.core.sink import Sink


def files_of(sink: Sink) -> frozenset[Path]:
    """The files and folders of a sink that are there: what it writes, and what lies beside that under the same name."""
    place = sink.location()
    if place is None or "://" in place:
        return frozenset()
    path = Path(place)
    return frozenset(each for each in (path, *path.parent.glob(f"{escape(path.name)}.*")) if each.exists())


def take_away(sink: Sink, before: frozenset[Path]) -> None:
    """Remove the files of a sink that were not there before it was opened."""
    for path in files_of(sink) - before:
        with suppress(OSError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
