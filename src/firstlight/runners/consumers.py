"""What each consumer of a run has got, of how much; and how far the run is by that."""

from __future__ import annotations

from collections.abc import Mapping

from firstlight.core.counts import Ledger
from firstlight.core.pipeline import SOURCE
from firstlight.core.plan import Plan
from firstlight.core.run import Counts


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


def share_done(plan: Plan, consumers: Mapping[str, Counts]) -> float | None:
    """How much is done, from 0 to 1, on the mean over all consumers; None where nobody knows how much there is."""
    if not plan.scan.bounded or not consumers:
        return None
    shares = [1 - counts.waiting / counts.expected for counts in consumers.values() if counts.expected]
    return sum(shares) / len(shares) if shares else 0.0
