"""Source over NXstxm: the transmitted beam of each scan point, at each angle."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import SourceError
from firstlight.core.units import Quantity

from ..hdf5.angles import chosen
from ..hdf5.files import attribute, dataset, groups, is_dataset, lookup, open_file, quantity, text, words
from ..hdf5.frames import DatasetReader, check_numbers, recorded
from ..hdf5.handles import File, Group
from ..recorded.frames import Frames, Recording
from ..recorded.source import RecordedSource

_ANGLES = ("data/theta", "sample/theta", "data/rotation_angle", "sample/rotation_angle")
_ACROSS = ("data/x", "sample/x", "data/sample_x")
"""Positions along the fast axis of the scan."""


class NXstxmSource(RecordedSource):
    """Plays STXM tomography from a NeXus file (NXstxm with a rotation): scan points are the pixels of a projection.

    Angles come as the file has them, in any order. The pixel size is the step of the fast axis.
    """

    use: ClassVar[str] = "nxstxm"

    entry: str | None = None
    """Path of the group whose definition is NXstxm; default: the first with three-dimensional data."""
    data: str = "data/data"
    """Path of the signal (angle row col) in that group."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True if the file has an NXstxm entry with three-dimensional data."""
        try:
            with open_file(path) as file:
                return _entry(file, None, "data/data") is not None
        except (SourceError, OSError):
            return False

    def load(self) -> Recording:
        """Open the file and find the signal and its angles.

        Raises:
            SourceError: The file can not be read, or something that is needed is missing or makes no sense.
        """
        return recorded(self.path, self._record)

    def _record(self, file: File) -> Recording:
        entry = _entry(file, self.entry, self.data)
        if entry is None:
            raise SourceError(
                f"The file {self.path.name} has no NXstxm entry with a rotation.",
                field="entry",
                value=self.entry,
                expected=f"a group whose 'definition' is NXstxm, with '{self.data}' of three dimensions (angle row col)",
                next_move="For other layouts use the source 'hdf5' (dataset and axes given by you).",
            )
        found = dataset(entry, self.data, "data")
        check_numbers(found, "data", 3)
        axes = ("angle", "row", "col")
        sizes: dict[str, int | None] = dict(zip(axes, found.shape, strict=True))
        main = Stream(axes, sizes, found.dtype.newbyteorder("=").name, unit=attribute(found, "units"))
        coords = {"angle": self._angles(file, entry, len(found))}
        ids = np.arange(len(found), dtype=np.int64)
        scan = Scan(
            {MAIN: main},
            self.path.stem,
            self.known({"pixel": _step(entry), "energy": quantity(entry, ("instrument/monochromator/energy",), "eV")}),
            coords,
            (MAIN,),
            words(entry, {"sample": "sample/name", "title": "title", "instrument": "instrument/name"}),
        )
        return Recording(scan, (Frames(DatasetReader(found), ids, ids, coords=coords),))

    def _angles(self, file: File, entry: Group, frames: int) -> Array:
        path = next((each for each in _ANGLES if is_dataset(lookup(entry, each))), None)
        if self.angles is None and path is None:
            raise SourceError(
                f"The entry '{entry.name}' of {self.path.name} has no angles.",
                field="angles",
                value=None,
                expected=f"{entry.name}/{_ANGLES[0]} with {frames} values",
                next_move="Name the dataset in angles, or give a range such as 0:180 or 0:360.",
            )
        given = self.angles if self.angles is not None else f"{entry.name}/{path}"
        return chosen(given, file, frames, unit=self.angle_unit, trust=True)


def _entry(file: File, wanted: str | None, data: str) -> Any | None:
    """The group to play, or None."""
    if wanted is not None:
        return lookup(file, wanted)
    for _, group in groups(file):
        found: Any = lookup(group, data) if text(lookup(group, "definition")) == "NXstxm" else None
        if is_dataset(found) and found.ndim == 3:
            return group
    return None


def _step(entry: Group) -> Quantity | None:
    """The distance of neighbouring scan points along the fast axis, where the file gives positions with a unit."""
    for path in _ACROSS:
        found = lookup(entry, path)
        unit = attribute(found, "units") if is_dataset(found) else None
        if not unit or found.dtype.kind not in "iuf" or found.shape[-1] < 2:
            continue
        values = np.asarray(found[()], np.float64).reshape(-1, found.shape[-1])
        step = float(np.median(np.abs(np.diff(values, axis=1))))
        if np.isfinite(step) and step > 0:
            return Quantity(step, unit)
    return None
