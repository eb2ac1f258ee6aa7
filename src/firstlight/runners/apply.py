"""Applying an operator to a chunk: free axes in front, the right version of each held input, names on the way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.axes import output_axes, without_axis
from firstlight.core.chunk import Chunk
from firstlight.core.held import Held
from firstlight.core.operator import Operator

from .array_moves import as_array, bring_last, joined, to_front
from .failing import step_failed


def apply(
    step: Operator, chunk: Chunk, held: Mapping[str, Held], device: str = "cpu", along: str | None = None
) -> dict[str, Chunk]:
    """What a step makes of a chunk, by output.

    Args:
        step: The step.
        chunk: What it works on: on the device of the body.
        held: Its further data arguments, likewise.
        device: Which body.
        along: Label of the leading axis, where the step needs that with a halo: the chunk is one array for its body then.

    Raises:
        StepFailed: The body raised; the message names the step, its parameters and the frames.
    """
    if along is None:
        pieces = [_apply_piece(step, piece, held, device) for piece in split_by_version(step, chunk, held)]
    else:
        pieces = [
            same_frames(_apply_along(step, chunk, int(piece.ids[0]), held, device, along), piece)
            for piece in split_by_version(step, chunk, held)
        ]
    if len(pieces) == 1:
        return pieces[0]
    return {name: join_chunks([piece[name] for piece in pieces], chunk.margin) for name in pieces[0]}


def apply_sums(step: Operator, chunk: Chunk, sums: Any) -> dict[str, Chunk]:
    """What a step makes of sums over the frames of a chunk, by output (`core.one_pass`).

    Raises:
        StepFailed: The step raised; the message names it, its parameters and the frames.
    """
    try:
        size = (chunk.data.shape[1], chunk.data.shape[2])
        return _outputs(step, step.hooks["finish"](step, sums, size), chunk, ())
    except Exception as error:
        raise step_failed(step.use, error, step.parameters(), chunk) from error


def apply_sparse(step: Operator, chunk: Chunk) -> dict[str, Chunk]:
    """What the body of a step for sparse frames makes of a chunk of such, by output.

    Raises:
        StepFailed: The step raised; the message names it, its parameters and the frames.
    """
    try:
        return _outputs(step, step.hooks["sparse"](step, chunk.data), chunk, ())
    except Exception as error:
        raise step_failed(step.use, error, step.parameters(), chunk) from error


def same_frames(outputs: dict[str, Chunk], part: Chunk) -> dict[str, Chunk]:
    """Of outputs that were made of a whole chunk, those frames that a part of it has."""
    if all(len(chunk) == len(part) for chunk in outputs.values()):
        return outputs
    return {name: chunk.take(_places(chunk, part)) for name, chunk in outputs.items()}


def _places(chunk: Chunk, part: Chunk) -> Any:
    """Where the frames of a part stand in a chunk: a slice where they follow each other."""
    places = np.flatnonzero(np.isin(chunk.ids, part.ids))
    together = len(places) and places[-1] - places[0] == len(places) - 1
    return slice(int(places[0]), int(places[-1]) + 1) if together else places


def split_by_version(step: Operator, chunk: Chunk, held: Mapping[str, Held]) -> Iterator[Chunk]:
    """Parts of a chunk in which one version of every held input applies (bodies that interpolate see all versions)."""
    single = [known for name, known in held.items() if name not in step.wants_held and len(known.versions) > 1]
    if not single:
        yield chunk
        return
    keys = [tuple(known.index((chunk.epoch, int(i))) for known in single) for i in chunk.ids]
    start = 0
    for place in range(1, len(keys) + 1):
        if place == len(keys) or keys[place] != keys[start]:
            yield chunk.take(slice(start, place))
            start = place


def join_chunks(parts: list[Chunk], margin: tuple[int, int] = (0, 0)) -> Chunk:
    """Parts of one chunk, put together again; `margin` is that of the whole."""
    first = parts[0]
    coords = {name: np.concatenate([part.coords[name] for part in parts]) for name in first.coords}
    data = joined([part.data for part in parts])
    ids = np.concatenate([part.ids for part in parts])
    place = (first.epoch, first.where, coords, first.stream, first.set, first.received)
    return Chunk(data, first.axes, ids, *place, margin)


def _apply_piece(step: Operator, chunk: Chunk, held: Mapping[str, Held], device: str) -> dict[str, Chunk]:
    first = step.signature.first
    data, free = bring_last(chunk.data, chunk.axes, first.whole)
    repeats = len(data) // max(len(chunk), 1)
    try:
        arguments = [_argument(step, name, held[name], chunk, repeats) for name in step.arguments[1:]]
        result = _run(step, data, arguments, chunk, repeats, device)
        return _outputs(step, result, chunk, free)
    except Exception as error:
        raise step_failed(step.use, error, step.parameters(), chunk) from error


def _apply_along(
    step: Operator, chunk: Chunk, since: int, held: Mapping[str, Held], device: str, along: str
) -> dict[str, Chunk]:
    """The chunk as one array whose axis `along` is its leading one; `since` is the frame that chooses held inputs."""
    labels = (along, *chunk.axes)
    whole = chunk.data.reshape((1, *chunk.data.shape))
    data, free = bring_last(whole, labels, step.signature.first.whole)
    coordinates = {name: np.asarray(chunk.coords[name]) for name in step.coordinates if name in chunk.coords}
    shared = {name: values[0] if values.ndim > 1 else values for name, values in coordinates.items()}
    try:
        arguments = [held[name].versions[held[name].index((chunk.epoch, since))].value for name in step.arguments[1:]]
        result = step.run(data, *arguments, device=device, **shared)
        lead = tuple(chunk.data.shape[labels.index(label)] for label in free)
        outputs: dict[str, Chunk] = {}
        for (name, pattern), array in zip(step.signature.outputs.items(), by_output(step, result), strict=True):
            grid = array.reshape((*lead, *array.shape[1:]))
            front = to_front(grid, len(free) + pattern.whole.index(along))
            outputs[name] = chunk.with_data(front, output_axes(without_axis(pattern, along), free))
        return outputs
    except Exception as error:
        raise step_failed(step.use, error, step.parameters(), chunk) from error


def _outputs(step: Operator, result: Any, chunk: Chunk, free: tuple[str, ...]) -> dict[str, Chunk]:
    lead = (len(chunk), *(chunk.data.shape[1 + chunk.axes.index(label)] for label in free))
    outputs: dict[str, Chunk] = {}
    if "coordinates" in step.hooks:
        chunk = replace(chunk, coords={**chunk.coords, **step.hooks["coordinates"](step, chunk.coords)})
    for (name, pattern), array in zip(step.signature.outputs.items(), by_output(step, result), strict=True):
        outputs[name] = chunk.with_data(array.reshape((*lead, *array.shape[1:])), output_axes(pattern, free))
    return outputs


def by_output(step: Operator, result: Any) -> list[Array]:
    """The arrays that a body returned, in the order of the signature's outputs."""
    names = list(step.signature.outputs)
    if isinstance(result, Mapping):
        return [as_array(result[name]) for name in names]
    if isinstance(result, tuple):
        return [as_array(array) for array in result]
    return [as_array(result)]


def _argument(step: Operator, name: str, known: Held, chunk: Chunk, repeats: int) -> Array | Held:
    if name in step.wants_held:
        return known.bind(chunk.epoch, chunk.ids if repeats == 1 else np.repeat(chunk.ids, repeats))
    return known.versions[known.index((chunk.epoch, int(chunk.ids[0])))].value


def _run(step: Operator, data: Array, arguments: list[Any], chunk: Chunk, repeats: int, device: str) -> Any:
    if not step.coordinates:
        return step.run(data, *arguments, device=device)
    known = {name: np.asarray(chunk.coords[name]) for name in step.coordinates if name in chunk.coords}
    along = {name: values for name, values in known.items() if values.ndim == 2}
    per_frame = {name: np.repeat(values, repeats) for name, values in known.items() if values.ndim == 1}
    if all(len(values) == 1 or not values.strides[0] for values in along.values()):
        return step.run(
            data, *arguments, device=device, **per_frame, **{name: values[0] for name, values in along.items()}
        )
    results: list[list[Array]] = []
    for place in range(len(chunk)):
        part = slice(place * repeats, (place + 1) * repeats)
        coordinates = {**{n: v[part] for n, v in per_frame.items()}, **{n: v[place] for n, v in along.items()}}
        results.append(by_output(step, step.run(data[part], *arguments, device=device, **coordinates)))
    return tuple(joined(arrays) for arrays in zip(*results, strict=True))
