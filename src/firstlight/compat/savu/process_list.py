"""Savu's process lists: HDF5 files with one group for each plugin, whose parameters are JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from firstlight.connectors.hdf5.files import is_dataset, is_group, lookup, open_file, text
from firstlight.core.errors import SourceError

from ..imported import LARGEST, Imported, JobBuilder
from ..tables import row
from .loaders import load

PLUGINS = "entry/plugin"
ITERATED = "entry/iterate_plugin_groups"
MOST = 1000
"""Plugins that are read at most."""
_NATURAL = re.compile(r"\d+|\D+")


def recognises(path: Path) -> bool:
    """True if a file is a process list."""
    try:
        with path.open("rb") as file:
            if file.read(8) != b"\x89HDF\r\n\x1a\n":
                return False
        with open_file(path) as file:
            return is_group(lookup(file, PLUGINS))
    except (OSError, SourceError):
        return False


def read(path: Path) -> Imported:
    """The job of a process list.

    Raises:
        SourceError: It can not be read, or holds no plugins.
    """
    builder = JobBuilder("Savu", "savu")
    for name, active, given in plugins(path):
        if not active:
            builder.remarks.append(f"{name} is switched off in the list, and left out.")
        elif name.endswith("Loader"):
            load(builder, name, given)
        elif name.endswith("Saver"):
            _save(builder, name, given, path.stem)
        else:
            _step(builder, name, given)
    _iterated(builder, path)
    return builder.finish(path.stem)


def plugins(path: Path) -> Iterator[tuple[str, bool, dict[str, Any]]]:
    """Name, whether it is switched on, and parameters of each plugin, in order.

    Raises:
        SourceError: It can not be read.
    """
    with open_file(path) as file:
        found = lookup(file, PLUGINS)
        if not is_group(found) or len(found) > MOST:
            raise SourceError(
                "This is no process list.", field="path", value=str(path), expected=f"a group '{PLUGINS}'"
            )
        keys = sorted(map(str, found), key=_order)
        entries = [(key, lookup(found, key)) for key in keys]
        for key, entry in entries:
            if not is_group(entry):
                continue
            name = re.sub(r"\s+", "", text(lookup(entry, "name")) or "")
            if not name:
                raise SourceError(f"Plugin {key} of the list has no name.", field="name", value=str(path))
            active = lookup(entry, "active")
            on = (
                bool(active[()].ravel()[0])
                if is_dataset(active) and active.size and active.dtype.kind in "biu"
                else True
            )
            yield name, on, _parameters(entry, name, path)


def _order(key: str) -> list[tuple[int, int, str]]:
    """The order of the list: numbers by value, letters behind them (1, 2, 3, 3a, 10)."""
    parts = _NATURAL.findall(key.strip())
    return [(0, int(part), "") if part.isdecimal() and len(part) < 18 else (1, 0, part) for part in parts]


def _parameters(entry: Any, name: str, path: Path) -> dict[str, Any]:
    told = lookup(entry, "data")
    content = (text(told) if is_dataset(told) and told.size == 1 else None) or "{}"
    try:
        found = json.loads(content) if len(content) <= LARGEST else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, Mapping):
        raise SourceError(
            f"The parameters of '{name}' can not be read.",
            field="data",
            value=content[:80],
            expected=f"JSON in {path.name}",
        )
    return {str(key): value for key, value in cast("Mapping[Any, Any]", found).items()}


_IMAGES = ("ImageSaver", "TiffSaver")


def _save(builder: JobBuilder, name: str, given: Mapping[str, Any], stem: str) -> None:
    """A folder of TIFF files for images; the result is written as HDF5 where nothing else is asked for."""
    if name in _IMAGES:
        rest = {key: value for key, value in given.items() if key in _OF_IMAGES and value not in _OF_IMAGES[key]}
        builder.remarks += [
            f"{name}: {key} = {value!r} is not carried over; the images are written as TIFF, as they are (the step 'rescale' makes 8 and 16 bit)."
            for key, value in rest.items()
        ]
        builder.save("tiff", f"{stem}_images")
    elif name != "Hdf5Saver":
        builder.remarks.append(f"{name}: there is no such sink; the result is written as HDF5.")


_OF_IMAGES: Mapping[str, tuple[Any, ...]] = {
    "format": (None, "tif", "tiff"),
    "num_bit": (None, 32),
    "max": (None,),
    "min": (None,),
    "jpeg_quality": (None, 75),
    "prefix": (None, "None"),
}


def _iterated(builder: JobBuilder, path: Path) -> None:
    """Groups of plugins that are repeated have no counterpart."""
    with open_file(path) as file:
        found = lookup(file, ITERATED)
        if is_group(found) and len(found):
            builder.remarks.append(
                f"{len(found)} group(s) of plugins are repeated in the list, and go once through the job; align_projections repeats by itself."
            )


def _step(builder: JobBuilder, name: str, given: Mapping[str, Any]) -> None:
    named = (given.get(key) for key in ("algorithm", "method"))
    algorithm = next((told for told in named if isinstance(told, str)), None)
    found = row("savu", f"{name}:{algorithm}") if algorithm is not None else None
    found = found or row("savu", name)
    if found is None:
        builder.add(f"{name}:{algorithm}" if algorithm else name, {})
        return
    reconstructs = "centre_of_rotation" in found.parameters
    if reconstructs and given.get("log", True) is True:
        builder.append({"use": "minus_log"})
    builder.add_row(found, {key: _plain(value) for key, value in given.items() if not _empty(key, value)})
    if reconstructs and builder.joined:
        builder.steps[-1].pop("center", None)
    elif reconstructs and builder.center is not None:
        builder.steps[-1]["center"] = {"from": builder.center}


def _plain(value: Any) -> Any:
    """A tuple of numbers, which Savu also keeps as text."""
    text = value.strip() if isinstance(value, str) else ""
    if text[:1] + text[-1:] not in ("()", "[]"):
        return value
    try:
        return [float(part) for part in text[1:-1].split(",") if part.strip()]
    except ValueError:
        return value


def _empty(key: str, value: Any) -> bool:
    """Savu's way of saying that a value comes from elsewhere: a centre of 0, or None as text."""
    if key == "force_zero" and value == [None, None]:
        return True
    return value in (None, "None", "") or (key in ("centre_of_rotation", "center") and value in (0, 0.0, "0.0"))
