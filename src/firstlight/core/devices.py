"""Devices beside the processor, as a job names them: names and numbers alone; runners find them and know how to use them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from .errors import FirstlightError

PROCESSOR = "cpu"

Kind = Literal["auto", "cpu", "cuda"]

_GIVEN = re.compile(r"(?P<kind>auto|cpu|cuda)(?::(?P<numbers>\d{1,3}(?:,\d{1,3})*))?")


@dataclass(frozen=True, slots=True)
class DeviceChoice:
    """What the user asks for."""

    kind: Kind
    """auto: a device where there is one; cuda: those devices, or an error."""
    numbers: tuple[int, ...] = ()
    """Of the devices; none: all of them."""

    @classmethod
    def parse(cls, text: str) -> DeviceChoice:
        """Read ``auto``, ``cpu``, ``cuda`` or ``cuda:0,1``.

        Raises:
            FirstlightError: It is none of these, or names a device twice.
        """
        found = _GIVEN.fullmatch(re.sub(r"\s", "", text))
        numbers = tuple(int(number) for number in (found["numbers"] or "").split(",") if number) if found else ()
        if found is None or len(set(numbers)) < len(numbers) or (numbers and found["kind"] != "cuda"):
            raise FirstlightError(
                "The device is not understood.",
                field="device",
                value=text,
                expected="auto, cpu, cuda, or cuda with the numbers of devices, such as cuda:0,1",
            )
        kinds: dict[str, Kind] = {"auto": "auto", "cpu": "cpu", "cuda": "cuda"}
        return cls(kinds[found["kind"]], numbers)


@dataclass(frozen=True, slots=True)
class Device:
    """A device that a runner has found."""

    kind: str
    number: int
    title: str
    """What it calls itself."""
    free: float
    """Memory in byte that a run may take."""

    @property
    def name(self) -> str:
        """As the user writes it."""
        return f"{self.kind}:{self.number}"
