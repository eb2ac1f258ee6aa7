"""Which device each step of a plan runs on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .devices import Device, DeviceChoice
from .fold import Fold
from .operator import Operator
from .plan import Plan, Planned
from .sweep import Sweeping


def could_use(plan: Plan, choice: DeviceChoice, kind: str = "cuda") -> bool:
    """True if some step would run on a device of a kind, if there is one."""
    return any(_suits(planned, choice, kind) for planned in plan.steps)


def placed(plan: Plan, choice: DeviceChoice, devices: Sequence[Device]) -> Plan:
    """The plan with the device of each step.

    Args:
        plan: What will run.
        choice: What the user asks for: left to us, a step goes to a device only if its body there has been tried on a real one.
        devices: Those that may be used, of one kind; none: everything runs on the processor.
    """
    if not devices:
        return plan
    kind = devices[0].kind
    steps = tuple(replace(p, device=kind) if _suits(p, choice, kind) else p for p in plan.steps)
    if choice.kind == kind:
        steps = tuple(_told(planned, devices[0]) for planned in steps)
    used = tuple(devices) if any(planned.device == kind for planned in steps) else ()
    return replace(plan, steps=steps, devices=used)


def _told(planned: Planned, device: Device) -> Planned:
    """A fold that moves its own arrays, by a parameter `device`, learns what the user asks for, unless it has one of its own."""
    step: Any = planned.step
    if not isinstance(step, Fold) or getattr(planned.step, "device", None) != "auto":
        return planned
    return replace(planned, step=step.model_copy(update={"device": device.name}))


def _suits(planned: Planned, choice: DeviceChoice, kind: str) -> bool:
    step = planned.step
    if choice.kind not in ("auto", kind) or not isinstance(step, Operator) or isinstance(step, Sweeping):
        return False
    return kind in step.bodies and (choice.kind == kind or kind in step.proven)
