"""Jobs that are put together from another program's steps."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firstlight.core.errors import JobError, SourceError
from firstlight.core.job import parse_job

from .tables import Row, row

LARGEST = 2**20
"""Bytes of the largest file of settings."""
MOST = 1000
"""Values of one sweep that are carried over."""
SCAN = "scan.nxs"
"""Stands for the recorded scan, where the settings do not name it."""
_SIDE = ("find_center", "find_center_360", "find_center_rows", "find_overlap", "histogram")
"""Steps that measure: what comes after them takes what came before them."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A job, and what could not be carried over."""

    program: str
    job: dict[str, Any]
    remarks: tuple[str, ...]


def read_text(path: Path) -> str:
    """The text of a file of settings.

    Raises:
        SourceError: It is too large, or no text.
    """
    if path.stat().st_size > LARGEST:
        raise SourceError(
            "The file is too large for settings.", field="path", value=str(path), expected=f"at most {LARGEST} byte"
        )
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SourceError("The file is no text.", field="path", value=str(path)) from None


@dataclass(slots=True)
class JobBuilder:
    """Collects steps in their order, and remarks on what could not be carried over."""

    program: str
    table: str
    source: dict[str, Any] = field(default_factory=lambda: {"use": "nxtomo", "path": SCAN})
    only: dict[str, str] = field(default_factory=dict[str, str])
    steps: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    sinks: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    remarks: list[str] = field(default_factory=list[str])
    center: str | None = None
    """The step that found the rotation axis, once there is one; None too once half turns are joined, about the middle."""
    joined: bool = False
    """Half turns were joined: the axis is in the middle from there on."""
    _main: str | None = None
    _measured: bool = False

    def add(self, name: str, given: Mapping[str, Any]) -> bool:
        """Add our step for one of theirs; False if there is none, which is then a remark."""
        found = row(self.table, name)
        if found is None:
            self.remarks.append(
                f"{name}: there is no counterpart; see 'firstlight list operators', or use the step 'call'."
            )
            return False
        self.add_row(found, given)
        return True

    def add_row(self, found: Row, given: Mapping[str, Any]) -> None:
        """Add our step for one of theirs."""
        swept = {key: values for key, value in given.items() if (values := sweep_of(value)) is not None}
        step, remarks = found.step({key: swept[key][0] if key in swept else value for key, value in given.items()})
        for key, values in swept.items():
            self._sweep(found, key, values, step)
        self.remarks += remarks
        self.append(step)

    def append(self, step: dict[str, Any]) -> None:
        """Add a step of ours, under a name that is free."""
        taken = {each.get("name", each["use"]) for each in self.steps}
        name = step["use"]
        number = 2
        while name in taken:
            name, number = f"{step['use']}_{number}", number + 1
        if name != step["use"]:
            step = {"use": step["use"], "name": name, **{k: v for k, v in step.items() if k != "use"}}
        if self._measured and self._main is not None:
            step["inputs"] = [self._main]
        if step["use"] == "stitch_half_acquisition":
            if self.center is not None and "center" not in step:
                step["center"] = {"from": self.center}
            self.center, self.joined = None, True
        self.steps.append(step)
        if step["use"] in _SIDE:
            self._measured = True
            self.center = name if step["use"].startswith("find_center") else self.center
            self._main = self._main or "source"
        else:
            self._main, self._measured = name, False

    def save(self, use: str, name: str) -> None:
        """Add a sink for what the steps so far give."""
        self.sinks.append({"use": use, "of": self._last, "path": name})

    @property
    def place(self) -> str | None:
        """The step whose output goes on, None before the first."""
        return self._main

    def go_on_from(self, place: str | None) -> None:
        """What comes next takes what came out at a place; the steps since then were for a sink alone."""
        if place != self._main:
            self._main, self._measured = place, place is not None

    @property
    def _last(self) -> str:
        return self._main if self._main not in (None, "source") else (self.center or "source")

    def _sweep(self, found: Row, key: str, values: list[Any], step: dict[str, Any]) -> None:
        """Sweep our parameter over the same values, where they mean the same."""
        ours = found.parameters.get(key)
        if ours in step and key not in found.units and key not in found.values:
            step[ours] = {"sweep": values}
        else:
            self.remarks.append(f"{found.name}: {key} has several values, of which the first stands there: {values}.")

    def finish(self, name: str) -> Imported:
        """The job with a sink for what the last step gives; steps that do not fit yet are remarks."""
        job: dict[str, Any] = {"name": name, "source": self.source}
        if self.only:
            job["only"] = self.only
        job["steps"] = self.steps
        if not self.sinks:
            self.save("hdf5", f"{name}_rec.nxs")
        job["sinks"] = self.sinks
        if self.source.get("path") == SCAN:
            self.remarks.append("The scan is not named: give it with --set source.path=FILE, or in the job.")
        try:
            parse_job(job)
        except JobError as error:
            self.remarks += error.problems
        return Imported(self.program, job, tuple(dict.fromkeys(self.remarks)))


_NUMBER = r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*"
_LIST = re.compile(rf"{_NUMBER}(?:;{_NUMBER})+;?")
_RANGE = re.compile(rf"({_NUMBER}):({_NUMBER}):({_NUMBER});?")


@dataclass(frozen=True, slots=True)
class Sweep:
    """Several values of one parameter, as a file of settings has them."""

    values: tuple[Any, ...]


def sweep_of(value: Any) -> list[Any] | None:
    """The values of a sweep, or None if the value is a plain one. Savu writes ``85;86;87`` and ``84:86:0.5;``."""
    if isinstance(value, Sweep):
        return list(value.values) or None
    if not isinstance(value, str):
        return None
    if _LIST.fullmatch(value):
        return [_number(part) for part in value.strip("; ").split(";")]
    matched = _RANGE.fullmatch(value)
    if matched and value.strip().endswith(";"):
        return stepped(*map(_number, matched.groups()))
    return None


def stepped(first: float, last: float, step: float) -> list[Any]:
    """Values from the first up to the last, which is left out as in their ranges; at most `MOST` of them."""
    if not step or not all(map(math.isfinite, (first, last, step))):
        return [first]
    count = min(max(1, math.ceil((last - first) / step - 1e-9)), MOST)
    return [_number(f"{first + step * number:.12g}") for number in range(count)]


def spread(first: Any, last: Any, count: Any) -> str | None:
    """Our range of angles for numpy's ``linspace``: the end, which belongs to those, is left out here; None if they are no numbers."""
    try:
        start, stop, total = float(first), float(last), int(count)
    except (TypeError, ValueError, OverflowError):
        return None
    if total < 2 or not (math.isfinite(start) and math.isfinite(stop)):
        return None
    return f"{start:g}:{stop + (stop - start) / (total - 1):.12g}"


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number
