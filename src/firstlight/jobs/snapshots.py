"""Write snapshots: TIFF with the values as they are, or PNG to look at; each with the record of its run."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import SinkError

from .protocol import plain

KEY = "firstlight"
"""Of the text in a PNG that holds the record."""


class Picture(Protocol):
    """A snapshot of a run."""

    of: str
    path: Path
    data: Array
    axes: tuple[str, ...]
    unit: str | None
    place: int | None


def write_snapshots(pictures: Sequence[Picture], record: Mapping[str, Any]) -> list[str]:
    """Write each picture to its path; pictures that exist are replaced.

    Returns:
        What could not be written, in words.
    """
    problems: list[str] = []
    for picture in pictures:
        told = {"of": picture.of, "axes": picture.axes, "place": picture.place, "unit": picture.unit}
        try:
            write_picture(picture.path, picture.data, {**record, "snapshot": told})
        except SinkError as error:
            problems.append(str(error))
    return problems


def write_picture(path: Path, data: Array, record: Mapping[str, Any]) -> None:
    """Write one picture whole or not at all.

    Args:
        path: Its ending chooses TIFF or PNG.
        data: Shape (row, col).
        record: Goes into the file as JSON.

    Raises:
        SinkError: It can not be written.
    """
    text = json.dumps(plain(record, nan=False), default=str)
    place = path.expanduser()
    part = place.with_name(place.name + ".part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        (_png if place.suffix.lower() == ".png" else _tiff)(part, data, text)
        os.replace(part, place)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise SinkError(
            f"The picture can not be written: {error.strerror or error}.", field="path", value=str(path)
        ) from error


def _tiff(path: Path, data: Array, text: str) -> None:
    import tifffile

    values = np.abs(data) if np.iscomplexobj(data) else data
    kept = values.astype(np.uint8) if values.dtype == bool else values
    kept = kept.astype(np.float32) if kept.dtype.kind == "f" else kept
    tifffile.imwrite(path, kept, description=text, metadata=None)


def _png(path: Path, data: Array, text: str) -> None:
    from PIL import Image, PngImagePlugin

    told = PngImagePlugin.PngInfo()
    told.add_text(KEY, text)
    Image.fromarray(grey(data)).save(path, format="PNG", pnginfo=told)


def grey(data: Array) -> Array:
    """Grey levels: 8-bit values as they are, others from their 0.5 to their 99.5 percentile."""
    if data.dtype == np.uint8:
        return data
    values = np.nan_to_num(np.abs(data) if np.iscomplexobj(data) else data.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = np.percentile(values, (0.5, 99.5))
    return (np.clip((values - low) / max(float(high - low), 1e-30), 0, 1) * 255).astype(np.uint8)
