"""Which steps of a job, in plain values, need which others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast


def name_of(step: Mapping[str, Any]) -> str:
    """What other parts of a job call a step."""
    return str(step.get("name", step.get("use")))


def referred(value: Any) -> str | None:
    """The step that a parameter takes its value from: ``{from: step.output}``."""
    if not isinstance(value, Mapping) or list(cast("Mapping[str, Any]", value)) != ["from"]:
        return None
    return str(cast("Mapping[str, Any]", value)["from"]).partition(".")[0]


def leading_to(outputs: list[str], steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps that some outputs need, in their order."""
    names = [name_of(step) for step in steps]
    wanted = [output.partition(".")[0] for output in outputs]
    kept: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name in kept or name not in names:
            continue
        kept.add(name)
        place = names.index(name)
        wanted += needs(steps[place], names[place - 1] if place else None)
    return [step for step in steps if name_of(step) in kept]


def needs(step: Mapping[str, Any], before: str | None) -> list[str]:
    """Names of the steps that one step takes something from; `before` is the one that stands before it."""
    given = step.get("inputs")
    inputs: list[Any] = []
    if isinstance(given, str):
        inputs = [given]
    elif isinstance(given, Mapping):
        inputs = list(cast("Mapping[str, Any]", given).values())
        inputs += [before] if "frames" not in given else []
    elif isinstance(given, list):
        inputs = cast("list[Any]", given)
    found = [str(each).partition(".")[0] for each in (inputs or [before]) if each]
    return found + [name for value in step.values() if (name := referred(value)) is not None]


def without_unasked(values: dict[str, Any], asked_before: set[str], kept: set[str]) -> None:
    """Take steps out of a job, in place, that only gave a value which is now given by hand.

    Args:
        values: The job. One that writes nothing is left alone: then every step is there for its own sake.
        asked_before: Steps from which a parameter took its value, before that was given by hand.
        kept: Steps of which the user set something: they are wanted.
    """
    steps = mappings(values.get("steps"))
    shown = [mappings(values.get(part)) for part in ("sinks", "views", "snapshots")]
    if not shown[0] or len(steps) < len(
        cast("list[Any]", values.get("steps") or [])
    ):  # what is no step is told elsewhere
        return
    wanted = [str(each.get("of", "")).partition(".")[0] for part in shown for each in part]
    names: list[str | None] = [None, *(name_of(step) for step in steps)]
    wanted += [name for step, before in zip(steps, names, strict=False) for name in needs(step, before)]
    left_out = asked_before - kept - set(wanted)
    if left_out:
        values["steps"] = [step for step in steps if name_of(step) not in left_out]


def mappings(found: Any) -> list[dict[str, Any]]:
    """The parts of a job that are as they should be, such as its steps."""
    each: list[Any] = cast("list[Any]", found) if isinstance(found, list) else []
    return [cast("dict[str, Any]", one) for one in each if isinstance(one, dict)]
