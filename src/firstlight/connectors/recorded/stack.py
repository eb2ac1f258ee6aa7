"""A stack of images as a tomography scan: projections or sinograms, with darks and flats of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import SourceError
from firstlight.core.units import Quantity

from .frames import Frames, Reader, Recording, image_frames, image_stream
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
    """Readers of ``dark`` and ``flat``."""
    name: str = "scan"
    calibration: Mapping[str, Quantity] = field(default_factory=dict[str, Quantity])
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    unit: str | None = None
    close: Callable[[], None] = lambda: None


def stack_recording(stack: Stack) -> Recording:
    """The scan that a stack of images holds.

    Raises:
        SourceError: Darks or flats do not fit.
    """
    if stack.images and stack.order == "sinogram":
        raise SourceError(
            "Dark and flat frames belong to projections, and these are sinograms.",
            field=f"{min(stack.images)}s",
            value=stack.images[min(stack.images)].name,
            expected="sinograms that were corrected, or order: projection",
        )
    reader = stack.reader if stack.order == "projection" else turned(stack.reader)
    axes = ("angle", "row", "col")
    main = Stream(
        axes, dict(zip(axes, reader.shape, strict=True)), reader.dtype.newbyteorder("=").name, unit=stack.unit
    )
    parts = [image_frames(reader, name, main) for name, reader in stack.images.items()]
    angles = stack.angles(reader.shape[0])
    coords = {} if angles is None else {"angle": angles}
    ids = np.arange(reader.shape[0], dtype=np.int64)
    streams = {MAIN: main} | {part.stream: image_stream(part, main) for part in parts}
    parts.append(Frames(reader, ids, ids, coords=coords))
    order = (*stack.images, MAIN)
    scan = Scan(streams, stack.name, stack.calibration, coords, order, stack.metadata)
    return Recording(scan, tuple(parts), stack.close)


def beside(path: Path, images: Path) -> Path:
    """Where darks or flats lie that are named relative to the data or to the working folder."""
    images = images.expanduser()
    if images.is_absolute() or images.exists() or (images.parent != Path() and images.parent.exists()):
        return images
    return (path if path.is_dir() else path.parent) / images
