"""Source over HDF5 files of beamline 8.3.2 of the Advanced Light Source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import SourceError
from firstlight.core.units import Quantity

from ..hdf5.angles import chosen
from ..hdf5.files import attribute, open_file
from ..hdf5.frames import check_numbers, recorded
from ..hdf5.handles import Dataset, File, Group
from ..recorded.frames import Frames, Recording
from ..recorded.holes import WithHoles
from ..recorded.source import RecordedSource
from ..recorded.stack import sets_stream
from ..recorded.whole import Whole
from .layout import Layout, find_group, find_layout

_WORDS = {"sample": "object", "experimenter": "experimenter", "start": "sdate"}


class Als832Source(RecordedSource):
    """Plays a tomography from an HDF5 file of beamline 8.3.2 of the Advanced Light Source (before its DXfiles), where each image is a dataset.

    Darks (``drk``) and flats (``bak``) lie where they were taken in the scan. Angles are those of the images
    (``rot_angle``), or go evenly over ``arange``, with both ends. The pixel size is ``pxsize``, in mm.
    """

    use: ClassVar[str] = "als832"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for a file with one group of images that are called after it."""
        try:
            with open_file(path) as file:
                return find_group(file) is not None
        except (SourceError, OSError):
            return False

    @classmethod
    def infer(cls, path: Path, given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """How the angles are made of what the file says.

        Args:
            path: The file.
            given: Parameters that the user gave.

        Returns:
            Parameters, and what was assumed, in words.
        """
        if "angles" in given:
            return {}, []
        with open_file(path) as file:
            layout = find_layout(file)
            steps, turn = _stated(layout.group)
            if _of_images(layout) is not None or steps is None or turn is None:
                return {}, []
        return {}, [
            f"the {steps + 1} angles go from 0° to {turn:g}°, both ends (attributes nangles and arange; --angles for others)"
        ]

    def load(self) -> Recording:
        """Open the file and find its images.

        Raises:
            SourceError: The file can not be read, or something that is needed is missing or makes no sense.
        """
        return recorded(self.path, self._record)

    def _record(self, file: File) -> Recording:
        layout = find_layout(file)
        there = np.zeros(max(layout.projections) + 1, bool)
        there[list(layout.projections)] = True
        images = _Images.of(layout.group, list(layout.projections.values()))
        reader = images if there.all() else WithHoles(images, there)
        axes = ("angle", "row", "col")
        main = Stream(axes, dict(zip(axes, reader.shape, strict=True)), reader.dtype.newbyteorder("=").name)
        sets = {name: _sets(layout, name, images, len(there)) for name in layout.sets}
        angles = self._angles(file, layout, there)
        coords = {} if angles is None else {"angle": angles}
        ids = np.arange(len(there), dtype=np.int64)
        keep = None if there.all() else there
        projections = Frames(reader, ids, ids, keep, coords, reason="no dataset has its number", kind="lost")
        streams = {MAIN: main} | {name: sets_stream(parts, main) for name, parts in sets.items()}
        size = _number(layout.group, "pxsize")
        pixel = Quantity(size, "mm") if size is not None and size > 0 else None
        told = {name: text for name, key in _WORDS.items() if (text := attribute(layout.group, key))}
        scan = Scan(streams, self.path.stem, self.known({"pixel": pixel}), coords, (*sets, MAIN), told)
        return Recording(scan, (*(part for parts in sets.values() for part in parts), projections))

    def _angles(self, file: File, layout: Layout, there: Array) -> Array | None:
        """(projection,) in degree; None where nobody knows them."""
        if self.angles is not None:
            return chosen(self.angles, file, len(there), unit=self.angle_unit, needed=there)
        own = _of_images(layout)
        if own is not None:
            angles = np.zeros(len(there))
            angles[there] = own
            return angles
        steps, turn = _stated(layout.group)
        return None if steps is None or turn is None else turn / steps * np.arange(len(there))


def _of_images(layout: Layout) -> Array | None:
    """(image,) the angle that each projection has as an attribute; None where not all have one, or all the same."""
    found = [_number(layout.group[name], "rot_angle") for name in layout.projections.values()]
    known = [angle for angle in found if angle is not None]
    return np.array(known) if len(known) == len(found) and len(set(known)) > 1 else None


def _stated(group: Group) -> tuple[int | None, float | None]:
    """Steps from the first angle to the last, and the degrees between these."""
    count, turn = _number(group, "nangles"), _number(group, "arange")
    return None if count is None or count < 2 else int(count) - 1, turn or None


def _number(found: Any, name: str) -> float | None:
    """An attribute that is a finite number, in digits or as text; None where there is none."""
    try:
        value = found.attrs.get(name)
        number = float(attribute(found, name) or np.asarray(value, np.float64).reshape(()))
    except (OSError, RuntimeError, TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _sets(layout: Layout, name: str, like: _Images, projections: int) -> list[Frames]:
    """Darks or flats taken together: before the scan, after it, or before the projection of their number."""
    found: Mapping[int, tuple[str, ...]] = layout.sets[name]
    reader = _Images.of(layout.group, [image for images in found.values() for image in images], like)
    begins = accumulate((len(images) for images in found.values()), initial=0)
    parts: list[Frames] = []
    free = -(2**62)
    for number, (begin, (place, images)) in enumerate(zip(begins, found.items(), strict=False)):
        count = np.arange(len(images), dtype=np.int64)
        start = -len(images) if place == 0 else max(free, projections if place >= projections - 1 else place)
        parts.append(Frames(reader, begin + count, start + count, stream=name, set=number))
        free = start + len(images)
    return parts


@dataclass(frozen=True, slots=True)
class _Images:
    """Datasets of one image each, which look alike."""

    images: tuple[Dataset, ...]
    file: Whole
    lead: tuple[slice, ...]
    """What an image has before its rows: nothing, or an axis of length 1."""
    stored: int = 1

    @classmethod
    def of(cls, group: Group, names: list[str], like: _Images | None = None) -> _Images:
        """The images of these names.

        Raises:
            SourceError: One of them is no image, or another one than the first.
        """
        images = tuple(group[name] for name in names)
        first = like.images[0] if like else images[0]
        check_numbers(first, "path", 3 if first.ndim == 3 else 2)
        for image in images:
            if (image.shape, image.dtype) != (first.shape, first.dtype) or (image.ndim == 3 and len(image) != 1):
                raise SourceError(
                    f"The dataset '{image.name}' in {image.file.filename} is not like the first image.",
                    field="path",
                    value=f"{image.shape} {image.dtype}",
                    expected=f"one image, like {first.name}: {first.shape} {first.dtype}",
                    next_move="Copy the file again from where it was written.",
                )
        return cls(images, Whole.of(Path(first.file.filename)), (slice(0, 1),) * (first.ndim - 2))

    @property
    def shape(self) -> tuple[int, ...]:
        """(image, row, col)."""
        return (len(self.images), *self.images[0].shape[-2:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values as the file has them."""
        return self.images[0].dtype

    @property
    def name(self) -> str:
        """The first one, and the file."""
        return f"'{self.images[0].name}' in {self.file.path}"

    def read_into(self, where: tuple[slice, ...], out: Array) -> None:
        """Read a part of some images.

        Raises:
            SourceError: The file became shorter.
            OSError: It is damaged.
        """
        self.file.check()
        for place, image in enumerate(self.images[where[0]]):
            part = out[place : place + 1] if self.lead else out[place]
            image.read_direct(part, (*self.lead, *where[1:]))
