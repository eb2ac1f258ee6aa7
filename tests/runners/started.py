"""Runs of scans that are played from memory, some of which wait for a sign."""

import threading
from typing import Any

from firstlight.core.chunk import Scan
from firstlight.core.job import Job
from firstlight.core.pipeline import Pipeline
from firstlight.runners.local import LocalRunner
from firstlight.testing.play import cut, played, projections


def start(cues: Any, nodes: Any, *, scan: Scan | None = None, live: bool = False, **job: Any) -> Any:
    seen = projections(24)[0] if scan is None else scan
    return LocalRunner().start(Job(played(seen, cues, live=live), Pipeline(tuple(nodes)), **job))


def held_open(frames: Any, go: threading.Event, **coords: Any) -> list[Any]:
    """Half of the frames, then the rest when told."""
    chunks = cut(frames)
    return [*chunks[:3], lambda: go.wait(100), *chunks[3:]]
