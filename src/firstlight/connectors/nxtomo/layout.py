"""Find the tomography entry of a NeXus file, and what belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from firstlight.core.errors import SourceError

from ..hdf5.files import dangling, groups, is_dataset, is_group, lookup, text
from ..hdf5.handles import File

RAW, PROCESSED = "NXtomo", "NXtomoproc"

_DATA = ("instrument/detector/data", "data/data", "data/image")
_KEY = ("instrument/detector/image_key", "data/image_key")
_CONTROL = ("instrument/detector/image_key_control", "data/image_key_control")
IMAGES = {
    "dark": ("instrument/detector/darkfield", "instrument/detector/dark_field", "data/darkfield"),
    "flat": ("instrument/detector/flatfield", "instrument/detector/flat_field", "data/flatfield"),
}
"""Darks and flats in datasets of their own, where there is no key."""
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
        return Layout(base, kind, data or _must(file, base, ("data/data",), "data"), None, None, None)
    detector = _detector(file, base)
    key = image_key or _first(file, base, tuple(f"{detector}/image_key" for _ in (0,) if detector) + _KEY)
    beside = (f"{detector}/data",) if detector else ()
    found = data or _must(file, base, (*beside, *_DATA), "data")
    if key is None:
        images = {name: path for name, paths in IMAGES.items() if (path := _first(file, base, paths))}
        if not images and not apart:
            raise _no_key(file, base)
        return Layout(base, RAW, found, None, None, _angles(file, base, found), images)
    control = _first(file, base, _CONTROL) if image_key is None else None
    return Layout(base, RAW, found, key, control, _angles(file, base, found))


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
    found = {path: text(lookup(group, "definition")) for path, group in groups(file)}
    for kind in (RAW, PROCESSED):
        named = [path for path, definition in found.items() if definition == kind]
        if named:
            return named[0].rstrip("/"), kind
    for path, group in groups(file):
        if is_dataset(lookup(group, "image_key")):
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


def _detector(file: File, base: str) -> str | None:
    """The group of the instrument that holds an image key, relative to the entry; one whose frames are there is preferred."""
    instrument = lookup(file, f"{base}/instrument")
    if not is_group(instrument):
        return None
    names = [name for name in instrument if is_dataset(lookup(instrument, f"{name}/image_key"))]
    full = [name for name in names if is_dataset(frames := lookup(instrument, f"{name}/data")) and frames.ndim == 3]
    return f"instrument/{(full or names)[0]}" if names else None


def _first(file: File, base: str, paths: tuple[str, ...]) -> str | None:
    return next((f"{base}/{path}" for path in paths if is_dataset(lookup(file, f"{base}/{path}"))), None)


def _must(file: File, base: str, paths: tuple[str, ...], field: str) -> str:
    found = _first(file, base, paths)
    if found is not None:
        return found
    broken = [text_ for path in paths if (text_ := dangling(file, f"{base}/{path}"))]
    if broken:
        raise SourceError(
            f"In {file.filename} the frames are behind a link that leads nowhere: {broken[0]}.",
            field=field,
            value=None,
            expected="the file that the link names, beside this one",
            next_move="Copy that file too, into the same place relative to this one.",
        )
    raise SourceError(
        f"The entry '{base or '/'}' of {file.filename} has no frames.",
        field=field,
        value=None,
        expected=" or ".join(f"{base}/{path}" for path in dict.fromkeys(paths)),
        next_move=f"Name the dataset of the frames in '{field}'.",
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


def _angles(file: File, base: str, data: str) -> str | None:
    """The dataset with one angle per frame: in its usual places, or one whose name says that it is."""
    held = lookup(file, data)
    frames = len(held) if is_dataset(held) else -1
    usual = [f"{base}/{path}" for path in _ANGLE]
    beside = [f"{path}/{name}" for path in _folders(file, base) for name in lookup(file, path) if _is_angle(name)]
    for path in (*usual, *sorted(beside, key=_rank)):
        found: Any = lookup(file, path)
        if is_dataset(found) and found.dtype.kind in "iuf" and found.size == frames:
            return path
    return None


def _folders(file: File, base: str) -> list[str]:
    """Groups of the entry that may hold the angles."""
    entry = lookup(file, base or "/")
    inner = [path for path, _ in groups(entry, 3)] if is_group(entry) else []
    return inner


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
    paths = [f"{path}/{name}" for path in _folders(file, base) for name in lookup(file, path) if _is_angle(name)]
    return [text_ for path in paths if (text_ := dangling(file, path))]
