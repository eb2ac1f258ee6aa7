"""Where arrays of a reconstruction are worked on: in the processor's memory (numpy), or on a CUDA device (CuPy)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .propagate import NearField, Propagator
from .samples import Sample, Slices
from .waves import on_host

Array = Any


class NoDevice(Exception):
    """A device can not be used, and why."""


@dataclass(frozen=True, slots=True)
class Library:
    """Moves arrays; on the processor there is nothing to do."""

    number: int | None = None
    """Of the CUDA device; None: the processor."""

    @classmethod
    def of(cls, device: str) -> Library:
        """By the name of a device: ``cpu``, ``cuda`` or ``cuda:1``.

        Raises:
            NoDevice: CuPy is not installed, or finds no such device.
        """
        if device == "cpu":
            return cls()
        number = int(device.partition(":")[2] or 0)
        try:
            import cupy
        except ImportError as error:
            raise NoDevice("CuPy is not installed") from error
        try:
            there = int(cupy.cuda.runtime.getDeviceCount())
        except cupy.cuda.runtime.CUDARuntimeError as error:
            raise NoDevice(f"CuPy finds no device ({error})") from error
        if number >= there:
            raise NoDevice(f"CuPy finds {there} of them")
        return cls(number)

    @property
    def on_device(self) -> bool:
        """True if arrays are not the processor's."""
        return self.number is not None

    def at_work(self) -> AbstractContextManager[Any]:
        """In it, the calling thread's arrays are made on the device."""
        if self.number is None:
            return nullcontext()
        import cupy

        return cupy.cuda.Device(self.number)

    def moved(self, array: Array) -> Array:
        """An array of the host, there; None stays None."""
        if self.number is None or array is None:
            return array
        import cupy

        return cupy.asarray(array)

    def amplitudes(self, stored: Array) -> Array:
        """Amplitudes that are moved a few at a time, when they are asked for."""
        return stored if self.number is None else _Moved(stored, self)

    def propagator(self, given: Propagator) -> Propagator:
        """The same, there."""
        return replace(given, transfer=self.moved(given.transfer)) if isinstance(given, NearField) else given

    def sample(self, given: Sample) -> Sample:
        """The same, there."""
        if isinstance(given, Slices):
            return Slices(replace(given.gap, transfer=self.moved(given.gap.transfer)))
        return given


PROCESSOR = Library()


class _Moved:
    """Stands where an engine expects amplitudes, and keeps none of them on the device."""

    def __init__(self, stored: Any, library: Library) -> None:
        self._stored, self._library = stored, library

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, part: Any) -> Array:
        return self._library.moved(np.ascontiguousarray(on_host(self._stored[part])))
