"""The NeXus side of a result file: entry, data group, axes with units, record, and what is missing."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import Chunk, Gap, Scan, Stream

from .handles import Dataset, File, Group

if TYPE_CHECKING:
    from .target import Target

ENTRY, DATA = "entry", "data"


def begin_entry(file: File, scan: Scan, record: Mapping[str, Any]) -> Group:
    """Write who made the file, the record as it stands, calibration and metadata; say that it is not complete."""
    file.attrs.update(
        {
            "NX_class": "NXroot",
            "default": ENTRY,
            "creator": "firstlight",
            "file_name": str(file.filename),
            "file_time": _now(),
        }
    )
    entry = nx_group(file, ENTRY, "NXentry")
    entry.attrs["default"] = DATA
    entry.attrs["complete"] = np.bool_(False)
    entry["title"] = scan.name
    entry["start_time"] = _now()
    process = nx_group(entry, "process", "NXprocess")
    process["program"] = "firstlight"
    process["version"] = str(record.get("versions", {}).get("firstlight", ""))
    process["date"] = _now()
    store_record(entry, record)
    if scan.main.axes == ("z", "y", "x"):
        _as_volume(entry, scan, record)
    calibration = nx_group(entry, "calibration", "NXcollection")
    for name, value in scan.calibration.items():
        calibration[name] = value.value
        calibration[name].attrs["units"] = value.unit
    metadata = nx_group(entry, "metadata", "NXcollection")
    for name, text in scan.metadata.items():
        metadata[name] = text
    return entry


def _as_volume(entry: Group, scan: Scan, record: Mapping[str, Any]) -> None:
    """Say that the entry is a reconstructed volume, as NXtomoproc wants it."""
    entry["definition"] = "NXtomoproc"
    nx_group(entry, "sample", "NXsample")["name"] = scan.metadata.get("sample", scan.name)
    nx_group(entry, "instrument", "NXinstrument")["name"] = scan.metadata.get("instrument", "")
    parameters = nx_group(entry["process"], "parameters", "NXparameters")
    parameters["raw_file"] = str(record.get("job", {}).get("source", {}).get("path", ""))
    entry["reconstruction"] = entry["process"]


def nx_group(parent: Group, name: str, kind: str) -> Group:
    """Create a group of a NeXus class."""
    made = parent.create_group(name)
    made.attrs["NX_class"] = kind
    return made


def data_group(entry: Group, epoch: int) -> Group:
    """The group for the frames of one epoch: ``data``, and ``epoch_1`` … after restarts of the detector."""
    group = nx_group(entry, DATA if epoch == 0 else f"epoch_{epoch}", "NXdata")
    group.attrs["signal"] = "data"
    return group


def describe_data(target: Target, scan: Scan, *, swmr: bool = False) -> None:
    """Name the axes of the data and give each its positions."""
    stream, group = target.stream, target.group
    target.data.attrs["long_name"] = scan.name
    if stream.unit:
        target.data.attrs["units"] = stream.unit
    target.covered.attrs["description"] = (
        "1 where the frame (or, of one array, the position along its first axis) is whole"
    )
    target.covered.attrs["first_id"] = target.stream.first if target.stream.arrival else 0
    group.attrs["axes"] = np.array(stream.axes, dtype="S") if stream.axes else "."
    for number, label in enumerate(stream.axes):
        grows = number == 0 and target.growing
        length = target.data.shape[number]
        values, unit = positions(label, length, stream, scan)
        made = group[label] if label in group else _axis(group, label, values, grows=grows, swmr=swmr)
        if unit:
            made.attrs["units"] = unit
        group.attrs[f"{label}_indices"] = number


def _axis(group: Group, label: str, values: Array, *, grows: bool, swmr: bool) -> Dataset:
    if grows:
        return group.create_dataset(label, data=values, maxshape=(None,), chunks=(4096,))
    return group.create_dataset(label, data=values, chunks=values.shape if swmr and len(values) else None)


def positions(label: str, length: int, stream: Stream, scan: Scan) -> tuple[Array, str | None]:
    """Coordinates along one axis: angles in degree, detector and volume axes in micrometre (or pixels), else numbers.

    ``x`` and ``y`` count from the rotation axis, ``y`` upwards; rows and columns from those of the recorded scan, also
    where only a part of it was selected.
    """
    if label == "angle":
        return known_angles(scan, length, stream), "deg"
    if label in stream.marks:
        return _marks(stream.marks[label]), None
    index = np.arange(length, dtype=np.float64)
    chosen = scan.selected.get({"z": "row"}.get(label, label))
    if chosen is not None and len(chosen) == length and label in ("row", "col", "z"):
        index = np.asarray(chosen, np.float64)
    if label == "frame":
        return index.astype(np.int64), None
    if label not in ("row", "col", "z", "y", "x"):
        return index, None
    centred = {"x": index - (length - 1) / 2, "y": (length - 1) / 2 - index}.get(label, index)
    pixel = scan.pixel("um")
    if pixel is not None and "col" in scan.selected:
        pixel /= scan.selected["col"].step if label in ("row", "z", "col") else 1  # positions count recorded pixels
    return (centred, "px") if pixel is None else (centred * pixel, "um")


def _marks(values: tuple[Any, ...]) -> Array:
    """The values of a swept parameter: numbers as numbers, anything else as text."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return np.array(values, np.float64) if numbers else np.array([str(value).encode() for value in values])


def known_angles(scan: Scan, length: int, stream: Stream) -> Array:
    """(frame,) angles that the scan knows beforehand, in degree; NaN where it does not."""
    angles = np.full(length, np.nan)
    known = scan.coords.get("angle")
    if known is not None and stream.arrival == 1 and stream.first >= 0:
        part = np.asarray(known, dtype=np.float64)[stream.first : stream.first + length]
        angles[: len(part)] = part
    return angles


def axis_of(target: Target) -> Dataset | None:
    """The positions along the first axis of an array, where they are written."""
    return target.group.get(target.stream.arrival_axes[0]) if target.stream.arrival else None


def fit_axis(axis: Dataset, target: Target, scan: Scan, length: int) -> bool:
    """Let the axis of a growing array be as long as that; False if it is."""
    have = axis.shape[0]
    if have != length:
        axis.resize((length,))
        if length > have:
            axis[have:length] = positions(target.stream.arrival_axes[0], length, target.stream, scan)[0][have:]
    return have != length


def put_angles(axis: Dataset, target: Target, chunk: Chunk) -> None:
    """Note the angles of frames, where they come with them."""
    if target.stream.arrival_axes != ("angle",) or "angle" not in chunk.coords:
        return
    put_rows(axis, chunk.ids - target.stream.first, chunk.coords["angle"])


def put_rows(column: Dataset, rows: Ids, values: Any) -> None:
    """Write values to rows of a column, between others that stay."""
    low, high = int(rows.min()), int(rows.max()) + 1
    block = column[low:high]
    block[rows - low] = values
    column[low:high] = block


def store_record(entry: Group, record: Mapping[str, Any]) -> None:
    """Write a record as JSON, in place of the one before it."""
    process = entry["process"]
    told = json.dumps(record, default=_plain)
    if "record" in process:
        process["record"][()] = told
        return
    process["record"] = told
    process["record"].attrs["type"] = "application/json"


def end_entry(
    entry: Group, targets: Mapping[int, Target], gaps: Sequence[Gap], record: Mapping[str, Any], *, complete: bool
) -> None:
    """Write what is missing and why, the final record, and whether the run came to its end."""
    ranges = [
        (epoch, int(first), int(last)) for epoch, target in sorted(targets.items()) for first, last in target.missing()
    ]
    table = entry.create_dataset("missing", data=np.array(ranges, dtype=np.int64).reshape(-1, 3))
    table.attrs["columns"] = "epoch, first id, last id (both included)"
    entry["missing_reason"] = json.dumps([[gap.epoch, gap.first, gap.last, gap.kind, gap.reason] for gap in gaps])
    entry["end_time"] = _now()
    for target in targets.values():
        ids = target.frame_ids()
        if ids is not None:
            target.group["frame"][: len(ids)] = ids
    store_record(entry, record)
    entry.attrs["complete"] = np.bool_(complete)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def _plain(value: Any) -> Any:
    """Numbers and arrays of numpy as JSON has them; anything else as text."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return str(value)
