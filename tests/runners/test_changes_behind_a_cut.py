"""Parameters of a step that works on the complete scan: one value for all of its blocks, whatever the ids of frames are."""

import threading

import numpy as np
import pytest

import firstlight as fl
from firstlight.connectors.memory.source import MemorySource
from firstlight.core.chunk import Chunk
from firstlight.core.errors import ChangeRefused
from firstlight.core.job import Job
from firstlight.core.operator import operator
from firstlight.core.pipeline import pipeline
from firstlight.testing.play import played
from firstlight.testing.runner import wait_until

ROWS, ANGLES = 40, 6
GATE = threading.Event()
BEGUN = threading.Event()


@operator("angle col -> col")
def weigh(sinograms: np.ndarray, *, factor: float = 1.0) -> np.ndarray:
    """Sum over the angles, times a factor; may be held up.

    Args:
        factor: By what.
    """
    BEGUN.set()
    GATE.wait(100)
    return (sinograms.sum(axis=1) * factor).astype(np.float32)


def test_a_change_before_the_scan_is_complete_holds_for_every_row() -> None:
    GATE.set()
    go = threading.Event()
    frames = np.ones((ANGLES, ROWS, 4), np.float32)
    source = MemorySource.of(frames, angles=np.arange(float(ANGLES)))
    scan = source.open()
    chunks = [Chunk(frames[i : i + 1], ("row", "col"), np.array([i])) for i in range(ANGLES)]
    job = Job(played(scan, [*chunks[:5], lambda: go.wait(100), chunks[5]]), pipeline([weigh]), collect=True)
    run = fl.start(job)
    wait_until(lambda: run.counts.done == 5)
    run.set({"weigh": {"factor": 3.0}})
    go.set()
    assert (run.finished(100)["weigh"].data == 3.0 * ANGLES).all()


def test_a_change_after_it_has_begun_is_refused() -> None:
    GATE.clear()
    BEGUN.clear()
    source = MemorySource.of(np.ones((ANGLES, ROWS, 4), np.float32), angles=np.arange(float(ANGLES)))
    run = fl.run(source, [weigh])
    try:
        wait_until(BEGUN.is_set)
        with pytest.raises(ChangeRefused, match="complete scan"):
            run.set({"weigh": {"factor": 3.0}})
    finally:
        GATE.set()
    assert len(np.unique(run.finished(100)["weigh"].data)) == 1
