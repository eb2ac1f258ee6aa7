"""The tables of names in other programs: one file per program in the folder ``names``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "names"


@dataclass(frozen=True, slots=True)
class Row:
    """One function, plugin or option of another program, and our step for it."""

    program: str
    name: str
    """As that program calls it, with its module; behind a colon the value of its option that is meant."""
    ours: str
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    """Their parameter to ours, or to several of ours with blanks between them."""
    units: Mapping[str, str] = field(default_factory=dict[str, str])
    """Unit of numbers, by their parameter."""
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, "Mapping[str, Any]"])
    """Their value, in words, to ours, by their parameter."""
    set: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Parameters of ours that make our step do what theirs does."""
    assumed: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Values of their parameters at which theirs does what ours does."""
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What their parameters are when they are not given, or given as nothing, where ours are something else then."""
    dropped: tuple[str, ...] = ()
    """Their parameters that ours does not need."""
    note: str = ""
    """What differs."""

    @property
    def short(self) -> str:
        """Their name without its module and without the option's value."""
        return self.name.partition(":")[0].rpartition(".")[2]

    def step(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Our step for their parameters, and what could not be carried over, in words."""
        step: dict[str, Any] = {"use": self.ours, **self.set}
        remarks = [f"{self.name}: {self.note}."] if self.note else []
        lost: list[str] = []
        told = {key: value for key, value in given.items() if value is not None}
        for key, value in {**self.defaults, **told}.items():
            if key in self.parameters:
                self._carry(step, key, value, remarks)
            elif key not in self.dropped and value != self.assumed.get(key):
                lost.append(f"{key} = {value!r}")
        if lost:
            have = "has" if len(lost) == 1 else "have"
            remarks.append(f"{self.name}: {', '.join(lost)} {have} no counterpart in '{self.ours}'.")
        return step, remarks

    def _carry(self, step: dict[str, Any], key: str, value: Any, remarks: list[str]) -> None:
        known = self.values.get(key)
        if known is not None and str(value) not in known:
            expected = ", ".join(map(str, known))
            remarks.append(f"{self.name}: {key} = {value!r} has no counterpart; carried over would be {expected}.")
            return
        told = value if known is None else known[str(value)]
        for ours in self.parameters[key].split():
            step[ours] = f"{told} {self.units[key]}" if key in self.units else told


@cache
def tables() -> dict[str, tuple[Row, ...]]:
    """All rows, by program (in the spelling of the file's name)."""
    found: dict[str, tuple[Row, ...]] = {}
    for path in sorted(FOLDER.glob("*.toml")):
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        ignored, assumed = tuple(table["ignored"]), table.get("assumed", {})
        found[path.stem] = tuple(
            Row(
                table["program"],
                name,
                **{
                    **row,
                    "dropped": (*row.get("dropped", ()), *ignored),
                    "assumed": {**assumed, **row.get("assumed", {})},
                },
            )
            for name, row in table["rows"].items()
        )
    return found


def row(program: str, name: str) -> Row | None:
    """The row of a name; the module in front of it may be missing or another."""
    rows = tables()[program]
    exact = next((each for each in rows if each.name == name), None)
    if exact is not None or ":" in name:
        return exact
    short = name.rpartition(".")[2]
    return next((each for each in rows if ":" not in each.name and each.short == short), None)


@cache
def aliases() -> dict[str, str]:
    """Their names for our steps, where a name means one step alone, whatever the program, and nothing has to be set for it."""
    meanings: dict[str, set[str]] = {}
    for rows in tables().values():
        for each in rows:
            plain = ":" not in each.name and not each.set
            meanings.setdefault(each.short, set()).add(each.ours if plain else "")
    return {name: next(iter(ours)) for name, ours in meanings.items() if len(ours) == 1 and "" not in ours}
