"""A stack of images as a tomography scan: projections or sinograms, with darks and flats of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import SourceError
from firstlight.core.units import Quantity

from .angles import AngleUnit, given_angles, how_many
from .frames import Frames, Reader, Recording, image_frames, image_stream
from .holes import WithHoles
from .turned import turned

Order = Literal["projection", "sinogram"]


@dataclass(frozen=True, slots=True)
class Stack:
    """Images and what belongs to them."""

    reader: Reader
    order: Order
    angles: Callable[[int], Array | None]
    """Gives the angles, in degree, for a number of projections; None: nobody knows them."""
    images: Mapping[str, Reader] = field(default_factory=dict[str, Reader])
    """Readers of ``dark`` and ``flat``, and of ``dark_after`` and ``flat_after`` the scan."""
    name: str = "scan"
    calibration: Mapping[str, Quantity] = field(default_factory=dict[str, Quantity])
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    unit: str | None = None
    close: Callable[[], None] = lambda: None
    there: Array | None = None
    """(projection,) False where no image came, though others are counted on; None: all came."""


IMAGES = {"darks": "dark", "flats": "flat", "darks_after": "dark_after", "flats_after": "flat_after"}
"""Parameters of sources that name dark and flat frames, and what those are in a stack."""


def stack_recording(stack: Stack) -> Recording:
    """The scan that a stack of images holds.

    Raises:
        SourceError: Darks or flats do not fit.
    """
    images = stack.images
    if images and stack.order == "sinogram":
        raise SourceError(
            "Dark and flat frames belong to projections, and these are sinograms.",
            field=next(field for field, name in IMAGES.items() if name in images),
            value=images[min(images)].name,
            expected="sinograms that were corrected, or order: projection",
        )
    there = stack.there if stack.order == "projection" else None
    reader = stack.reader if stack.order == "projection" else turned(stack.reader)
    # some leave the room of what never came: then nothing has to be put between
    holes = there is not None and len(there) > reader.shape[0]
    reader = WithHoles(reader, there) if holes and there is not None else reader
    axes = ("angle", "row", "col")
    main = Stream(
        axes, dict(zip(axes, reader.shape, strict=True)), reader.dtype.newbyteorder("=").name, unit=stack.unit
    )
    sets = {name: found for name in ("dark", "flat") if (found := _sets(images, name, main))}
    angles = stack.angles(reader.shape[0])
    coords = {} if angles is None else {"angle": angles}
    ids = np.arange(reader.shape[0], dtype=np.int64)
    streams = {MAIN: main} | {name: sets_stream(parts, main) for name, parts in sets.items()}
    projections = Frames(
        reader,
        ids,
        ids,
        there,
        coords,
        reason="no file has its number" if holes else "missing in the file",
        kind="lost",
    )
    scan = Scan(streams, stack.name, stack.calibration, coords, (*sets, MAIN), stack.metadata)
    return Recording(scan, (*(part for parts in sets.values() for part in parts), projections), stack.close)


def _sets(images: Mapping[str, Reader], name: str, main: Stream) -> list[Frames]:
    """Darks or flats from before the scan, and from after it."""
    early, late = (image_frames(images[key], name, main) if key in images else None for key in (name, f"{name}_after"))
    return in_turn(early, late, main)


def in_turn(early: Frames | None, late: Frames | None, main: Stream) -> list[Frames]:
    """Sets of darks or flats: one from before the scan; one from after it, whose ids come behind the scan's."""
    found = [early] if early is not None else []
    if late is not None:
        found.append(replace(late, ids=late.rows + main.size("angle"), set=len(found)))
    return found


def sets_stream(parts: Sequence[Frames], main: Stream) -> Stream:
    """How the frames of several sets look as one stream."""
    first = image_stream(parts[0], main)
    sizes = {**first.sizes, "frame": sum(len(part.rows) for part in parts)}
    return replace(first, sizes=sizes, first=int(parts[0].ids[0]))


def beside(path: Path, images: Path) -> Path:
    """Where darks or flats lie that are named relative to the data or to the working folder."""
    images = images.expanduser()
    if images.is_absolute() or images.exists() or (images.parent != Path() and images.parent.exists()):
        return images
    return (path if path.is_dir() else path.parent) / images


def angles_of(
    given: str | Sequence[float] | None, count: int, *, beside: Path, unit: AngleUnit | None, there: Array | None
) -> Array | None:
    """(projection,) angles that the user gave, in degree; of a list or a text file also those of the images that came.

    Raises:
        SourceError: They are not understood, or too few.
    """
    if given is None or there is None or how_many(given, beside) != int(there.sum()):
        return None if given is None else given_angles(given, count, beside=beside, unit=unit, needed=there)
    angles = np.zeros(count)
    angles[there] = given_angles(given, int(there.sum()), beside=beside, unit=unit)
    return angles
