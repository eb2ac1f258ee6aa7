"""Chains of steps that are done in one go: element-wise ones as one pass over memory, those of a device without coming back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from firstlight.core.chunk import Chunk
from firstlight.core.devices import PROCESSOR
from firstlight.core.operator import Operator
from firstlight.core.plan import Planned, Port
from firstlight.kernels.elementwise import fuse

from .context import Context
from .on_device import Link


@dataclass(frozen=True, slots=True)
class Fusion:
    """Consecutive map steps: one generated loop can do them if there are several, or they are done on a device."""

    steps: tuple[Planned, ...]

    @property
    def first(self) -> Planned:
        """The step that takes the chunk."""
        return self.steps[0]

    @property
    def last(self) -> Planned:
        """The step whose output remains."""
        return self.steps[-1]

    @property
    def name(self) -> str:
        """The steps, joined by plus signs."""
        return " + ".join(planned.name for planned in self.steps)

    def apply(self, chunk: Chunk, context: Context) -> dict[str, Chunk] | None:
        """The chunk after the whole chain; None if its steps must be done one by one."""
        if self.first.device != PROCESSOR:
            links = self._links(chunk, context)
            return None if links is None else context.devices.through(links, chunk)
        if len(self.steps) < 2 or chunk.data.ndim != 3:
            return None
        operators: list[Any] = []
        for planned in self.steps:
            pieces = [step for _, step in context.in_force(planned, chunk)]
            if len(pieces) != 1:
                return None
            operators.append(pieces[0])
        held = context.held(self.first, chunk.where) if self.first.held else {}
        if held is None:
            return None
        out = np.empty(chunk.data.shape, np.float32)
        tail = [(step.scalar, [getattr(step, name) for name in step.scalar.parameters]) for step in operators[1:]]
        for frames, body, images, numbers in self._heads(operators[0], chunk, held):
            bodies = [body, *(scalar for scalar, _ in tail)]
            values = [*numbers, *(value for _, given in tail for value in given)]
            fuse(bodies)(chunk.data[frames], images, values, out[frames])
        return {name: chunk.with_data(out, chunk.axes) for name in self.last.outputs}

    def _links(self, chunk: Chunk, context: Context) -> list[Link] | None:
        """The steps with all that they wait for; None where parameters change within the chunk, or frames pass without."""
        found: list[Link] = []
        for planned in self.steps:
            held = context.held(planned, chunk.where) if planned.held else {}
            pieces: list[Any] = [step for _, step in context.in_force(planned, chunk)]
            if held is None or len(pieces) != 1:
                return None
            found.append(Link(planned, pieces[0], held))
        return found

    def _heads(self, step: Any, chunk: Chunk, held: dict[str, Any]) -> list[tuple[slice, Any, list[Any], list[Any]]]:
        """Runs of frames for the first step: which body, with which images and numbers."""
        if "fuse" in step.hooks:
            versions = [held[name].bind(chunk.epoch, chunk.ids) for name in step.arguments[1:]]
            return [(p.frames, p.body, p.images, p.numbers) for p in step.hooks["fuse"](step, len(chunk), *versions)]
        numbers = [getattr(step, name) for name in step.scalar.parameters]
        return [(slice(0, len(chunk)), step.scalar, [], numbers)]


def fusions(maps: Sequence[Planned], consumed: set[Port]) -> list[Fusion]:
    """Group the map steps of a stage: those that can be done in one go, and each other step by itself."""
    groups: list[list[Planned]] = []
    for planned in maps:
        if groups and _continues(groups[-1][-1], planned, maps, consumed):
            groups[-1].append(planned)
        else:
            groups.append([planned])
    return [Fusion(tuple(group)) for group in groups]


def _continues(before: Planned, planned: Planned, maps: Sequence[Planned], consumed: set[Port]) -> bool:
    """True if `planned` is the only taker of `before`, and both work on a device, or here on one pixel at a time."""
    port = (before.name, before.step.first_output)
    if planned.main != port or planned.cut is not None or before.device != planned.device:
        return False
    if any((before.name, output) in consumed for output in before.outputs):
        return False
    if len([other for other in maps if other.main[0] == before.name]) != 1:
        return False
    return before.device != PROCESSOR or (_elementwise(before) and _elementwise(planned) and not planned.held)


def _elementwise(planned: Planned) -> bool:
    step = planned.step
    return isinstance(step, Operator) and step.scalar is not None and len(planned.outputs) == 1
