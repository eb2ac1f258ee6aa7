"""Source over txrm files of Zeiss (Xradia) X-ray microscopes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import MissingExtra, SourceError
from firstlight.core.units import Quantity

from ..recorded.angles import checked, given_angles
from ..recorded.frames import ArrayReader, Reader, Recording
from ..recorded.source import RecordedSource
from ..recorded.stack import Stack, beside, stack_recording
from .compound import Compound
from .geometry import geometry_told

_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


class TxrmSource(RecordedSource):
    """Plays a tomography from a txrm file of a Zeiss (Xradia) microscope, with its reference image, or those of another file, as flat field.

    Angles and pixel size come from the file. There are no dark frames in it (the camera's offset is subtracted already):
    set `dark_level` to 0 for `flat_field`, as `firstlight reconstruct` does. Only images that were taken are played. Shifts of the stage are not applied.
    """

    use: ClassVar[str] = "txrm"

    flats: Path | None = None
    """Another file (xrm) whose images are the flat frames; default: the reference image in the file."""
    darks: Path | None = None
    """Another file whose images are the dark frames."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for a compound file with images of a microscope."""
        try:
            with path.open("rb") as file:
                if file.read(8) != _MAGIC:
                    return False
            opened = Compound(path)
        except (OSError, MissingExtra):
            return False
        opened.close()
        return True

    @classmethod
    def infer(cls, path: Path, given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """What the camera counts without light; and what of the geometry is not taken into account.

        Args:
            path: The file.
            given: Parameters that the user gave.

        Returns:
            Parameters, and what was assumed, in words.
        """
        opened = Compound(path)
        try:
            flat = "flats" in given or opened.reference() is not None
            told = geometry_told(opened)
        finally:
            opened.close()
        if not flat or given.keys() & {"dark_level", "darks"}:
            return {}, told
        level = (
            "the microscope has subtracted the camera's offset: no light is 0 counts (--set source.dark_level=COUNTS)"
        )
        return {"dark_level": 0}, [level, *told]

    def load(self) -> Recording:
        """Open the file and read its head.

        Raises:
            SourceError: It is no such file, or damaged.
            MissingExtra: The library for compound files is not installed.
        """
        if self.path.suffix.lower() == ".txm":
            raise SourceError(
                "A txm file holds slices that were reconstructed, no projections.",
                field="path",
                value=str(self.path),
                expected="the txrm file that they were made of",
            )
        opened = Compound(self.path.expanduser())
        others: list[Compound] = []

        def close() -> None:
            for each in (opened, *others):
                each.close()

        try:
            images: dict[str, Reader] = {}
            reference = opened.reference()
            if reference is not None:
                images["flat"] = ArrayReader(reference[np.newaxis], f"ReferenceData in {self.path}")
            for name, where in (("dark", self.darks), ("flat", self.flats)):
                if where is not None:
                    others.append(Compound(beside(self.path.expanduser(), where)))
                    images[name] = others[-1]
            size = opened.number("ImageInfo/PixelSize", "<f4")
            pixel = Quantity(size, "um") if size is not None and np.isfinite(size) and size > 0 else None
            known = self.known({"pixel": pixel})
            stack = Stack(
                opened,
                "projection",
                lambda count: self._angles(opened, count),
                images,
                self.path.stem,
                known,
                close=close,
            )
            return stack_recording(stack)
        except BaseException:
            close()
            raise

    def _angles(self, opened: Compound, count: int) -> Array | None:
        if self.angles is not None:
            return given_angles(self.angles, count, beside=self.path, unit=self.angle_unit)
        found = opened.array("ImageInfo/Angles", "<f4")
        if found is None or len(found) < count or not np.isfinite(found[:count]).all():
            return None
        return checked(found[:count], count, f"ImageInfo/Angles in {self.path}", unit=self.angle_unit, field="angles")
