"""What every operator must keep: true axes, the same answer for any block, untouched input, bodies that agree."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from firstlight.core.chunk import Chunk, Scan
from firstlight.core.held import Held
from firstlight.core.operator import Operator
from firstlight.core.plan import halo_axis
from firstlight.kernels.elementwise import fuse
from firstlight.runners.apply import apply
from firstlight.runners.fusing import Chain
from firstlight.runners.gather import overlapping
from firstlight.runners.on_device import apply_there

from .demand import demand, demand_equal
from .fields import demand_documented, demand_round_trips


def _present(device: str) -> bool:
    """Whether this computer can run the bodies of a device; without one they are tested in numba's simulator."""
    if device != "cuda":
        return True
    from firstlight.kernels.cuda import arrays

    return arrays.present()


@dataclass(frozen=True, slots=True)
class OperatorExample:
    """An operator and something to work on."""

    step: Operator
    scan: Scan
    """What the step sees: `scan.main` arrives along axes that it does not need."""
    chunk: Chunk
    """Several frames of it, of random values."""
    held: Mapping[str, Held] = field(default_factory=dict[str, Held])
    """Further data arguments."""
    tolerance: float = 1e-5
    """Difference between blocks of another size, as a part of the largest value."""
    unlimited: frozenset[str] = frozenset()
    """Numbers for which no limit makes sense."""


def _along(label: str, example: OperatorExample) -> tuple[Scan, Chunk]:
    """The same data in blocks along another axis, as they come from behind a cut."""
    stream, chunk = example.scan.main, example.chunk
    labels = (stream.arrival_axes[0], *chunk.axes)
    place = labels.index(label)
    rest = tuple(each for each in labels if each != label)
    data = np.moveaxis(chunk.data, place, 0)
    sizes = dict(zip((label, *rest), data.shape, strict=True))
    scan = example.scan.with_main(replace(stream, axes=(label, *rest), sizes=sizes, arrival=1))
    return scan, Chunk(data, rest, np.arange(len(data), dtype=np.int64))


class OperatorContract(ABC):
    """Inherit, and give `example`."""

    @abstractmethod
    def example(self) -> OperatorExample:
        """An operator and something to work on."""

    def test_parameters(self) -> None:
        """Documented, limited, and the same after JSON and pickle."""
        example = self.example()
        demand_documented(type(example.step), example.unlimited)
        demand_round_trips(example.step)

    def test_declared_axes_sizes_and_types_are_true(self) -> None:
        """What comes out is what `after` says."""
        example = self.example()
        declared = example.step.after(example.scan)
        for name, chunk in apply(example.step, example.chunk, example.held).items():
            stream = declared[name]
            what = f"{example.step.use}.{name}"
            demand(chunk.axes == stream.frame_axes, f"{what}: axes {chunk.axes}. Declared: {stream.frame_axes}.")
            demand(
                chunk.data.shape[1:] == stream.frame_shape, f"{what}: {chunk.data.shape[1:]}, not {stream.frame_shape}."
            )
            demand(chunk.data.dtype == np.dtype(stream.dtype), f"{what}: {chunk.data.dtype}. Declared: {stream.dtype}.")

    def test_block_size_does_not_change_the_answer(self) -> None:
        """Frame by frame, two by two, or all at once."""
        example = self.example()
        whole = apply(example.step, example.chunk, example.held)
        for size in (1, 2):
            parts = [
                apply(example.step, example.chunk.take(slice(start, start + size)), example.held)
                for start in range(0, len(example.chunk), size)
            ]
            for name, chunk in whole.items():
                joined = np.concatenate([part[name].data for part in parts])
                demand_equal(
                    joined, chunk.data, f"{example.step.use}.{name}, {size} at once", tolerance=example.tolerance
                )

    def test_blocks_with_a_halo_give_the_same_answer(self) -> None:
        """Where an axis is needed with a halo, any split of it into overlapping blocks gives what the whole gives."""
        example = self.example()
        for label in example.step.halo():
            scan, chunk = _along(label, example)
            if halo_axis(example.step, scan) == label:
                self._split(example, chunk, label)

    def _split(self, example: OperatorExample, chunk: Chunk, label: str) -> None:
        halo = example.step.halo()[label]
        whole = apply(example.step, chunk, example.held, along=label)
        for size in sorted({1, 2, max(halo, 1), len(chunk) - 1} - {0}):
            parts = [
                apply(example.step, replace(chunk.take(part), margin=margin), example.held, along=label)
                for part, margin in overlapping(len(chunk), size, halo)
            ]
            for name, wanted in whole.items():
                what = f"{example.step.use}.{name}, {size} along '{label}' at once"
                joined = np.concatenate([part[name].within(0).data for part in parts])
                demand_equal(joined, wanted.data, what, tolerance=example.tolerance)

    def test_input_is_not_modified(self) -> None:
        """Others work on the same frames."""
        example = self.example()
        before = example.chunk.data.copy()
        held = {name: [version.value.copy() for version in known.versions] for name, known in example.held.items()}
        outputs = apply(example.step, example.chunk, example.held)
        demand_equal(example.chunk.data, before, f"{example.step.use}: the frames that went in")
        for name, known in example.held.items():
            for version, old in zip(known.versions, held[name], strict=True):
                demand_equal(version.value, old, f"{example.step.use}: '{name}' that went in")
        for name, chunk in outputs.items():
            shared = np.shares_memory(chunk.data, example.chunk.data) and not np.array_equal(chunk.data, before)
            demand(not shared, f"{example.step.use}.{name} lies in the memory of the frames that went in.")

    def test_prepare_and_close_may_be_called_twice(self) -> None:
        """A run prepares each step once, but runs share steps."""
        example = self.example()
        for _ in range(2):
            example.step.prepare(example.scan)
        for _ in range(2):
            example.step.close()

    def test_every_body_agrees_with_the_cpu(self) -> None:
        """Bodies of other devices, and the function of one pixel by which chains are fused."""
        example = self.example()
        wanted = apply(example.step, example.chunk, example.held)
        for device in example.step.bodies:
            if device != "cpu" and _present(device):
                found = apply_there(example.step, example.chunk, example.held)
                for name, chunk in wanted.items():
                    what = f"{example.step.use} on {device}"
                    demand(found[name].data.dtype == chunk.data.dtype, f"{what}: {found[name].data.dtype}.")
                    demand_equal(found[name].data, chunk.data, what, tolerance=example.tolerance)
        if example.step.scalar is not None:
            self._fused(example, next(iter(wanted.values())))

    def _fused(self, example: OperatorExample, wanted: Chunk) -> None:
        step, chunk = example.step, example.chunk
        out = np.empty(chunk.data.shape, np.float32)
        chains = [Chain(slice(0, len(chunk)), chunk.data)]
        if "fuse" in step.hooks:
            versions = [example.held[name].bind(chunk.epoch, chunk.ids) for name in step.arguments[1:]]
            chains = [
                Chain(part.frames, chunk.data[part.frames], part.images, [part.body], part.numbers)
                for part in step.hooks["fuse"](step, len(chunk), *versions)
            ]
        for chain in chains:
            if not chain.bodies:
                chain.add(step, chunk)
            fuse(chain.bodies)(chain.data, chain.images, chain.numbers, out[chain.frames])
        demand_equal(out, wanted.data, f"{step.use}, fused", tolerance=example.tolerance)
