"""OME-NGFF 0.5: what viewers read about axes, scales and the pyramid (https://ngff.openmicroscopy.org/0.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.units import Quantity

SPACE = ("z", "y", "x", "row", "col", "scan_y", "scan_x", "u", "v")
_LEAST = 256
"""Pixels below which no smaller picture is made."""
_MOST = 8


def levels(shape: Sequence[int], axes: Sequence[str]) -> list[tuple[int, ...]]:
    """Shapes of the pyramid: space is halved until a picture fits 256 pixels."""
    found = [tuple(shape)]
    while max(found[-1][-2:], default=0) > _LEAST and len(found) < _MOST:
        before = found[-1]
        found.append(tuple(-(-n // 2) if label in SPACE else n for n, label in zip(before, axes, strict=True)))
    return found


def halved(block: Array, axes: Sequence[str]) -> Array:
    """A block with space halved: means of two, of one at an odd end."""
    values = block.astype(np.float64) if block.dtype.kind in "biu" else block
    for number, label in enumerate(axes):
        if label not in SPACE:
            continue
        if values.shape[number] % 2:
            last = np.take(values, [-1], axis=number)
            values = np.concatenate([values, last], axis=number)
        lengths = (*values.shape[:number], values.shape[number] // 2, 2, *values.shape[number + 1 :])
        values = values.reshape(lengths).mean(axis=number + 1)
    return np.rint(values).astype(block.dtype) if block.dtype.kind in "biu" else values.astype(block.dtype)


def multiscales(scan: Scan, shapes: Sequence[Sequence[int]]) -> dict[str, Any]:
    """The attribute ``ome`` of a group."""
    axes = scan.main.axes
    pixel = scan.pixel("um")
    scales: list[dict[str, Any]] = []
    for number, shape in enumerate(shapes):
        factors = [shapes[0][n] / shape[n] if shape[n] else 1.0 for n in range(len(axes))]
        # halving repeats: a level's step is a power of two, also where an odd length was rounded up
        steps = [
            2.0**number if label in SPACE and factor > 1 else 1.0 for label, factor in zip(axes, factors, strict=True)
        ]
        scale = [step * (pixel if pixel and label in SPACE else 1.0) for step, label in zip(steps, axes, strict=True)]
        shift = [
            (step - 1) / 2 * (pixel if pixel and label in SPACE else 1.0)
            for step, label in zip(steps, axes, strict=True)
        ]
        moved: list[dict[str, Any]] = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": shift}]
        scales.append({"path": str(number), "coordinateTransformations": moved})
    return {
        "version": "0.5",
        "multiscales": [
            {"name": scan.name, "axes": [_axis(label, pixel) for label in axes], "datasets": scales, "type": "mean"}
        ],
    }


def _axis(label: str, pixel: float | None) -> dict[str, str]:
    if label in SPACE:
        return {"name": label, "type": "space", **({"unit": "micrometer"} if pixel else {})}
    return {"name": label, "type": "time"} if label == "time" else {"name": label}


def read_multiscales(attributes: Mapping[str, Any]) -> tuple[str, list[str], Quantity | None] | None:
    """Path of the full picture, its axes and pixel size, of a group that says so; None where it does not.

    Versions 0.4 (``multiscales``) and 0.5 (``ome``) are read.
    """
    ome = attributes.get("ome")
    found = (ome if isinstance(ome, dict) else attributes).get("multiscales")
    try:
        first = found[0]  # pyright: ignore[reportOptionalSubscript]
        axes = [str(axis["name"]) for axis in first["axes"]]
        dataset = first["datasets"][0]
        path = str(dataset["path"])
    except (KeyError, IndexError, TypeError):
        return None
    try:
        scale = next(each["scale"] for each in dataset["coordinateTransformations"] if each["type"] == "scale")
        micrometre = first["axes"][-1].get("unit") in ("micrometer", "micrometre")
        pixel = Quantity(float(scale[-1]), "um") if micrometre and 0 < float(scale[-1]) < 1e9 else None
    except (KeyError, IndexError, TypeError, ValueError, StopIteration, AttributeError):
        pixel = None
    return path, axes, pixel
