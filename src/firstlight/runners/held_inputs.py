"""Held inputs at run time: parameters that come from a step, and what a step does before the first version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import ValidationError

from firstlight.core.arrays import Array
from firstlight.core.errors import StepFailed
from firstlight.core.held import Held, HeldStore
from firstlight.core.plan import Planned, port_name
from firstlight.core.step import Step


def as_parameter(value: Array) -> Any:
    """A step's output as the value of a parameter: a number, or a tuple of numbers."""
    array = np.asarray(value)
    return array.item() if array.ndim == 0 else tuple(array.tolist())


def with_parameters(step: Step, values: Mapping[str, Any]) -> Step:
    """A step with other parameters, validated."""
    return type(step).model_validate({**{name: getattr(step, name) for name in type(step).model_fields}, **values})


def valid_parameters(name: str, step: Step, values: Mapping[str, Any]) -> Step:
    """A step with the values that other steps found.

    Raises:
        StepFailed: A value is not one that the parameter allows.
    """
    try:
        return with_parameters(step, values)
    except ValidationError as error:
        mistake = error.errors()[0]
        field = ".".join(str(part) for part in mistake["loc"])
        raise StepFailed(
            f"Step '{name}' can not take the value that another step found for '{field}': {mistake['msg']}.",
            field=field,
            value=mistake["input"],
            next_move=f"Give '{field}' a value of your own.",
        ) from error


def first_versions(planned: Planned, argument: str, store: HeldStore, *, complete: bool) -> Held | None:
    """Wait as the step's `before_first` says; None means that its frames pass without this input.

    Raises:
        StepFailed: There is no version, and there will be none, or the step was told not to wait.
    """
    if planned.before_first == "hold":
        found = store.wait(until_complete=complete)
        if found is None:
            raise _missing(planned, argument, store.lacking or "the stream ended without any")
        return found
    found = store.known()
    if found is None and planned.before_first == "fail":
        raise _missing(planned, argument, "none has come yet, and it was told to fail then (before_first)")
    return found


def part_of(known: Held, axes: Sequence[str], where: Mapping[str, slice]) -> Held:
    """The same part of images as of the frames in hand."""
    if not any(label in where for label in axes):
        return known
    index = tuple(where.get(label, slice(None)) for label in axes)
    return replace(known, versions=tuple(replace(each, value=each.value[index]) for each in known.versions))


def _missing(planned: Planned, argument: str, why: str) -> StepFailed:
    port = {**planned.held, **planned.held_parameters}[argument]
    if argument in planned.held_parameters:
        ways = f"Give it a value of your own ({planned.name}.{argument}), or '{port[0]}' what it lacks."
    else:
        ways = "Record it, name another input, or set 'before_first: pass'."
    return StepFailed(
        f"Step '{planned.name}' needs '{argument}' (from {port_name(port)}), but {why}.", field=argument, next_move=ways
    )
