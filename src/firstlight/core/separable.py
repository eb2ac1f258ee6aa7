"""What can be done for a band of an axis by itself, so that a scan may be read again band by band."""

from __future__ import annotations

from .chunk import MAIN, Stream
from .operator import Operator
from .pipeline import SOURCE
from .plan import Cut, Plan, Planned, source_port
from .source import RandomAccess


def can_read_bands(plan: Plan, cut: Cut) -> bool:
    """True if a part of the axis of the blocks can be read from the source again, and taken through every step to the cut."""
    source, main = plan.job.played, plan.scan.main
    if not isinstance(source, RandomAccess) or not plan.job.source.pausable or main.arrival != 1:
        return False
    if cut.along not in main.frame_axes or cut.stream.arrival_axes != main.arrival_axes:
        return False
    chain = chain_to(plan, cut)
    return chain is not None and all(is_separable(planned, str(cut.along), main) for planned in chain)


def chain_to(plan: Plan, cut: Cut) -> tuple[Planned, ...] | None:
    """The map steps from the source's frames to what a cut gathers; None if there are others on the way."""
    chain: list[Planned] = []
    port = cut.port
    while port[0] != SOURCE:
        planned = plan[port[0]]
        if planned.kind != "map" or planned.cut is not None:
            return None
        chain.insert(0, planned)
        port = planned.main
    return tuple(chain) if port == source_port(MAIN) else None


def is_separable(planned: Planned, label: str, main: Stream) -> bool:
    """True if a step gives the same for a band of an axis as for all of it (neighbours in its halo granted)."""
    step = planned.step
    if not isinstance(step, Operator) or label in step.coordinates:
        return False
    if any(s.main.sizes.get(label) != main.sizes.get(label) for s in planned.outputs.values()):
        return False
    first = step.signature.first
    by_pixel = is_pixelwise(planned) and "numbers" not in step.hooks  # numbers of a frame are found in all of it
    return by_pixel or label not in first.whole or label in first.halo


def is_pixelwise(planned: Planned) -> bool:
    """True if a step works on one pixel at a time, given what it finds for the frame (the hook `numbers`)."""
    return isinstance(planned.step, Operator) and planned.step.scalar is not None
