"""Named plugins of each kind, found through entry points; listing them imports nothing heavy."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from .errors import MissingExtra, UnknownName

KINDS = ("operators", "sources", "sinks", "views", "runners", "simulators")

_added: dict[tuple[str, str], Any] = {}


@cache
def _points(kind: str) -> dict[str, EntryPoint]:
    if kind not in KINDS:
        raise UnknownName(
            f"There is no kind '{kind}'.", field="kind", value=kind, expected="one of " + ", ".join(KINDS)
        )
    return {point.name: point for point in entry_points(group=f"firstlight.{kind}")}


def names(kind: str) -> list[str]:
    """The names of all plugins of a kind, sorted; imports none of them.

    Raises:
        UnknownName: There is no such kind.
    """
    return sorted({*_points(kind), *(name for added, name in _added if added == kind)})


def get(kind: str, name: str) -> Any:
    """Load one plugin.

    Raises:
        UnknownName: There is none of that name; close names are suggested.
        MissingExtra: It needs a library that is not installed.
    """
    if (kind, name) in _added:
        return _added[kind, name]
    points = _points(kind)
    if name not in points and kind == "operators" and aliases().get(name) in points:
        name = aliases()[name]
    if name not in points:
        close = difflib.get_close_matches(name, names(kind), n=3)
        raise UnknownName(
            f"There is no {kind[:-1]} '{name}'.",
            field="use",
            value=name,
            expected=f"one of the names that 'firstlight list {kind}' shows",
            next_move=f"Did you mean {' or '.join(close)}?" if close else None,
        )
    try:
        return points[name].load()
    except ModuleNotFoundError as missing:
        extra = EXTRAS.get((missing.name or "").partition(".")[0])
        if extra is None:
            raise
        raise MissingExtra(missing.name or "", extra, f"The {kind[:-1]} '{name}'") from missing


EXTRAS = {
    "p4p": "epics",
    "zmq": "zmq",
    "numcodecs": "epics",
    "bitshuffle": "epics",
    "cbor2": "zmq",
    "astra": "astra",
    "cupy": "gpu",
    "onnxruntime": "learn",
    "zarr": "zarr",
    "obstore": "s3",
    "olefile": "formats",
    "rsciio": "microscopy",
    "skimage": "images",
    "tiled": "tiled",
    "matplotlib": "notebook",
    "napari": "napari",
    "xarray": "notebook",
    "libertem": "libertem",
}
"""Import name of an optional library to the extra that installs it."""


@cache
def aliases() -> dict[str, str]:
    """Names of steps in other programs, with ours: plugins give tables of them, and a name of ours always wins."""
    found: dict[str, str] = {}
    for point in entry_points(group="firstlight.aliases"):
        found |= point.load()()
    return found


def add(kind: str, name: str, plugin: Any) -> None:
    """Register a plugin for this process alone, such as a step defined in a notebook."""
    _points(kind)
    _added[kind, name] = plugin


def remove(kind: str, name: str) -> None:
    """Take back what `add` registered."""
    _added.pop((kind, name), None)
