"""Tables that a plan on the host needs on the device: moved once for each device, gone with the plan."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from firstlight.kernels.cuda.arrays import Device, bound, on_device, synchronize

__all__ = ["tables"]

_kept: WeakKeyDictionary[Any, dict[int, tuple[Device, ...]]] = WeakKeyDictionary()
_lock = threading.Lock()


def tables(plan: Any, make: Callable[[], tuple[NDArray[np.generic], ...]]) -> tuple[Device, ...]:
    """The device's copies of what `make` gives for a plan.

    Args:
        plan: what the tables belong to; any object that can be referred to weakly.
        make: the tables on the host, asked for at the first call on each device.
    """
    with _lock:
        of_device = _kept.setdefault(plan, {})
        if bound() not in of_device:
            moved = tuple(on_device(each) for each in make())
            synchronize()  # other threads read them in streams of their own
            of_device[bound()] = moved
        return of_device[bound()]
