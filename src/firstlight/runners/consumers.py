"""What each consumer of a run has got, of how much; and how far the run is by that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from firstlight.core.counts import Ledger
from firstlight.core.pipeline import SOURCE
from firstlight.core.plan import Plan
from firstlight.core.run import Counts

from .under_way import Work


def counts_by_consumer(
    plan: Plan, ledgers: Mapping[str, Ledger], *, expected: int, duplicates: int
) -> dict[str, Counts]:
    """The counts of every consumer but views, which skip what they like.

    Args:
        plan: of the run.
        ledgers: by consumer.
        expected: frames of the source so far.
        duplicates: that came from the source.
    """
    found: dict[str, Counts] = {}
    for name, ledger in ledgers.items():
        if name.startswith("view "):
            continue
        own = plan.counts_source_frames(name)
        found[name] = ledger.counts(expected if own else _expected_of(plan, name), duplicates if own else 0)
    return found


def _expected_of(plan: Plan, consumer: str) -> int:
    """Frames that a consumer behind a regrouping waits for."""
    step, _, output = consumer.rpartition(" ")[2].partition(".")
    if step == SOURCE:
        return plan.scan.stream(output).frames or 0
    planned = plan[step]
    if not output and planned.cut is not None:
        return planned.cut.stream.frames or 0
    scan = planned.outputs[output] if output else planned.scan
    return 1 if scan.main.arrival == 0 else scan.main.frames or 0


def titles(plan: Plan, consumers: Iterable[str]) -> dict[str, str]:
    """What consumers count, in words, where their names do not say it.

    For a step that needs an axis whole frames are gathered; nothing of it is done by then.
    """
    steps = {planned.name: planned for planned in plan.steps}
    return {name: f"gathered for {name}" for name in consumers if name in steps and steps[name].cut is not None}


def begun(plan: Plan, consumers: Iterable[str], works: Iterable[Work]) -> dict[str, float]:
    """By consumer: frames' worth of what is done within the blocks that are being made for it."""
    shares: dict[str, float] = {}
    for work in works:
        shares[work.step] = shares.get(work.step, 0.0) + work.frames * work.share
    return {name: sum(shares.get(step, 0.0) for step in _makers(plan, name)) for name in consumers} if shares else {}


def _makers(plan: Plan, consumer: str) -> Iterator[str]:
    """The map steps of the stage that makes what a consumer takes."""
    step, _, output = consumer.rpartition(" ")[2].partition(".")
    name = step if output else plan[step].main[0]
    while name != SOURCE and plan[name].kind == "map":
        yield name
        if plan[name].cut is not None:
            return
        name = plan[name].main[0]


def share_done(plan: Plan, consumers: Mapping[str, Counts], begun: Mapping[str, float]) -> float | None:
    """How much is done, from 0 to 1, on the mean over all consumers; None where nobody knows how much there is."""
    if not plan.scan.bounded or not consumers:
        return None
    shares = [
        1 - (counts.waiting - begun.get(name, 0.0)) / counts.expected
        for name, counts in consumers.items()
        if counts.expected
    ]
    return min(sum(shares) / len(shares), 1.0) if shares else 0.0
