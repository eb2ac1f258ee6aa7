"""Source over numpy's archives of arrays."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError

from ..recorded.angles import checked, given_angles
from ..recorded.frames import Recording
from ..recorded.source import RecordedSource
from ..recorded.stack import Order, Stack, stack_recording
from .members import Member, members

_NAMES = {
    "darks": re.compile(r"dark|drk", re.IGNORECASE),
    "flats": re.compile(r"flat|white|bright|open|ref", re.IGNORECASE),
    "angles": re.compile(r"theta|angle|rot", re.IGNORECASE),
}


class NpzSource(RecordedSource):
    """Plays a tomography from an archive of arrays (``numpy.savez``): images, and darks, flats and angles beside them."""

    use: ClassVar[str] = "npz"

    data: str | None = None
    """Name of the array of images (angle row col), or of sinograms (row angle col); default: the largest that is no dark or flat by its name."""
    order: Order = "projection"
    """What an image is: a projection (row col), or the sinogram of one row (angle col)."""
    darks: str | None = None
    """Name of the array of dark frames; default: the one that is called so."""
    flats: str | None = None
    """Name of the array of flat frames; default: the one that is called so, or white."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for an archive that holds an array of images."""
        try:
            with path.open("rb") as file:
                archive = file.read(4) == b"PK\x03\x04"
            return archive and _largest(members(path)) is not None
        except (OSError, SourceError):
            return False

    @classmethod
    def infer(cls, path: Path, given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Whether the images are sinograms: where the angles are as many as those have rows; and which arrays are what.

        Args:
            path: The file.
            given: Parameters that the user gave.

        Returns:
            Parameters, and what was assumed, in words.
        """
        found = members(path)
        chosen = {name: given.get(name) or _called(found, name) for name in _NAMES}
        data = given.get("data") or _largest(found)
        told = [f"{name} are the array '{array}'" for name, array in chosen.items() if array and name not in given]
        main, angles = found.get(str(data)), found.get(str(chosen["angles"]))
        if "data" not in given:
            told.insert(0, f"the images are the array '{data}'")
        if main is None or angles is None or "order" in given or len(main.header.shape) != 3:
            return {}, told
        rows, second, _ = main.header.shape
        count = max(angles.header.shape, default=1)
        if count != second or count == rows:
            return {}, told
        return {"order": "sinogram"}, [*told, f"they are {rows} sinograms: there are {count} angles"]

    def load(self) -> Recording:
        """Find the arrays.

        Raises:
            SourceError: The file can not be read, or lacks an array that is named.
        """
        found = members(self.path.expanduser())
        names = {"darks": self.darks or _called(found, "darks"), "flats": self.flats or _called(found, "flats")}
        stack = Stack(
            self._member(found, "data", self.data or _largest(found)).reader(),
            self.order,
            lambda count: self._angles(found, count),
            images={field[:-1]: self._member(found, field, name).reader() for field, name in names.items() if name},
            name=self.path.stem,
            calibration=self.known({}),
        )
        return stack_recording(stack)

    def _member(self, found: Mapping[str, Member], field: str, name: str | None) -> Member:
        if name is not None and name in found:
            return found[name]
        raise SourceError(
            f"The file {self.path.name} holds no such array.",
            field=field,
            value=name,
            expected="one of " + (", ".join(sorted(found)[:20]) or "(none)"),
        )

    def _angles(self, found: Mapping[str, Member], count: int) -> Array | None:
        given = self.angles
        name = given if isinstance(given, str) and given in found else _called(found, "angles")
        if given is not None and name != given:
            return given_angles(given, count, beside=self.path, unit=self.angle_unit)
        if name is None:
            return None
        member = found[name]
        if member.header.dtype.kind not in "biuf":
            raise SourceError(
                f"The array {member.title} holds no angles.",
                field="angles",
                value=str(member.header.dtype),
                expected="numbers",
            )
        return checked(member.list(), count, member.title, unit=self.angle_unit, field="angles")


def _called(found: Mapping[str, Member], field: str) -> str | None:
    """The one array whose name says what it is."""
    named = [name for name in found if _NAMES[field].search(name)]
    return named[0] if len(named) == 1 else None


def _largest(found: Mapping[str, Member]) -> str | None:
    """The largest array of images that is no dark or flat by its name."""
    images = [
        member
        for name, member in found.items()
        if member.header.images and not any(_NAMES[field].search(name) for field in ("darks", "flats"))
    ]
    return max(images, key=lambda member: member.header.bytes).name if images else None
