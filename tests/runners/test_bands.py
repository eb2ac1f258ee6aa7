"""Room for a band is taken when the blocks of the one before the present are done, and never waited for in vain."""

import threading
import time
from typing import Any

import numpy as np

from firstlight.core.chunk import Chunk
from firstlight.runners.bands import InHand


def waiting(hand: InHand) -> threading.Thread:
    thread = threading.Thread(target=hand.wait, daemon=True)
    thread.start()
    return thread


def block(view: bool = False) -> Chunk:
    data: Any = np.zeros((2, 5, 7), np.float32)
    return Chunk(data[:1] if view else data, ("angle", "col"), np.arange(1 if view else 2))


def test_it_waits_for_whoever_holds_a_block_or_a_part_of_one() -> None:
    hand = InHand()
    whole, part = block(), block(view=True)
    hand.add(whole)
    hand.add(part)
    row = whole.data[0]
    thread = waiting(hand)
    del whole
    time.sleep(0.1)
    assert thread.is_alive()
    del part
    time.sleep(0.1)
    assert thread.is_alive()
    del row
    thread.join(10)
    assert not thread.is_alive()


def test_a_block_that_somebody_keeps_holds_up_nothing_that_is_needed() -> None:
    hand, kept = InHand(), block()
    hand.add(kept)
    thread = waiting(hand)
    time.sleep(0.05)
    assert thread.is_alive()
    hand.give_up()
    thread.join(10)
    assert not thread.is_alive()
    assert len(kept) == 2


def test_nothing_in_hand_is_no_wait() -> None:
    InHand().wait()
