"""What parts of a run say in Python's log reaches those who follow the run."""

import logging

import numpy as np

import firstlight as fl
from firstlight.connectors.memory.source import MemorySource
from firstlight.core.operator import operator
from firstlight.runners.logs import LOGGER


@operator("row col -> row col")
def talk(frames: np.ndarray) -> np.ndarray:
    """Say something about each chunk."""
    logging.getLogger("firstlight.connectors.talk").warning("The channel is away.")
    return frames


def test_messages_become_events_and_nobody_listens_afterwards() -> None:
    before = list(LOGGER.handlers)
    run = fl.run(MemorySource.of(np.ones((3, 2, 2), np.float32)), [talk])
    run.finished(100)
    assert ("log", "warning", "The channel is away.") in {(e.kind, e.level, e.text) for e in run.events()}
    assert LOGGER.handlers == before
