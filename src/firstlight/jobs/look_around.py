"""What to do about a value that a step found and does not trust: the command that looks at others, ready to paste."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from .steps_used import name_of, referred

AROUND = 10.0
"""How far the sweep reaches to either side of a value that was found, in its unit: columns of an axis."""
_VALUES = 20
"""Values that are looked at, and one more."""
_OF_THE_RUN = ("runner.", "snapshots.", "sink.", "only.")
"""Overrides that no sweep needs; `only` has an option of its own."""


@dataclass(frozen=True)
class Asked:
    """What a user asked for on the command line."""

    what: Path
    """The recorded scan, or the job file."""
    overrides: Mapping[str, str]
    """``--set`` and ``--only``."""
    values: str | None = None
    """``--values``."""

    def sweep(self, target: str, low: float, high: float) -> str:
        """The command that makes one slice for each of 21 values of a parameter, and a sheet of them."""
        step = max(1.0, round((high - low) / _VALUES))
        words = ["firstlight", "sweep", str(self.what), f"{target}={low:g}:{high:g}:{step:g}"]
        for name, value in {"only.row": "mid", **self.overrides}.items():
            if name.startswith("only."):
                words += ["--only", f"{name.removeprefix('only.')}={value}"]
        for name, value in self.overrides.items():
            if name != target and not name.startswith(_OF_THE_RUN):
                words += ["--set", f"{name}={value}"]
        words += [] if self.values is None else ["--values", self.values]
        return shlex.join([*words, "-o", f"{target.rpartition('.')[2]}s.h5"])


def advice(job: Mapping[str, Any], asked: Asked, report: Mapping[str, Any]) -> list[str]:
    """How to look at slices about other values, a line for every parameter that took a doubtful one.

    Args:
        job: In plain values.
        asked: What the user asked for.
        report: Of the run.
    """
    found: Mapping[str, Any] = report.get("values") or {}
    lines: list[str] = []
    for step in report.get("remarks") or {}:
        for target, output in takers(job, step).items():
            value = next((each for name, each in found.items() if name.startswith(f"{step}.{output}")), None)
            if isinstance(value, (int, float)) and math.isfinite(value):
                command = asked.sweep(target, round(value) - AROUND, round(value) + AROUND)
                lines.append(f"  to look: {command}\n  and then give the best: --set {target}=VALUE")
    return lines


def takers(job: Mapping[str, Any], step: str) -> dict[str, str]:
    """By ``step.parameter`` that takes what a step finds: which output, or nothing where it is the first."""
    found: dict[str, str] = {}
    for taker in cast("list[Any]", job.get("steps") or []):
        for parameter, value in cast("Mapping[str, Any]", taker).items() if isinstance(taker, Mapping) else ():
            if referred(value) == step:
                found[f"{name_of(cast('Mapping[str, Any]', taker))}.{parameter}"] = str(value["from"]).partition(".")[2]
    return found
