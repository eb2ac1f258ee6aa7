"""Coordinates for the axes of results."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from firstlight.core.chunk import Scan
from firstlight.core.coordinates import coordinates_of
from firstlight.core.pipeline import SOURCE
from firstlight.core.plan import Plan
from firstlight.core.run import Results

Found = TypeVar("Found", bound=Results)


def calibrated(results: Found, plan: Plan) -> Found:
    """The same results, each with the coordinates that its scan gives it."""
    for name, result in results.items():
        scan = _scan_of(name, plan)
        if scan is not None and not result.coordinates:
            lengths = dict(zip(result.axes, result.data.shape, strict=True))
            results[name] = replace(result, coordinates=coordinates_of(scan, lengths))
    return results


def _scan_of(name: str, plan: Plan) -> Scan | None:
    step, _, output = name.partition(".")
    if step == SOURCE:
        return plan.scan.with_main(plan.scan.stream(output))
    return next((each.outputs.get(output) for each in plan.steps if each.name == step), None)
