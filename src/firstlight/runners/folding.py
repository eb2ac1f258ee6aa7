"""Folding sets: versions of a held input from dark or flat frames, one per set."""

from __future__ import annotations

from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk
from firstlight.core.fold import Fold
from firstlight.core.held import START, Version
from firstlight.core.plan import Planned


class SetFold:
    """Folds the frames of one stream set by set; each set gives one version, which holds from its first frame on."""

    def __init__(self, planned: Planned, fold: Fold[Any]) -> None:
        """Start before the first set."""
        self._planned = planned
        self._fold = fold
        self._states: dict[int, Any] = {}
        self._ids: dict[int, list[tuple[int, int]]] = {}

    def add(self, chunk: Chunk) -> None:
        """Take the frames of one chunk into the set they belong to."""
        if chunk.set not in self._states:
            self._states[chunk.set] = self._fold.empty(self._planned.scan)
            self._ids[chunk.set] = []
        self._fold.add(self._states[chunk.set], self._fold.digest(chunk))
        self._ids[chunk.set] += [(chunk.epoch, int(i)) for i in chunk.ids]

    def close(self, number: int | None) -> dict[str, list[Version]]:
        """Finish one set (None: all that are open); the versions by output."""
        numbers = [number] if number is not None else sorted(self._states)
        found: dict[str, list[Version]] = {name: [] for name in self._fold.signature.outputs}
        for each in numbers:
            if each not in self._states:
                continue
            places = self._ids.pop(each)
            at = float(np.mean([i for _, i in places]))
            for name, value in self._fold.result(self._states.pop(each)).items():
                found[name].append(Version(value, min(places), at))
        return found


def versions_of(chunk: Chunk) -> list[Version]:
    """Versions of a held input: one for each array of a chunk, from the place that its id names."""
    return [
        Version(value, (chunk.epoch, int(place)), float(place))
        for value, place in zip(chunk.data, chunk.ids, strict=True)
    ]


def final_version(value: Array) -> Version:
    """The version of a fold over the whole stream: it holds for every frame."""
    return Version(value, START, 0.0)
