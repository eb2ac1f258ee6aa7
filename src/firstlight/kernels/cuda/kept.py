"""Images of the host that stay on a device once they are there: darks, flats, masks."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from .arrays import Device, Host, bound, is_on_device, nbytes, on_device, synchronize

MOST = 16
"""Arrays kept for each device: the oldest one makes room for a new one."""

_Key = tuple[Any, ...]


class Kept:
    """Device arrays by what they are copies of; safe to share between threads.

    The host's arrays must not change while they are known here.
    """

    def __init__(self) -> None:
        """Nothing is kept yet."""
        self._lock = threading.Lock()
        self._known: dict[_Key, tuple[Host, Device]] = {}

    def get(self, values: Any) -> Device:
        """The copy on the calling thread's device; made, and complete, at the first call."""
        if is_on_device(values):
            return values
        host = np.asarray(values)
        key = (bound(), host.__array_interface__["data"][0], host.shape, host.strides, host.dtype.str)
        with self._lock:  # while it travels too: another thread of this device would send it again
            if key not in self._known:
                while len(self._known) >= MOST:
                    del self._known[next(iter(self._known))]
                made = on_device(host)
                synchronize()  # other threads use it in streams of their own
                self._known[key] = (host, made)
            return self._known[key][1]

    @property
    def bytes(self) -> int:
        """What is kept, on all devices."""
        with self._lock:
            return sum(nbytes(made) for _, made in self._known.values())

    def clear(self) -> None:
        """Give back what lies on the calling thread's device: memory is freed where it was taken."""
        with self._lock:
            for key in [key for key in self._known if key[0] == bound()]:
                del self._known[key]
