"""Held inputs: values that change rarely, each with the first frame it applies to.

Dark and flat images, a centre of rotation, a calibration: the newest holds until the next comes. Which version a frame
gets is decided by its (epoch, id), never by the time at which either of them arrived.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .arrays import Array, Ids
from .errors import Stopped

Place = tuple[int, int]
"""(epoch, id): the place of a frame in a run."""

START: Place = (0, -(2**62))
"""Before every frame."""


@dataclass(frozen=True, slots=True)
class Version:
    """One value of a held input."""

    value: Array
    since: Place
    """The first (epoch, id) that it applies to."""
    at: float
    """The mean frame id it was measured at; what interpolation between two versions goes by."""


@dataclass(frozen=True, slots=True)
class Held:
    """The versions of a held input known so far, oldest first; never empty."""

    versions: tuple[Version, ...]
    epoch: int = 0
    ids: Ids | None = None
    """The frames in hand, where a body gets this object itself."""

    @classmethod
    def of(cls, value: Array | Held) -> Held:
        """Wrap a plain array, so that a body can be called with either."""
        return value if isinstance(value, Held) else cls((Version(np.asarray(value), START, 0.0),))

    @property
    def newest(self) -> Array:
        """The version that applies last."""
        return self.versions[-1].value

    def index(self, place: Place) -> int:
        """Which version holds at a place; the first one also before its own `since`."""
        return max(0, bisect_right([version.since for version in self.versions], place) - 1)

    def bind(self, epoch: int, ids: Ids) -> Held:
        """The same versions, for the frames in hand."""
        return Held(self.versions, epoch, ids)

    def around(self, frame: int) -> tuple[Version, Version, float]:
        """The versions measured before and after a frame, and the weight of the second (clamped to 0…1)."""
        usable = [v for v in self.versions if v.since[0] == self.epoch] or [
            self.versions[self.index((self.epoch, frame))]
        ]
        after = bisect_right([version.at for version in usable], frame)
        if after == 0 or after == len(usable):
            only = usable[min(after, len(usable) - 1)]
            return only, only, 0.0
        first, second = usable[after - 1], usable[after]
        return first, second, float((frame - first.at) / (second.at - first.at))


class HeldStore:
    """Collects the versions of one held input and wakes those who wait for the first; safe to share between threads."""

    def __init__(self) -> None:
        """Start with no version."""
        self._changed = threading.Condition()
        self._versions: list[Version] = []
        self._complete = False
        self.lacking = ""
        """Why there was no version, where the step that should have given one knows."""
        self._stopped = False
        self._listeners: list[Callable[[], None]] = []

    def add(self, version: Version) -> None:
        """Take one more version; a later one with the same `since` replaces the earlier."""
        with self._changed:
            self._versions = [old for old in self._versions if old.since != version.since]
            self._versions.append(version)
            self._versions.sort(key=lambda item: item.since)
            self._changed.notify_all()
        self._tell()

    def settle(self, version: Version) -> None:
        """Take the final version: it takes the place of every one before."""
        with self._changed:
            self._versions = [version]
            self._changed.notify_all()
        self._tell()

    def complete(self, lacking: str = "") -> None:
        """Say that no further version will come, and why there was none."""
        with self._changed:
            self._complete, self.lacking = True, lacking
            self._changed.notify_all()
        self._tell()

    def stop(self) -> None:
        """Wake everybody who waits; the run is being stopped."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each change, on the thread that made it."""
        self._listeners.append(listener)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    def known(self) -> Held | None:
        """The versions known now, or None before the first."""
        with self._changed:
            return Held(tuple(self._versions)) if self._versions else None

    @property
    def done(self) -> bool:
        """True when no further version will come."""
        with self._changed:
            return self._complete

    def wait(self, *, until_complete: bool = False, timeout: float | None = None) -> Held | None:
        """Wait for the first version (or for the last); None if there will be none, or at the time-out.

        Raises:
            Stopped: The run was stopped meanwhile.
        """

        def ready() -> bool:
            return self._stopped or self._complete or (bool(self._versions) and not until_complete)

        with self._changed:
            self._changed.wait_for(ready, timeout)
            if self._stopped:
                raise Stopped("The run was stopped while a step waited for a held input.")
            return Held(tuple(self._versions)) if self._versions else None
