"""Savu's loaders: the source that reads the same, and what of its options could not be carried over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from ..imported import JobBuilder, spread

_SOURCES = {
    "NxtomoLoader": "nxtomo",
    "DxchangeLoader": "dxfile",
    "SavuNexusLoader": "savu",
    "ImageLoader": "tiff",
    "MrcLoader": "mrc",
    "TxmLoader": "txrm",
    "NxstxmLoader": "nxstxm",
    "MmLoader": "nxstxm",
}
_PATHS: Mapping[str, Mapping[str, str]] = {
    "NxtomoLoader": {"data_path": "data", "image_key_path": "image_key"},
    "DxchangeLoader": {"data_path": "data"},
}
_UNSET: tuple[Any, ...] = (None, False, "", "None", "False", [], {}, [None, None], [None, None, 1])
_SILENT = ("name", "preview", "dark_prefix", "flat_prefix", "data_prefix", "frame_dim", "dataset_name", "names")
_LINSPACE = re.compile(r"(?:np\.)?linspace\(\s*([-+.\de]+)\s*,\s*([-+.\de]+)\s*,\s*(\d+)\s*\)")
_AXES = ("angle", "row", "col")


def load(builder: JobBuilder, name: str, given: Mapping[str, Any]) -> None:
    """Set the source of a job."""
    use = _SOURCES.get(name)
    if use is None:
        builder.remarks.append(f"{name}: this loader is not known; the source is taken to be NXtomo.")
    builder.source = {"use": use or "nxtomo", "path": builder.source["path"]}
    rest = {key: value for key, value in given.items() if value not in _UNSET and key not in _SILENT}
    for theirs, ours in _PATHS.get(name, {}).items():
        if theirs in rest:
            builder.source[ours] = str(rest.pop(theirs))
    if name == "ImageLoader":
        _of_images(builder, given)
    for stream in ("dark", "flat"):
        _elsewhere(builder, stream, rest)
    _angles(builder, rest)
    builder.remarks += [
        f"{name}: {key} = {value!r} is not carried over; the source '{builder.source['use']}' has options of its own."
        for key, value in rest.items()
    ]
    _preview(builder, given.get("preview"))


def _of_images(builder: JobBuilder, given: Mapping[str, Any]) -> None:
    """The prefixes of names become patterns."""
    for theirs, ours in (("data_prefix", "pattern"), ("dark_prefix", "darks"), ("flat_prefix", "flats")):
        if given.get(theirs) not in _UNSET:
            builder.source[ours] = f"{given[theirs]}*.tif"
    if "pattern" not in builder.source:
        builder.remarks.append(
            "ImageLoader: name the folder of projections in the source, and darks and flats where they lie apart."
        )
    else:
        builder.remarks.append("ImageLoader: the images are taken to be TIFF; name their folder in the source.")


def _elsewhere(builder: JobBuilder, stream: str, rest: dict[str, Any]) -> None:
    """``dark`` and ``flat`` are a file, a path in it, and a scale."""
    told: Any = rest.get(stream)
    if not isinstance(told, list):
        return
    file, inner, scale = (*cast("list[Any]", told), None, None, None)[:3]
    if file in _UNSET or inner in _UNSET or scale not in (None, 1, 1.0):
        return
    builder.source[f"{stream}s"] = f"{file}:{inner}"
    del rest[stream]


def _angles(builder: JobBuilder, rest: dict[str, Any]) -> None:
    """A text file, a path in the file, or numpy's linspace."""
    told = rest.get("angles")
    if not isinstance(told, str):
        return
    even = _LINSPACE.fullmatch(told.strip())
    if even is not None:
        angles = spread(even[1], even[2], even[3])
        if angles is None:
            return
        builder.source["angles"] = angles
    elif re.fullmatch(r"[\w./ -]+", told.strip()) and not told.strip().isdecimal():
        builder.source["angles"] = told.strip()
    else:
        return
    del rest["angles"]


def _preview(builder: JobBuilder, preview: Any) -> None:
    """Cut the same part out: start:stop:step with mid and end means the same to both."""
    entries = cast("list[Any]", preview) if isinstance(preview, list) else []
    if preview not in _UNSET and not entries:
        builder.remarks.append(f"preview = {preview!r} is not carried over; 'only' takes START:STOP:STEP by axis.")
    for label, entry in zip(_AXES, entries, strict=False):
        told = re.sub(r"\s+", "", str(entry))
        if told in (":", ""):
            continue
        parts = told.split(":")
        if len(parts) <= 3 and all(re.fullmatch(r"(start|mid|end|\d+)?([+-]\d+)*", part) for part in parts):
            builder.only[label] = told
        else:
            builder.remarks.append(
                f"preview: '{told}' along {label} is not carried over; 'only' takes START:STOP:STEP."
            )
