"""What every fold must keep: a result that depends on the frames, not on how they came, and never aliases the state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Gap, Scan
from firstlight.core.fold import Fold
from firstlight.core.held import Held
from firstlight.core.solver import Solver

from .demand import demand, demand_equal
from .fields import demand_documented, demand_round_trips
from .play import recut


@dataclass(frozen=True, slots=True)
class FoldExample:
    """A fold and something to fold."""

    fold: Fold[Any]
    scan: Scan
    chunks: list[Chunk]
    held: list[Held] = field(default_factory=list[Held])
    unlimited: frozenset[str] = frozenset()
    """Numbers for which no limit makes sense."""


class FoldContract(ABC):
    """Inherit, and give `example`."""

    @abstractmethod
    def example(self) -> FoldExample:
        """A fold and something to fold; each call gives frames of its own."""

    def test_parameters(self) -> None:
        """Documented, limited, and the same after JSON and pickle."""
        example = self.example()
        demand_documented(type(example.fold), example.unlimited)
        demand_round_trips(example.fold)

    def test_declared_outputs_are_true(self) -> None:
        """Names, shapes and types are what `after` says."""
        example = self.example()
        declared = example.fold.after(example.scan)
        outputs = final(example.fold, folded(example, example.chunks))
        demand(outputs.keys() == declared.keys(), f"outputs {sorted(outputs)}. Declared: {sorted(declared)}.")
        for name, array in outputs.items():
            stream, what = declared[name], f"{example.fold.use}.{name}"
            lengths = tuple(stream.sizes.get(label) for label in stream.frame_axes)
            same = len(lengths) == np.ndim(array) and all(
                known in (None, found) for known, found in zip(lengths, np.shape(array), strict=True)
            )
            demand(same, f"{what}: {np.shape(array)}. Declared: {lengths}.")
            demand(array.dtype == np.dtype(stream.dtype), f"{what}: {array.dtype}. Declared: {stream.dtype}.")

    def test_split_and_order_do_not_change_the_result(self) -> None:
        """Frames in other chunks, shuffled, with the losses told early or late."""
        example = self.example()
        wanted = final(example.fold, folded(example, example.chunks))
        for size, seed in ((1, None), (3, 1), (5, 2), (100, 3)):
            fresh = self.example()
            found = final(fresh.fold, folded(fresh, recut(fresh.chunks, size, seed=seed)))
            _demand_same(found, wanted, example.fold, f"chunks of {size}, seed {seed}")

    def test_result_may_be_called_early_and_twice_and_never_aliases_the_state(self) -> None:
        """Results and frames are scribbled over: nobody else may notice."""
        example = self.example()
        wanted = final(example.fold, folded(self.example(), example.chunks))
        fresh = self.example()
        fold, state = fresh.fold, fresh.fold.empty(fresh.scan)
        kept: list[tuple[dict[str, Array], dict[str, Array]]] = []
        for chunk in fresh.chunks:
            fold.add(state, fold.digest(chunk), *fresh.held)
            scribble({"frames": chunk.data})
            if fold.ready(state):
                scribble(fold.result(state))
                shown = fold.result(state)
                kept.append((shown, {name: np.array(array) for name, array in shown.items()}))
        for shown, copy in kept:
            for name, array in shown.items():
                demand_equal(array, copy[name], f"{fold.use}.{name}: a result given out before")
        _demand_same(final(fold, state), wanted, fold, "after scribbling")

    def test_a_gap_is_taken(self) -> None:
        """Losses are told to every fold."""
        example = self.example()
        state = folded(example, example.chunks)
        last = max(int(chunk.ids.max()) for chunk in example.chunks)
        example.fold.miss(state, Gap(0, last + 1, last + 2, "never came"))
        final(example.fold, state)

    def test_merged_parts_equal_the_whole(self) -> None:
        """Where the fold can merge."""
        example = self.example()
        if type(example.fold).merge is Fold.merge:
            return
        wanted = final(example.fold, folded(example, example.chunks))
        half = len(example.chunks) // 2
        for order in (1, -1):
            parts = [example.chunks[:half], example.chunks[half:]]
            if example.fold.windowed and order < 0:
                continue
            left, right = (folded(example, part) for part in parts[::order])
            _demand_same(final(example.fold, example.fold.merge(left, right)), wanted, example.fold, "merged")

    def test_saved_and_loaded_in_the_middle(self) -> None:
        """Where the fold can be saved: a resumed run gives the same."""
        example = self.example()
        if type(example.fold).save is Fold.save:
            return
        wanted = final(example.fold, folded(example, example.chunks))
        half = len(example.chunks) // 2
        state = folded(example, example.chunks[:half])
        saved = {
            name: np.array(value) if isinstance(value, np.ndarray) else value
            for name, value in example.fold.save(state).items()
        }
        again = example.fold.load(saved, example.scan)
        for chunk in example.chunks[half:]:
            example.fold.add(again, example.fold.digest(chunk), *example.held)
        _demand_same(final(example.fold, again), wanted, example.fold, "saved and loaded")


def folded(example: FoldExample, chunks: Sequence[Chunk]) -> Any:
    """The state after some chunks."""
    state = example.fold.empty(example.scan)
    for chunk in chunks:
        example.fold.add(state, example.fold.digest(chunk), *example.held)
    return state


def final(fold: Fold[Any], state: Any) -> dict[str, Array]:
    """The final result, as a runner gets it."""
    if isinstance(fold, Solver):
        fold.complete(state)
        fold.advance(state, fold.rounds)
        fold.conclude(state)
    for _ in range(100_000):
        if not fold.refine(state):
            break
    else:
        raise AssertionError(f"'{fold.use}' refines for ever.")
    return {name: np.asarray(array) for name, array in fold.result(state).items()}


def scribble(arrays: dict[str, Array]) -> None:
    """Overwrite arrays with what nobody would take for a result."""
    for array in arrays.values():
        if isinstance(array, np.ndarray) and array.flags.writeable:
            array.fill(101)


def _demand_same(found: dict[str, Array], wanted: dict[str, Array], fold: Fold[Any], what: str) -> None:
    for name, array in found.items():
        demand_equal(array, wanted[name], f"{fold.use}.{name}: {what}", tolerance=fold.tolerance)
