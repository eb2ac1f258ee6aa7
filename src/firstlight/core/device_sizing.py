"""What the blocks of a stage take on a device, and how many of them may be there at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .devices import PROCESSOR, Device
from .errors import AxesError
from .operator import Operator
from .plan import Plan, Planned

IN_FLIGHT = 2
"""Blocks that must fit on a device at once: one travels while the other is worked on."""
MOST_IN_FLIGHT = 4
"""More than these do not keep a device busier."""
SHARE = 0.8
"""Part of a device's free memory that a run takes; the rest is for compiled kernels and for what a library keeps."""
TARGET = 64 * 2**20
"""Bytes of a block that is worked on by a device: smaller ones leave part of a large device idle."""
DRIVER, LANE = 400 * 2**20, 64 * 2**20
"""Bytes of the host that the driver takes for a device (an estimate: none was at hand), and that copies of one block go through."""
VERSIONS = 2
"""Of a held image that are kept on a device: darks and flats from before and after the scan."""


@dataclass(frozen=True, slots=True)
class DeviceShare:
    """What one block of a stage takes on a device."""

    steps: tuple[str, ...]
    """Those of its steps that run there."""
    bytes: float
    """Its data, everything that these steps make of it, and the workspace of the hungriest of them."""


@dataclass(frozen=True, slots=True)
class DeviceSize:
    """What a run takes of every device that it uses."""

    devices: tuple[Device, ...]
    in_flight: int
    """Blocks that are on one device at once."""
    block: float
    """Byte of the largest of them."""
    held: float
    """Byte of the images that are kept there."""

    @property
    def bytes(self) -> float:
        """Of one device, at most."""
        return self.in_flight * self.block + self.held

    @property
    def room(self) -> float:
        """Of the smallest of the devices."""
        return room_on(self.devices)


def taken_on_host(devices: Sequence[Device]) -> float:
    """Byte of the host's memory that devices take."""
    return len(devices) * (DRIVER + MOST_IN_FLIGHT * LANE)


def room_on(devices: Sequence[Device]) -> float:
    """Byte that a run may take of each device: they get blocks of the same size, so that the smallest one decides."""
    return SHARE * min((device.free for device in devices), default=0.0)


def share_of(
    maps: Sequence[Planned], given: Callable[[Planned], float], made: Callable[[Planned], float], length: int
) -> DeviceShare | None:
    """What a block takes on a device; None where the processor does everything.

    Args:
        maps: The steps of the stage.
        given: Byte of what a step gets of a block.
        made: Byte of what it makes of it.
        length: Frames or positions of the block.
    """
    there = [planned for planned in maps if planned.device != PROCESSOR]
    if not there:
        return None
    spare = max(_workspace(planned, length, max(given(planned), made(planned))) for planned in there)
    total = max(map(given, there)) + sum(map(made, there)) + spare
    return DeviceShare(tuple(planned.name for planned in there), total)


def _workspace(planned: Planned, length: int, largest: float) -> float:
    """What the step says; else what it takes on the processor, or as much again as its data."""
    step = planned.step
    if not isinstance(step, Operator):
        return 0.0
    try:
        told = step.device_workspace(planned.scan, length)
        return float(step.workspace(planned.scan, length) or largest if told is None else told)
    except AxesError:
        return largest


def held_on_device(plan: Plan) -> float:
    """Byte of the images that steps on a device keep there."""
    total = 0.0
    for port in {port for p in plan.steps if p.device != PROCESSOR for port in p.held.values()}:
        stream = plan.scan.stream(port[1]) if port[0] == "source" else plan[port[0]].outputs[port[1]].main
        total += VERSIONS * (stream.frame_bytes if all(stream.sizes.get(label) for label in stream.frame_axes) else 0)
    return total


def device_size(plan: Plan, shares: Sequence[DeviceShare | None]) -> DeviceSize | None:
    """What a run takes of its devices; None where it uses none.

    The number of blocks in flight is 0 where not one fits.
    """
    found = [share.bytes for share in shares if share is not None]
    if not found or not plan.devices:
        return None
    held = held_on_device(plan)
    fitting = (room_on(plan.devices) - held) / max(*found, 1.0)
    return DeviceSize(plan.devices, int(max(min(fitting, MOST_IN_FLIGHT), 0)), max(found), held)
