"""Chunks whose stateless part of a fold's work is done by the worker that made them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from firstlight.core.chunk import Chunk
from firstlight.core.fold import Fold


@dataclass(frozen=True, slots=True)
class Digested(Chunk):
    """A chunk that was digested, with what it was made of: other parameters digest that again."""

    raw: Chunk | None = None
    by: Fold[Any] | None = None

    @classmethod
    def of(cls, done: Chunk, raw: Chunk, by: Fold[Any]) -> Digested:
        """What a fold made of a chunk."""
        return cls(
            done.data,
            done.axes,
            done.ids,
            done.epoch,
            done.where,
            done.coords,
            done.stream,
            done.set,
            done.received,
            raw=raw,
            by=by,
        )
