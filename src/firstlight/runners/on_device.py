"""Steps on a device: a chunk goes there once, through a chain of them, and comes back once."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from firstlight.core.chunk import Chunk
from firstlight.core.device_sizing import IN_FLIGHT
from firstlight.core.devices import Device, DeviceChoice
from firstlight.core.errors import FirstlightError, JobError, StepFailed
from firstlight.core.held import Held
from firstlight.core.job import Job
from firstlight.core.operator import Operator
from firstlight.core.plan import Plan, Planned

from .apply import apply
from .array_moves import on_host
from .failing import frames_of

if TYPE_CHECKING:
    from firstlight.kernels.cuda.arrays import Lane
    from firstlight.kernels.cuda.kept import Kept

KIND = "cuda"


@dataclass(frozen=True, slots=True)
class Link:
    """One step of a chain, with all that it waits for at hand."""

    planned: Planned
    step: Operator
    held: Mapping[str, Held]


def found_devices(choice: DeviceChoice) -> tuple[Device, ...]:
    """The devices that a job may use.

    Raises:
        JobError: The job asks for one that is not there.
    """
    if choice.kind == "cpu":
        return ()
    from firstlight.kernels.cuda import arrays

    there = arrays.count()
    wanted = choice.numbers or tuple(range(there))
    missing = [number for number in wanted if number >= there]
    if choice.kind == KIND and (missing or not wanted):
        numbers = ",".join(map(str, choice.numbers))
        value = f"{KIND}:{numbers}" if numbers else KIND
        found = (
            f"no CUDA device can be used on this computer ({arrays.absent()})"
            if not there
            else f"there is no device {', '.join(map(str, missing))}; there are: {', '.join(map(str, range(there)))}"
        )
        problem = (
            f"runner.device = {value!r}: {found}. Set it to 'auto' or 'cpu'; 'firstlight doctor' says what is found."
        )
        raise JobError([problem])
    return tuple(Device(KIND, number, arrays.name(number), arrays.memory(number).free) for number in wanted)


def refuse_devices(job: Job) -> None:
    """What a runner that knows no device says to a job that asks for one.

    Raises:
        JobError: It does.
    """
    if DeviceChoice.parse(job.runner.device).kind == KIND:
        problem = (
            f"runner.device = {job.runner.device!r}: the runner {job.runner.use!r} works on the processor alone."
            " Use the runner 'local', or set the device to 'cpu'."
        )
        raise JobError([problem])


def moved(chunk: Chunk) -> Chunk:
    """The chunk on the calling thread's device."""
    from firstlight.kernels.cuda import arrays

    return replace(chunk, data=arrays.on_device(chunk.data))


def brought_back(chunk: Chunk) -> Chunk:
    """The chunk on the host, once everything that makes it is done; itself if it is there, as a small output may be."""
    from firstlight.kernels.cuda import arrays

    if on_host(chunk.data):
        return chunk
    return replace(chunk, data=arrays.to_host(chunk.data))


def kept_there(held: Mapping[str, Held], kept: Kept) -> dict[str, Held]:
    """Held inputs whose values are on the calling thread's device."""
    return {
        name: replace(known, versions=tuple(replace(each, value=kept.get(each.value)) for each in known.versions))
        for name, known in held.items()
    }


def apply_there(
    step: Operator, chunk: Chunk, held: Mapping[str, Held], kept: Kept | None = None, along: str | None = None
) -> dict[str, Chunk]:
    """What a step's body for CUDA makes of a chunk, by output: from the host and back to it.

    Args:
        step: It has such a body.
        chunk: On the host.
        held: Its further data arguments, on the host.
        kept: Images that are on the device already.
        along: See `apply`.

    Raises:
        StepFailed: The body raised.
    """
    if kept is None:
        from firstlight.kernels.cuda.kept import Kept

        kept = Kept()
    made = apply(step, moved(chunk), kept_there(held, kept), KIND, along)
    return {name: brought_back(result) for name, result in made.items()}


@contextmanager
def _explained(names: str, chunk: Chunk) -> Iterator[None]:
    """Say which steps a device failed in, and what to do."""
    try:
        yield
    except FirstlightError:
        raise
    except Exception as error:
        raise StepFailed(
            f"The device failed in '{names}' on {frames_of(chunk)}: {type(error).__name__}: {error}",
            field="runner.device",
            value=KIND,
            next_move="Set it to 'cpu' to go on without the device.",
        ) from error


class DeviceWork:
    """The devices of a run: who works with which, and the images that are kept there.

    Blocks go to the device that has most lanes free, so that several devices share the rows of a scan, each at its own pace.

    Args:
        plan: Its devices, and how many blocks may be on each at once.
    """

    def __init__(self, plan: Plan) -> None:
        """Nothing is taken on a device yet."""
        self._numbers = [device.number for device in plan.devices]
        sizes = None if plan.sizes is None else plan.sizes.devices
        self._in_flight = IN_FLIGHT if sizes is None else max(sizes.in_flight, 1)
        self._changed = threading.Condition()
        self._free: dict[int, list[Lane]] = {}
        self._kept: Kept | None = None
        self.blocks: dict[str, int] = {device.name: 0 for device in plan.devices}
        """Chunks that each device has worked on."""

    def through(self, links: Sequence[Link], chunk: Chunk) -> dict[str, Chunk]:
        """What a chain makes of a chunk: the outputs of its last step, without what its margins were for.

        Raises:
            StepFailed: A body raised, or the device did not do what it was asked for.
        """
        with self._lane() as kept, _explained(" + ".join(link.planned.name for link in links), chunk):
            return self._through(links, chunk, kept)

    def alone(self, planned: Planned, step: Operator, chunk: Chunk, held: Mapping[str, Held]) -> dict[str, Chunk]:
        """What one step makes of a chunk or of a part of it, by output, with its margins.

        Raises:
            StepFailed: The body raised, or the device did not do what it was asked for.
        """
        with self._lane() as kept, _explained(planned.name, chunk):
            return apply_there(step, chunk, held, kept, planned.along)

    def _through(self, links: Sequence[Link], chunk: Chunk, kept: Kept) -> dict[str, Chunk]:
        current = moved(chunk)
        outputs: dict[str, Chunk] = {}
        for link in links:
            planned = link.planned
            given, held = current.within(planned.reach), kept_there(link.held, kept)
            made = apply(link.step, given, held, KIND, planned.along)
            outputs = {name: result.within(planned.margin) for name, result in made.items()}
            current = next(iter(outputs.values()))
        return {name: brought_back(result) for name, result in outputs.items()}

    @contextmanager
    def _lane(self) -> Iterator[Kept]:
        """The calling thread works on the device that has most lanes free; waits for one. Gives the images kept there."""
        from firstlight.kernels.cuda import arrays

        with self._changed:
            kept = self._open()
            self._changed.wait_for(lambda: any(self._free.values()))
            number = max(self._free, key=lambda each: len(self._free[each]))
            lane = self._free[number].pop()
            self.blocks[f"{KIND}:{number}"] += 1
        try:
            with arrays.working(lane):
                yield kept
        finally:
            with self._changed:
                self._free[number].append(lane)
                self._changed.notify()

    def _open(self) -> Kept:
        """Make the lanes at the first call."""
        if self._kept is None:
            from firstlight.kernels.cuda.arrays import Lane
            from firstlight.kernels.cuda.kept import Kept

            self._kept = Kept()
            self._free = {number: [Lane(number) for _ in range(self._in_flight)] for number in self._numbers}
        return self._kept

    def close(self) -> None:
        """Give back what is kept; nobody works with a device any more."""
        with self._changed:
            kept, self._kept = self._kept, None
        if kept is not None:
            from firstlight.kernels.cuda.arrays import Lane, working

            for number in self._numbers:
                with working(Lane(number)):
                    kept.clear()
