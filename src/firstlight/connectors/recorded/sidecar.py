"""A JSON file beside (or in) a result that holds what the format itself has no place for: axes, units, record, what is missing."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Gap, Scan, Stream
from firstlight.core.errors import FirstlightError, SourceError
from firstlight.core.units import Quantity, factor

_MOST = 256 * 2**20
"""Bytes beyond which a file is no such description."""


def describe(scan: Scan, record: dict[str, Any]) -> dict[str, Any]:
    """What is known before the first frame."""
    stream = scan.main
    return {
        "program": "firstlight",
        "name": scan.name,
        "axes": list(stream.axes),
        "sizes": {label: stream.sizes.get(label) for label in stream.axes},
        "arrival": stream.arrival,
        "dtype": stream.dtype,
        "unit": stream.unit,
        "first_id": stream.first if stream.arrival else 0,
        "calibration": {name: {"value": each.value, "unit": each.unit} for name, each in scan.calibration.items()},
        "metadata": dict(scan.metadata),
        "started": _now(),
        "complete": False,
        "record": record,
    }


def finished(
    begun: dict[str, Any],
    record: dict[str, Any],
    *,
    missing: Array,
    gaps: list[Gap],
    angles: Array | None,
    complete: bool,
) -> dict[str, Any]:
    """The same at the end of a run."""
    known = {} if angles is None else {"angles": [None if np.isnan(angle) else float(angle) for angle in angles]}
    return {
        **begun,
        **known,
        "missing": missing.tolist(),
        "missing_columns": "first, last id (both included)",
        "missing_reason": [[gap.first, gap.last, gap.kind, gap.reason] for gap in gaps],
        "ended": _now(),
        "complete": complete,
        "record": record,
    }


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a file in one step: a reader sees the old one or the new one, whole."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(values, file, indent=1, default=_plain)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def read_json(path: Path, field: str = "path") -> dict[str, Any]:
    """Read such a file.

    Raises:
        SourceError: It is missing, or no JSON object.
    """
    try:
        if path.stat().st_size > _MOST:
            raise ValueError(f"it has {path.stat().st_size} byte")
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it holds no JSON object")
        return found
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(
            f"The description can not be read ({error}).",
            field=field,
            value=str(path),
            expected="a JSON object, complete and readable",
            next_move="Copy it again from where it was written.",
        ) from error


def calibration_of(told: dict[str, Any]) -> dict[str, Quantity | None]:
    """Measured quantities in a description; what makes no sense is passed over."""
    found: dict[str, Quantity | None] = {"pixel": None, "energy": None}
    given = told.get("calibration")
    for name, each in given.items() if isinstance(given, dict) else ():
        try:
            factor(str(each["unit"]))
            found[str(name)] = Quantity(float(each["value"]), str(each["unit"]))
        except (FirstlightError, KeyError, TypeError, ValueError):
            continue
    return found


def angle_list(scan: Scan, stream: Stream, count: int) -> Array | None:
    """(position,) the angles of frames, NaN where they are not known yet; None where frames have none."""
    if stream.arrival_axes != ("angle",):
        return None
    angles = np.full(count, np.nan)
    known = scan.coords.get("angle")
    if known is not None and stream.first >= 0:
        part = np.asarray(known, np.float64)[stream.first : stream.first + count]
        angles[: len(part)] = part
    return angles


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)
