"""How much memory and how many cores there are for a run."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from firstlight.core.devices import DeviceChoice
from firstlight.core.errors import JobError
from firstlight.core.job import Job
from firstlight.core.placing import could_use, placed
from firstlight.core.plan import Plan
from firstlight.core.sizes import shown
from firstlight.core.sizing import DeviceTooSmall, sized

from .checkpoint import checkpoint_folder
from .on_device import found_devices

SHARE = 0.7
"""Part of the free memory that a run takes if nobody says how much."""
_CGROUP = Path("/sys/fs/cgroup")


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def free_memory() -> float:
    """Memory in byte that is free, for the machine and for the container that this process runs in."""
    import psutil

    free = float(psutil.virtual_memory().available)
    with suppress(OSError, ValueError):
        limit = (_CGROUP / "memory.max").read_text().strip()
        if limit != "max":
            free = min(free, float(limit) - float((_CGROUP / "memory.current").read_text()))
    return max(free, 0.0)


def budget_of(job: Job) -> tuple[float, int]:
    """Byte of memory, and threads, that a job may take: what it says, or most of what is free, and every core."""
    return job.runner.memory or SHARE * free_memory(), job.runner.threads or cores()


def with_sizes(plan: Plan, budget: float, threads: int) -> Plan:
    """The plan with the device of each step and its sizes, checked against memory and scratch disk.

    Raises:
        JobError: It does not fit, or asks for a device that is not there.
    """
    found = _on_devices(plan, budget, threads)
    _check_scratch(found)
    return found


def _on_devices(plan: Plan, budget: float, threads: int) -> Plan:
    """Steps go to the devices that there are; where the choice is ours and a device is too small, to the processor."""
    choice = DeviceChoice.parse(plan.job.runner.device)
    if choice.kind == "auto" and not could_use(plan, choice):
        return sized(plan, budget, threads)  # and no driver is asked
    there = placed(plan, choice, found_devices(choice))
    try:
        return sized(there, budget, threads)
    except DeviceTooSmall:
        if choice.kind != "auto":
            raise
        return sized(plan, budget, threads)


def scratch_folder(plan: Plan) -> Path:
    """Where scratch files go: where the user says, beside an output that can be resumed, or where temporary files go."""
    if plan.job.runner.scratch is not None:
        return Path(plan.job.runner.scratch)
    folder = checkpoint_folder(plan)
    return Path(tempfile.gettempdir()) if folder is None else folder.parent


def _check_scratch(plan: Plan) -> None:
    if plan.sizes is None or not plan.sizes.disk or plan.job.runner.resume:
        return
    folder = scratch_folder(plan)
    while not folder.exists() and plan.job.runner.scratch is None and folder != folder.parent:
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        problem = f"runner.scratch = {str(folder)!r}: {error.strerror}. Name a folder on a large disk."
        raise JobError([problem]) from None
    if free < plan.sizes.disk:
        problem = (
            f"runner.scratch: what does not fit into memory takes {shown(plan.sizes.disk)} of scratch disk, and"
            f" '{folder}' has {shown(free)} free. Name a folder on a larger disk (runner.scratch), or give more"
            " --memory."
        )
        raise JobError([problem])
