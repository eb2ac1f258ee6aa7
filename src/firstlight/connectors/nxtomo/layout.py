"""Find the tomography entry of a NeXus file, and what belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from firstlight.core.errors import SourceError

from ..hdf5.files import dangling, groups, is_dataset, is_group, lookup, names, text, walk
from ..hdf5.handles import File

RAW, PROCESSED = "NXtomo", "NXtomoproc"

_DATA = ("instrument/detector/data", "instrument/sample/data", "data/data", "data/image")
_KEY = ("instrument/detector/image_key", "data/image_key", "image_key")
_CONTROL = ("instrument/detector/image_key_control", "data/image_key_control")
_KEY_NAMES = ("image_key", "image_key_control")
IMAGES = {
    "dark": (
        "instrument/detector/darkfield",
        "instrument/detector/dark_field",
        "instrument/dark_field/data",
        "data/darkfield",
    ),
    "flat": (
        "instrument/detector/flatfield",
        "instrument/detector/flat_field",
        "instrument/bright_field/data",
        "instrument/flat_field/data",
        "data/flatfield",
    ),
}
"""Darks and flats in datasets of their own, where there is no key. The first draft of NXtomo had three detectors."""
_ANGLE = (
    "sample/rotation_angle",
    "data/rotation_angle",
    "instrument/detector/rotation_angle",
    "sample/transformations/rotation_angle",
)
_MONITOR = ("control/data", "monitor/data")
_ANGLE_WORDS = ("rotation_angle", "theta", "angle", "rotation", "omega")


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of what makes a tomography scan, all from the root of the file."""

    entry: str
    kind: str
    data: str
    image_key: str | None
    control: str | None
    angles: str | None
    images: Mapping[str, str] = field(default_factory=dict[str, str])
    """Datasets of ``dark`` and ``flat`` frames, where there is no key."""


def find_layout(
    file: File,
    *,
    entry: str | None = None,
    data: str | None = None,
    image_key: str | None = None,
    apart: bool = False,
) -> Layout:
    """Find the parts of a scan; what the caller names is taken as it is.

    With `apart`, darks and flats lie elsewhere, and no key is needed. A group with ``definition`` NXtomo or NXtomoproc is preferred, then any group that holds an `image_key`.

    Raises:
        SourceError: There is no such entry, or a part of it is missing; links that dangle are named.
    """
    base, kind = _entry(file, entry)
    if kind == PROCESSED:
        return Layout(base, kind, data or _must(file, base, ("data/data",), None), None, None, None)
    key = image_key or _key(file, base)
    count = lookup(file, key).size if key is not None and is_dataset(lookup(file, key)) else None
    beside = (f"{key.rpartition('/')[0]}/data",) if key is not None else ()
    found = data or _must(file, base, _DATA, count, beside)
    if key is None:
        images = {name: path for name, paths in IMAGES.items() if (path := _first(file, base, paths))}
        if not images and not apart:
            raise _no_key(file, base)
        return Layout(base, RAW, found, None, None, _angles(file, base, found, None), images)
    control = _first(file, base, _CONTROL) if image_key is None else None
    return Layout(base, RAW, found, key, control, _angles(file, base, found, key))


def entries(file: File) -> list[str]:
    """Paths of the raw scans of a file, in their order: each group that says it is NXtomo."""
    return [path for path, definition in _definitions(file, _USUAL_DEPTH).items() if definition == RAW]


def is_scan(file: File) -> bool:
    """True for a file with a scan in it, also where parts of it are behind links that lead nowhere."""
    try:
        find_layout(file)
    except SourceError as error:
        return error.field == "data"
    return True


_USUAL_DEPTH, _DEPTH = 4, 8
"""Groups are looked for so deep at first, and deeper only where that finds nothing."""


def _definitions(file: File, depth: int) -> dict[str, str | None]:
    return {path: text(lookup(group, "definition")) for path, group in groups(file, depth)}


def _entry(file: File, wanted: str | None) -> tuple[str, str]:
    if wanted is not None:
        group = lookup(file, wanted)
        if not is_group(group):
            raise SourceError(
                f"The file {file.filename} has no group '{wanted}'.",
                field="entry",
                value=wanted,
                expected="the path of an NXentry",
            )
        definition = text(lookup(group, "definition"))
        return wanted.rstrip("/"), PROCESSED if definition == PROCESSED else RAW
    for depth in (_USUAL_DEPTH, _DEPTH):
        found = _definitions(file, depth)
        for kind in (RAW, PROCESSED):
            named = [path for path, definition in found.items() if definition == kind]
            if named:
                return named[0].rstrip("/"), kind
        for path, group in groups(file, depth):
            if any(_is_key(lookup(group, name)) for name in _KEY_NAMES):
                return _root_of(path), RAW
    raise SourceError(
        f"The file {file.filename} has no NXtomo entry, and no dataset called image_key.",
        field="entry",
        value=None,
        expected="a group whose 'definition' is NXtomo or NXtomoproc",
        next_move="For other layouts use the source 'hdf5' (dataset and axes given by you) or 'dxfile'.",
    )


def _root_of(path: str) -> str:
    """The entry around a detector group: what comes before ``instrument``."""
    before, found, _ = path.partition("/instrument")
    return before if found else path.rpartition("/")[0]


def _key(file: File, base: str) -> str | None:
    """The image key: in its usual places, or anywhere in the entry; one beside frames is preferred."""
    usual = [f"{base}/{path}" for path in _KEY[:1]]
    inner = [path for path, _ in groups(lookup(file, base or "/"), _DEPTH)]
    beside = [f"{path.rstrip('/')}/{name}" for name in _KEY_NAMES for path in inner]
    found = [path for path in (*usual, *beside) if _is_key(lookup(file, path))]
    frames = (lookup(file, f"{path.rpartition('/')[0]}/data") for path in found)
    full = [path for path, data in zip(found, frames, strict=True) if is_dataset(data) and data.ndim > 1]
    return next(iter(full or found), None)


def _first(file: File, base: str, paths: tuple[str, ...]) -> str | None:
    return next((f"{base}/{path}" for path in paths if is_dataset(lookup(file, f"{base}/{path}"))), None)


def _is_key(found: Any) -> bool:
    """True for a list; some files note the kind of a whole series in one number."""
    return is_dataset(found) and found.ndim > 0


def _must(file: File, base: str, paths: tuple[str, ...], count: int | None, beside: tuple[str, ...] = ()) -> str:
    """The frames: beside the key, in their usual places, or the one dataset that has as many frames as the key."""
    usual = (*beside, *(f"{base}/{path}" for path in paths))
    found = next((path for path in usual if is_dataset(each := lookup(file, path)) and each.ndim > 1), None)
    if found is not None:
        return found
    broken = [text_ for path in usual if (text_ := dangling(file, path))]
    if broken:
        raise SourceError(
            f"In {file.filename} the frames are behind a link that leads nowhere: {broken[0]}.",
            field="data",
            value=None,
            expected="the file that the link names, beside this one",
            next_move="Copy that file too, into the same place relative to this one.",
        )
    return _only_frames(file, base, count, usual)


def _only_frames(file: File, base: str, count: int | None, usual: tuple[str, ...]) -> str:
    entry = lookup(file, base or "/")
    fitting = [
        (path, each)
        for path, each in (walk(entry, _USUAL_DEPTH) if count is not None and is_group(entry) else ())
        if each.ndim > 1 and len(each) == count and each.dtype.kind in "iuf" and each.size > count
    ]
    different = {(each.file.filename, each.name): path for path, each in fitting}
    if len(different) == 1:
        return fitting[0][0]
    raise SourceError(
        f"The entry '{base or '/'}' of {file.filename} has {'several datasets of' if different else 'no'} frames.",
        field="data",
        value=sorted(different.values())[:5] or None,
        expected="one of them" if different else " or ".join(dict.fromkeys(usual)),
        next_move="Name the dataset of the frames: --set source.data=PATH",
    )


def _no_key(file: File, base: str) -> SourceError:
    broken = [text_ for path in _KEY if (text_ := dangling(file, f"{base}/{path}"))]
    return SourceError(
        f"The entry '{base or '/'}' of {file.filename} has frames but no image_key"
        + (f": {broken[0]}." if broken else "."),
        field="image_key",
        value=None,
        expected=f"{base}/{_KEY[0]} with 0 projection, 1 flat, 2 dark, 3 invalid for each frame",
        next_move="Name the dataset in 'image_key', or use the source 'hdf5' and name darks and flats there.",
    )


def _angles(file: File, base: str, data: str, key: str | None) -> str | None:
    """The dataset with one angle for each frame, or for each projection: in its usual places, or one that is named so.

    In the usual places it may be longer, as it is after a scan that was ended early.
    """
    held = lookup(file, data)
    frames = len(held) if is_dataset(held) else -1
    marked: Any = None if key is None else lookup(file, key)
    counts = {frames, int((np.asarray(marked[()]) == 0).sum()) if is_dataset(marked) else frames}
    usual = [f"{base}/{path}" for path in _ANGLE]
    for path in (*usual, *sorted(_called_angles(file, base), key=_rank)):
        found: Any = lookup(file, path)
        if not is_dataset(found) or found.dtype.kind not in "iuf" or not found.size:
            continue
        if found.size in counts or (path in usual and found.size > frames):
            return path
    return None


def _called_angles(file: File, base: str) -> list[str]:
    """What is called like angles, in the entry and the groups in it."""
    entry = lookup(file, base or "/")
    inner = groups(entry, 3) if is_group(entry) else ()
    return [f"{path}/{name}" for path, group in inner for name in names(group) if _is_angle(name)]


def _is_angle(name: str) -> bool:
    return any(word in name.lower() for word in _ANGLE_WORDS)


def _rank(path: str) -> tuple[int, int]:
    """Measured angles before demanded ones, then in the order of the words."""
    name = path.rpartition("/")[2].lower()
    order = next((n for n, word in enumerate(_ANGLE_WORDS) if word in path.lower()), len(_ANGLE_WORDS))
    return (name.endswith(("set", "max", "min")), order)


def monitor_of(file: File, base: str, frames: int) -> str | None:
    """The dataset with what a monitor of the beam (NXmonitor) counted during each frame."""
    for path in _MONITOR:
        found: Any = lookup(file, f"{base}/{path}")
        if is_dataset(found) and found.dtype.kind in "iuf" and found.size == frames:
            return f"{base}/{path}"
    return None


def broken_angles(file: File, base: str) -> list[str]:
    """Links of the entry that look like angles and dangle."""
    return [text_ for path in _called_angles(file, base) if (text_ := dangling(file, path))]
