"""What every arrangement must keep: a bound, and every id that comes in goes out once, as a frame or as a gap."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass

import numpy as np

from firstlight.core.arrange import Arrange
from firstlight.core.chunk import Chunk, Gap, Scan

from .demand import demand, demand_equal
from .fields import demand_documented, demand_round_trips
from .play import recut

Given = list[tuple[str, Chunk | Gap]]


@dataclass(frozen=True, slots=True)
class ArrangeExample:
    """An arrangement and what comes to its ports."""

    step: Arrange[object]
    scan: Scan
    given: Given
    """(port, chunk or gap), in an order in which they may come."""
    unlimited: frozenset[str] = frozenset()


class ArrangeContract(ABC):
    """Inherit, and give `example`."""

    @abstractmethod
    def example(self) -> ArrangeExample:
        """An arrangement and what comes to its ports."""

    def test_parameters(self) -> None:
        """Documented, limited, and the same after JSON and pickle."""
        example = self.example()
        demand_documented(type(example.step), example.unlimited)
        demand_round_trips(example.step)

    def test_bounded_and_empty_at_the_end(self) -> None:
        """However the ports take turns."""
        for seed in range(5):
            example = self.example()
            arranged(example.step, example.scan, _mixed(example.given, seed))

    def test_every_frame_goes_out_once_or_is_a_gap(self) -> None:
        """Of the first port; where ids stay what they are."""
        for seed in range(5):
            example = self.example()
            given = _mixed(example.given, seed)
            out = arranged(example.step, example.scan, given)
            if not example.step.keeps_ids:
                continue
            main = [item for port, item in given if port == example.step.arguments[0]]
            wanted, found = places(main), places(out)
            demand(found == wanted, f"in but not out: {wanted - found}; out but not in: {found - wanted} (seed {seed})")

    def test_declared_axes_are_true(self) -> None:
        """What comes out has the axes that `after` says."""
        example = self.example()
        stream = next(iter(example.step.after(example.scan).values()))
        out = [item for item in arranged(example.step, example.scan, example.given) if isinstance(item, Chunk)]
        demand(out, "Nothing came out of the example.")
        for chunk in out:
            demand(chunk.axes == stream.frame_axes, f"axes {chunk.axes}. Declared: {stream.frame_axes}.")

    def test_two_states_do_not_know_each_other_and_frames_are_left_alone(self) -> None:
        """An arrangement runs in several jobs at once."""
        example = self.example()
        before = [item.data.copy() for _, item in example.given if isinstance(item, Chunk)]
        first, second = (arranged(example.step, example.scan, example.given) for _ in range(2))
        demand(places(first) == places(second), "The second run differs from the first.")
        after = [item.data for _, item in example.given if isinstance(item, Chunk)]
        for left, right in zip(after, before, strict=True):
            demand_equal(left, right, "the frames that went in")


def arranged(step: Arrange[object], scan: Scan, given: Given) -> list[Chunk | Gap]:
    """Everything that comes out; the bound is watched.

    Raises:
        AssertionError: The bound was passed, or something is held after `flush`.
    """
    state = step.open(scan)
    out: list[Chunk | Gap] = []
    for port, item in given:
        out += step.push(state, port, item)
        held = step.held_frames(state)
        demand(held <= step.bound, f"'{step.use}' holds {held} frames. Its bound is {step.bound}.")
    for port in step.arguments:
        out += step.finish(state, port)
    out += step.flush(state)
    demand(step.held_frames(state) == 0, f"'{step.use}' still holds {step.held_frames(state)} frames after flush.")
    return out


def places(items: list[Chunk | Gap]) -> Counter[tuple[int, int]]:
    """How often each (epoch, id) occurs, as a frame or in a gap."""
    found: Counter[tuple[int, int]] = Counter()
    for item in items:
        ids = item.ids.tolist() if isinstance(item, Chunk) else range(item.first, item.last + 1)
        found.update((item.epoch, int(place)) for place in ids)
    return found


def _mixed(given: Given, seed: int) -> Given:
    """Every port's items in their own order, the ports taking random turns; frames cut anew."""
    rng = np.random.default_rng(seed)
    queues: dict[str, list[Chunk | Gap]] = {}
    for port, item in given:
        parts = recut([item], int(rng.integers(1, 5))) if isinstance(item, Chunk) else [item]
        queues.setdefault(port, []).extend(parts)
    mixed: Given = []
    while queues:
        port = str(rng.choice(sorted(queues)))
        mixed.append((port, queues[port].pop(0)))
        if not queues[port]:
            del queues[port]
    return mixed
