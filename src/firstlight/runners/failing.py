"""Errors of steps, sources and sinks, with what failed, its parameters and the frames named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firstlight.core.chunk import Chunk, Gap, Item
from firstlight.core.errors import FirstlightError, StepFailed, Stopped


def step_failed(
    name: str, error: Exception, parameters: Mapping[str, Any], item: Item | None = None
) -> FirstlightError:
    """What a step raised, as an error that names the step, its parameters and the frames it had in hand; `Stopped` stays."""
    if isinstance(error, StepFailed | Stopped):
        return error
    told = str(error) if isinstance(error, FirstlightError) else f"{type(error).__name__}: {error}"
    on = "" if item is None else f" on {frames_of(item)}"
    return StepFailed(f"Step '{name}' failed{on}: {told}", field=name, value=dict(parameters))


def part_failed(what: str, error: Exception) -> FirstlightError:
    """What a source or a sink raised; errors that explain themselves stay as they are."""
    if isinstance(error, FirstlightError):
        return error
    return StepFailed(f"The {what} failed: {type(error).__name__}: {error}", field=what)


def frames_of(item: Item) -> str:
    """The frames of a chunk or a gap, for a message."""
    if isinstance(item, Gap):
        return f"the gap {item.first} to {item.last} of '{item.stream}' (epoch {item.epoch})"
    if not isinstance(item, Chunk):
        return f"the end of '{item.stream}'"
    if not len(item):
        return "no frames"
    return f"frames {int(item.ids.min())} to {int(item.ids.max())} of '{item.stream}' (epoch {item.epoch})"
