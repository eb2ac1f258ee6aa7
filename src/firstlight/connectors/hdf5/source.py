"""Source over any HDF5 file: the user names the dataset and its axes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import SourceError
from firstlight.core.units import Degree, KeV, Micrometre, Quantity

from .angles import AngleUnit, degrees, per_id
from .files import attribute, dataset, is_dataset, lookup, open_file, quantity, words
from .frames import FileSource, Frames, Recording, check_numbers
from .handles import Dataset, File, Group

_DETECTOR = ("row", "col", "channel", "bin")
"""Labels that belong to one frame, wherever they end the list of axes."""


class Hdf5Source(FileSource):
    """Plays a dataset of any HDF5 file.

    Without `dataset` and `axes`, the NeXus attributes ``default``, ``signal`` and ``axes`` say what to play.
    """

    use: ClassVar[str] = "hdf5"

    dataset: str | None = None
    """Path of the frames in the file, such as ``entry/data/data``; default: what the NeXus attributes point to."""
    axes: str | None = None
    """Label of every dimension, slowest first, such as ``angle row col``; default: the NeXus ``axes``."""
    arrival: Annotated[int, Field(ge=1)] | None = None
    """How many leading axes were scanned; default: all that do not belong to a frame (row, col, channel, bin)."""
    angles: str | None = None
    """Path of a dataset with the angle of every frame."""
    angle_unit: AngleUnit | None = None
    """Unit of the angles; default: what the file says, or degree."""
    angle_start: Degree = 0.0
    """First angle, where there is no dataset of angles but `angle_step`."""
    angle_step: Degree | None = None
    """Step from angle to angle, where there is no dataset of them."""
    darks: str | None = None
    """Path of the dark frames (frame row col)."""
    flats: str | None = None
    """Path of the flat frames (frame row col)."""
    pixel: Annotated[Micrometre, Field(gt=0)] | None = None
    """Pixel size at the sample; default: what the file says."""
    energy: Annotated[KeV, Field(gt=0)] | None = None
    """Photon energy; default: what the file says."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True if NeXus attributes lead to an array."""
        try:
            with open_file(path) as file:
                return default_signal(file) is not None
        except (SourceError, OSError):
            return False

    def record(self, file: File) -> Recording:
        """Find the frames, their angles, darks and flats."""
        found = dataset(file, self._data_path(file), "dataset")
        axes = self._axes(found)
        check_numbers(found, "axes", len(axes))
        arrival = self.arrival or _scanned(axes)
        if arrival > len(axes):
            raise SourceError(
                "There are more scanned axes than axes.",
                field="arrival",
                value=arrival,
                expected=f"at most {len(axes)}",
            )
        main = Stream(
            axes,
            dict(zip(axes, found.shape, strict=True)),
            found.dtype.newbyteorder("=").name,
            arrival,
            unit=attribute(found, "units"),
        )
        keep = covered(found, arrival)
        coords = self._coords(file, main, keep)
        images = {name: path for name, path in (("dark", self.darks), ("flat", self.flats)) if path}
        parts = [image_frames(file, path, name, main) for name, path in images.items()]
        count = np.arange(main.frames or 0, dtype=np.int64)
        parts.append(
            Frames(found, count, count, keep, coords, arrival=arrival, reason="missing in the file", kind="lost")
        )
        streams = {MAIN: main} | {part.stream: image_stream(part, main) for part in parts[:-1]}
        scan = Scan(
            streams,
            self.path.stem,
            self._calibration(file),
            coords,
            (*images, MAIN),
            words(file, {"title": "entry/title"}),
        )
        return Recording(scan, tuple(parts))

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
        beside = (
            None
            if self.dataset and not self.angles
            else lookup(file, f"{self._data_path(file).rpartition('/')[0]}/angle")
        )
        if self.angles:
            values = degrees(
                dataset(file, self.angles, "angles"),
                frames,
                unit=self.angle_unit,
                field="angles",
                needed=keep if main.arrival == 1 else None,
            )
        elif self.angle_step is not None:
            values = self.angle_start + self.angle_step * np.arange(frames)
        elif is_dataset(beside):
            values = degrees(
                beside,
                frames,
                unit=self.angle_unit,
                field="angles",
                trust=True,
                needed=keep if main.arrival == 1 else None,
            )
        else:
            return {}
        shape = tuple(main.size(label) for label in main.arrival_axes)
        return {"angle": per_id(values, shape, main.arrival_axes.index("angle"))}

    def _calibration(self, file: File) -> dict[str, Quantity]:
        found = {
            "pixel": Quantity(self.pixel, "um") if self.pixel else quantity(file, ("entry/calibration/pixel",), "um"),
            "energy": Quantity(self.energy, "keV")
            if self.energy
            else quantity(file, ("entry/calibration/energy",), "keV"),
            "distance": quantity(file, ("entry/calibration/distance",), "mm"),
        }
        return {name: value for name, value in found.items() if value is not None}


def covered(found: Dataset, arrival: int, mask_name: str = "covered") -> Array | None:
    """Which frames are there, where our own sink wrote a mask beside them."""
    mask = lookup(found.parent, mask_name)
    if mask == found or not is_dataset(mask) or mask.shape != found.shape[:arrival]:
        return None
    there = np.asarray(mask[()], dtype=bool).ravel()
    return None if there.all() else there


def _scanned(axes: tuple[str, ...]) -> int:
    count = len(axes)
    while count > 1 and axes[count - 1] in _DETECTOR:
        count -= 1
    return count if count < len(axes) else 1


def image_frames(file: Group, path: str, name: str, main: Stream) -> Frames:
    """Dark or flat frames from a dataset of their own, which count as taken before the first frame (ids −n … −1).

    Raises:
        SourceError: The dataset is missing, or its frames do not have the shape of the data's.
    """
    found = dataset(file, path, f"{name}s")
    check_numbers(found, f"{name}s")
    if found.shape[1:] != main.frame_shape:
        raise SourceError(
            f"The {name} frames in '{path}' do not fit the data.",
            field=f"{name}s",
            value=found.shape,
            expected=f"(frames, {', '.join(map(str, main.frame_shape))})",
            next_move="Name the dataset that was taken with the same region of the detector.",
        )
    rows = np.arange(len(found), dtype=np.int64)
    return Frames(found, rows, rows - len(found), stream=name)


def image_stream(part: Frames, main: Stream) -> Stream:
    """How a stream of dark or flat frames looks beside the data."""
    axes = ("frame", *main.frame_axes)
    sizes = {label: main.sizes[label] for label in main.frame_axes} | {"frame": len(part.rows)}
    return Stream(axes, sizes, part.dataset.dtype.newbyteorder("=").name, unit=main.unit, first=-len(part.rows))


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
    """The labels that the NXdata group around a dataset gives to its dimensions, or None."""
    stated = found.parent.attrs.get("axes")
    if stated is None:
        return None
    return [label.decode() if isinstance(label, bytes) else str(label) for label in np.atleast_1d(stated)]
