"""Source over any HDF5 file: the user names the dataset and its axes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import SourceError
from firstlight.core.units import Quantity

from ..recorded.angles import per_id
from ..recorded.frames import Frames, Reader, Recording, image_stream
from ..recorded.source import RecordedSource
from ..recorded.turned import turned
from .angles import chosen, degrees
from .files import attribute, dataset, is_dataset, lookup, neighbour, open_file, quantity, words
from .frames import DatasetReader, check_numbers, covered, image_dataset, recorded
from .handles import Dataset, File

_SINOGRAMS = ("row", "angle", "col")
"""Axes of a dataset in sinogram order; it is played as projections."""
_DETECTOR = ("row", "col", "channel", "bin")
"""Labels that belong to one frame, wherever they end the list of axes."""
_ROTATIONS = ("angle", "rotation_angle", "theta", "omega", "phi")
"""How files call the axis of angles."""


class Hdf5Source(RecordedSource):
    """Plays a dataset of any HDF5 file.

    Without `dataset` and `axes`, the NeXus attributes ``default``, ``signal`` and ``axes`` say what to play.
    """

    use: ClassVar[str] = "hdf5"

    dataset: str | None = None
    """Path of the frames in the file, such as ``entry/data/data``; default: what the NeXus attributes point to."""
    axes: str | None = None
    """Label of every dimension, slowest first, such as ``angle row col``, or ``row angle col`` for sinograms; default: the NeXus ``axes``."""
    arrival: Annotated[int, Field(ge=1)] | None = None
    """How many leading axes were scanned; default: all that do not belong to a frame (row, col, channel, bin)."""
    darks: str | None = None
    """Path of the dark frames (frame row col)."""
    flats: str | None = None
    """Path of the flat frames (frame row col)."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True if NeXus attributes lead to an array."""
        try:
            with open_file(path) as file:
                return default_signal(file) is not None
        except (SourceError, OSError):
            return False

    def load(self) -> Recording:
        """Open the file and find the frames, their angles, darks and flats.

        Raises:
            SourceError: The file can not be read, or something that is needed is missing or makes no sense.
        """
        return recorded(self.path, self._record)

    def _record(self, file: File) -> Recording:
        found = dataset(file, self._data_path(file), "dataset")
        axes = self._axes(found)
        check_numbers(found, "axes", len(axes))
        reader: Reader = DatasetReader(found)
        if axes == _SINOGRAMS and self.arrival is None:
            reader, axes = turned(reader), ("angle", "row", "col")
        main = self._main(found, axes, reader.shape)
        keep = covered(found, main.arrival) if isinstance(reader, DatasetReader) else None
        coords = self._coords(file, main, keep)
        given = {name: path for name, path in (("dark", self.darks), ("flat", self.flats)) if path}
        images = [image_dataset(file, path, name, main) for name, path in given.items()]
        count = np.arange(main.frames or 0, dtype=np.int64)
        frames = Frames(
            reader,
            count,
            count,
            keep,
            coords=coords,
            arrival=main.arrival,
            reason="missing in the file",
            kind="lost",
        )
        scan = Scan(
            {MAIN: main} | {part.stream: image_stream(part, main) for part in images},
            self.path.stem,
            self._calibration(file),
            coords,
            (*given, MAIN),
            words(file, {"title": "entry/title"}),
        )
        return Recording(scan, (*images, frames))

    def _main(self, found: Dataset, axes: tuple[str, ...], shape: tuple[int, ...]) -> Stream:
        """The stream of the frames."""
        arrival = self.arrival or _scanned(axes)
        if arrival > len(axes):
            raise SourceError(
                "There are more scanned axes than axes.",
                field="arrival",
                value=arrival,
                expected=f"at most {len(axes)}",
            )
        sizes = dict(zip(axes, shape, strict=True))
        return Stream(axes, sizes, found.dtype.newbyteorder("=").name, arrival, unit=attribute(found, "units"))

    def _data_path(self, file: File) -> str:
        path = self.dataset or default_signal(file)
        if path is None:
            raise SourceError(
                "The file does not say which dataset to play: it has no NeXus 'default' and 'signal' that lead to one.",
                field="dataset",
                value=None,
                expected="the path of the frames, such as entry/data/data",
                next_move=f"Set dataset and axes; 'h5ls -r {self.path.name}' lists what there is.",
            )
        return path

    def _axes(self, found: Dataset) -> tuple[str, ...]:
        labels = self.axes.split() if self.axes else nexus_axes(found)
        if labels is None or len(set(labels)) != len(labels) or len(labels) != found.ndim:
            raise SourceError(
                f"The dataset '{found.name}' has the shape {found.shape}.",
                field="axes",
                value=self.axes if labels is None else " ".join(labels),
                expected=f"{found.ndim} different labels, such as '{' '.join(('angle', 'row', 'col')[-found.ndim :])}'",
                next_move="Set axes to one label per dimension, slowest first.",
            )
        return tuple(labels)

    def _coords(self, file: File, main: Stream, keep: Array | None) -> dict[str, Array]:
        if "angle" not in main.arrival_axes:
            return {}
        frames = main.size("angle")
        beside = self._data_path(file).rpartition("/")[0]
        near = (lookup(file, f"{beside}/{name}") for name in (() if self.dataset else _ROTATIONS))
        own = next(filter(is_dataset, near), None)
        needed = keep if main.arrival_axes == ("angle",) else None
        if self.angles is not None:
            values = chosen(self.angles, file, frames, unit=self.angle_unit, needed=needed)
        elif is_dataset(own):
            values = degrees(own, frames, unit=self.angle_unit, field="angles", trust=True, needed=needed)
        else:
            return {}
        if main.arrival > 1:
            shape = tuple(main.size(label) for label in main.arrival_axes)
            values = per_id(values, shape, main.arrival_axes.index("angle"))
        return {"angle": values}

    def _calibration(self, file: File) -> dict[str, Quantity]:
        units = {"pixel": "um", "energy": "keV", "distance": "mm"}
        return self.known({name: quantity(file, (f"entry/calibration/{name}",), unit) for name, unit in units.items()})


def _scanned(axes: tuple[str, ...]) -> int:
    count = len(axes)
    while count > 1 and axes[count - 1] in _DETECTOR:
        count -= 1
    return count if count < len(axes) else 1


def default_signal(file: File) -> str | None:
    """Follow the NeXus attributes ``default`` and ``signal`` to the main dataset; None if they lead nowhere."""
    group: Any = file
    for _ in range(5):
        signal = attribute(group, "signal")
        found = lookup(group, signal) if signal else None
        if is_dataset(found):
            return f"{(group.name or '').rstrip('/')}/{signal}"
        step = attribute(group, "default")
        group = lookup(group, step) if step else None
        if group is None or is_dataset(group):
            return None
    return None


def nexus_axes(found: Dataset) -> list[str] | None:
    """The labels that the NXdata group around a dataset gives to its dimensions, or None.

    A rotation is the axis of angles; where it comes first, axes without a name (".") are those of the detector.
    """
    group = neighbour(found, ".")
    stated = None if group is None else group.attrs.get("axes")
    if stated is None:
        return None
    labels = [label.decode() if isinstance(label, bytes) else str(label) for label in np.atleast_1d(stated)]
    if labels[0] in _ROTATIONS:
        plain = ("angle", "row", "col") if len(labels) == 3 else ()
        labels = [own if label == "." else label for label, own in zip(labels, plain, strict=True)] if plain else labels
        labels[0] = "angle"
    return labels
