"""Source over the NeXus file that a run of Savu writes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import SourceError

from ..hdf5.angles import chosen, degrees
from ..hdf5.files import attribute, dangling, dataset, groups, is_dataset, is_group, lookup, open_file
from ..hdf5.frames import DatasetReader, check_numbers, recorded
from ..hdf5.handles import Dataset, File, Group
from ..recorded.frames import Frames, Reader, Recording
from ..recorded.source import RecordedSource
from ..recorded.turned import turned

_FINAL = re.compile(r"final_result_(.+)")
_STEP = re.compile(r"(\d+)-([^-]+)-(.+)")
_LABELS = {"rotation_angle": "angle", "detector_y": "row", "detector_x": "col"}
"""Savu's names of axes that have a name of ours; the others keep theirs."""


class SavuSource(RecordedSource):
    """Plays what a run of Savu left: the final result, or what a plugin gave, from its master file ``*_processed.nxs``.

    Projections are played angle by angle, also where Savu stored sinograms. Axes of volumes keep Savu's names.
    """

    use: ClassVar[str] = "savu"
    cites: ClassVar[tuple[str, ...]] = ("10.48550/arXiv.1610.08015",)
    sentence: ClassVar[str] = "Data were read from a result of Savu."

    result: str | None = None
    """Group to play, such as ``final_result_tomo`` or ``2-VoCentering-tomo``; default: the final result, else the last plugin's."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True if the file has groups with data that are named as Savu does."""
        try:
            with open_file(path) as file:
                return bool(_results(file))
        except (SourceError, OSError):
            return False

    def load(self) -> Recording:
        """Open the file and find the result.

        Raises:
            SourceError: The file can not be read, has no such result, or its data file is missing.
        """
        return recorded(self.path, self._record)

    def _record(self, file: File) -> Recording:
        group = self._chosen_group(file)
        signal = attribute(group, "signal") or "data"
        broken = dangling(group, signal)
        if broken is not None:
            raise SourceError(
                f"In {self.path.name} the link {broken}.",
                field="path",
                value=str(self.path),
                next_move="Copy the files of the whole run: the master file holds links alone.",
            )
        found = dataset(group, signal, "result")
        axes = _axes(group, found)
        check_numbers(found, "result", len(axes))
        reader: Reader = DatasetReader(found)
        if axes == ("row", "angle", "col"):
            reader, axes = turned(reader), ("angle", "row", "col")
        sizes: dict[str, int | None] = dict(zip(axes, reader.shape, strict=True))
        main = Stream(axes, sizes, reader.dtype.newbyteorder("=").name, unit=attribute(found, "units"))
        angles = self._angles(file, group, main)
        coords = {} if angles is None else {"angle": angles}
        ids = np.arange(reader.shape[0], dtype=np.int64)
        name = str(group.name).rpartition("/")[2]
        scan = Scan({MAIN: main}, self.path.stem, self.known({"pixel": None}), coords, (MAIN,), {"savu_result": name})
        return Recording(scan, (Frames(reader, ids, ids, coords=coords),))

    def _chosen_group(self, file: File) -> Group:
        found = _results(file)
        if self.result is not None:
            named = [group for name, group in found if name == self.result]
            if not named:
                raise SourceError(
                    f"The file {self.path.name} holds no such result of Savu.",
                    field="result",
                    value=self.result,
                    expected="one of " + (", ".join(name for name, _ in found) or "(none)"),
                )
            return named[0]
        if not found:
            raise SourceError(
                f"The file {self.path.name} holds no result of Savu.",
                field="path",
                value=str(self.path),
                expected="the master file of a run, with groups such as entry/final_result_tomo",
            )
        return found[-1][1]

    def _angles(self, file: File, group: Group, main: Stream) -> Array | None:
        if "angle" not in main.arrival_axes:
            return None
        if self.angles is not None:
            return chosen(self.angles, file, main.size("angle"), unit=self.angle_unit)
        held = lookup(group, "rotation_angle")
        if not is_dataset(held):
            return None
        return degrees(held, main.size("angle"), unit=self.angle_unit, field="angles", trust=True)


def _results(file: File) -> list[tuple[str, Group]]:
    """Groups of results by name: plugin by plugin, the final ones last."""
    found: list[tuple[tuple[int, str], str, Group]] = []
    for path, group in groups(file, 4):
        name = path.rpartition("/")[2]
        if "/input_data/" in path or attribute(group, "NX_class") != "NXdata" or not is_group(group):
            continue
        step = _STEP.fullmatch(name)
        if _FINAL.fullmatch(name):
            found.append(((10**9, name), name, group))
        elif step is not None:
            found.append(((int(step[1]), name), name, group))
    return [(name, group) for _, name, group in sorted(found, key=lambda each: each[0])]


def _axes(group: Group, found: Dataset) -> tuple[str, ...]:
    """The labels in the order of the dimensions.

    Raises:
        SourceError: The group does not name each dimension once.
    """
    stated: Any = group.attrs.get("axes", ())
    names = [each.decode() if isinstance(each, bytes) else str(each) for each in np.atleast_1d(stated).tolist()]
    places = {name: group.attrs.get(f"{name}_indices", number) for number, name in enumerate(names)}
    try:
        ordered = sorted(names, key=lambda name: int(np.ravel(places[name])[0]))
    except (TypeError, ValueError, IndexError):
        ordered = []
    labels = tuple(_LABELS.get(name, re.sub(r"\W", "_", name.lower())) for name in ordered)
    if len(labels) != found.ndim or len({*labels}) != len(labels):
        raise SourceError(
            f"The group '{group.name}' does not name the axes of its data.",
            field="result",
            value=" ".join(labels),
            expected=f"{found.ndim} different labels",
            next_move="Use the source 'hdf5', and name dataset and axes yourself.",
        )
    return labels
