"""Chains of steps that are done in one go: element-wise ones as one pass over memory, those of a device without coming back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk
from firstlight.core.devices import PROCESSOR
from firstlight.core.errors import FirstlightError
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

    @property
    def series(self) -> int:
        """How many times the rounds of a step are done for one chunk: for each value of a sweep."""
        sweeps: Mapping[str, Sequence[Any]] = getattr(self.last.step, "sweeps", {})
        return prod(map(len, sweeps.values()))

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
        if not all(_has_numbers(step, chunk) for step in operators):
            return None
        out = np.empty(chunk.data.shape, np.float32)
        for chain in self._heads(operators[0], chunk, held):
            try:
                for step in operators[1:] if chain.bodies else operators:
                    chain.add(step, chunk)
            except FirstlightError:
                return None  # alone, the step fails likewise, and the message names it and the frames
            fuse(chain.bodies)(chunk.data[chain.frames], chain.images, chain.numbers, out[chain.frames])
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

    def _heads(self, step: Any, chunk: Chunk, held: dict[str, Any]) -> list[Chain]:
        """Runs of frames that go through the same loop; with the first step where that cuts them itself."""
        if "fuse" not in step.hooks:
            return [Chain(slice(0, len(chunk)), chunk.data)]
        versions = [held[name].bind(chunk.epoch, chunk.ids) for name in step.arguments[1:]]
        return [
            Chain(part.frames, chunk.data[part.frames], list(part.images), [part.body], list(part.numbers))
            for part in step.hooks["fuse"](step, len(chunk), *versions)
        ]


@dataclass(slots=True)
class Chain:
    """One loop in the making: what some frames go through."""

    frames: slice
    data: Array
    images: list[Array] = field(default_factory=list[Array])
    bodies: list[Any] = field(default_factory=list[Any])
    numbers: list[Any] = field(default_factory=list[Any])

    def add(self, step: Any, chunk: Chunk) -> None:
        """Append a step, with its parameters, or with the numbers that it finds for each frame."""
        if "numbers" in step.hooks:
            coordinates = {name: chunk.coords[name][self.frames] for name in step.coordinates}
            self.numbers += step.hooks["numbers"](step, self.data.shape[1:], self.look, **coordinates)
        else:
            self.numbers += [getattr(step, name) for name in step.scalar.parameters]
        self.bodies.append(step.scalar)

    def look(self, rows: slice, columns: slice) -> Array:
        """A region of every frame, as it comes out of the chain so far: the region alone is computed."""
        region = np.ascontiguousarray(self.data[:, rows, columns])
        if not self.bodies:
            return region
        return fuse(self.bodies)(region, [image[rows, columns] for image in self.images], self.numbers)


def _has_numbers(step: Any, chunk: Chunk) -> bool:
    """Whether a chunk has all by which a step finds numbers for its frames; if not, the step itself says what it lacks."""
    if "numbers" not in step.hooks:
        return True
    known = all(name in chunk.coords and np.ndim(chunk.coords[name]) == 1 for name in step.coordinates)
    return known and chunk.axes == step.signature.first.whole


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
