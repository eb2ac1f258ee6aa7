"""HTTomo's pipelines: YAML lists of methods with modules and parameters, in the present form and the first one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from firstlight.core.errors import SourceError

from ..imported import Imported, JobBuilder, Sweep, read_text, spread, stepped
from ..tables import Row, row

_REFERENCE = re.compile(r"\$\{\{\s*(?P<id>\w+)\.side_outputs\.(?P<name>\w+)\s*\}\}")
_AXES = {"angles": "angle", "detector_y": "row", "detector_x": "col"}
_SAVES = ("save_to_images", "save_intermediate_data")
_IMAGES = ("tif", "tiff", None)
_NAMES_OF_DATA = ("data_in", "data_out")
_SILENT = ("calculate_stats", "data_checker", "data_reducer")


class _Loader(yaml.SafeLoader):
    """Plain YAML, HTTomo's two tags for sweeps, and the tuples that its templates have."""


def _values(loader: yaml.SafeLoader, node: Any) -> Sweep:
    found = loader.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else []
    return Sweep(tuple(found))


def _range(loader: yaml.SafeLoader, node: Any) -> Sweep:
    found: Mapping[Any, Any] = loader.construct_mapping(node, deep=True) if isinstance(node, yaml.MappingNode) else {}
    ends = [found.get(key) for key in ("start", "stop", "step")]
    if not all(isinstance(end, int | float) and abs(end) < 1e12 for end in ends):
        return Sweep(tuple(ends[:1]))
    return Sweep(tuple(stepped(*cast("list[float]", ends))))


def _tuple(loader: yaml.SafeLoader, node: Any) -> list[Any]:
    return loader.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else []


_Loader.add_constructor("tag:yaml.org,2002:python/tuple", _tuple)
_Loader.add_constructor("!Sweep", _values)
_Loader.add_constructor("!SweepRange", _range)


def recognises(path: Path) -> bool:
    """True if a file is a pipeline."""
    if path.suffix.lower() not in (".yaml", ".yml", ".json"):
        return False
    try:
        return bool(list(methods(path)))
    except (OSError, SourceError):
        return False


@dataclass(frozen=True, slots=True)
class Method:
    """One entry of a pipeline."""

    module: str
    name: str
    given: dict[str, Any]
    id: str = ""
    saved: bool = False
    """What it gives is written to a file of its own."""
    first: bool = False
    """It has the first form, in which what a method found goes by a plain name."""


def methods(path: Path) -> Iterator[Method]:
    """The entries of a pipeline.

    Raises:
        SourceError: The file is no pipeline.
    """
    try:
        content: Any = yaml.load(read_text(path), Loader=_Loader)  # noqa: S506  (a safe loader with two more tags)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        raise SourceError(f"This is no YAML: {error}", field="path", value=str(path)) from None
    if not isinstance(content, list) or not content:
        raise _none(path)
    for entry in cast("list[Any]", content):
        if not isinstance(entry, Mapping):
            raise _none(path)
        yield _method(cast("Mapping[str, Any]", entry), path)


def _none(path: Path) -> SourceError:
    return SourceError(
        "This is no pipeline of HTTomo.",
        field="path",
        value=str(path),
        expected="a list of method, module_path and parameters",
    )


def _method(entry: Mapping[str, Any], path: Path) -> Method:
    if "method" in entry:
        module, method, given = entry.get("module_path", ""), entry["method"], entry.get("parameters")
        saved = entry.get("save_result") is True
        return Method(str(module), str(method), _mapping(given), str(entry.get("id", "")), saved)
    if len(entry) == 1:  # the first form: {module: {method: parameters}}
        module, inner = next(iter(entry.items()))
        methods_ = _mapping(inner)
        if len(methods_) == 1:
            method, given = next(iter(methods_.items()))
            parameters = _mapping(given)
            return Method(
                str(module), method, parameters, saved=parameters.pop("save_result", False) is True, first=True
            )
    raise _none(path)


def _mapping(value: Any) -> dict[str, Any]:
    return (
        {str(key): item for key, item in cast("Mapping[Any, Any]", value).items()} if isinstance(value, Mapping) else {}
    )


def read(path: Path) -> Imported:
    """The job of a pipeline.

    Raises:
        SourceError: The file is no pipeline.
    """
    builder = JobBuilder("HTTomo", "httomo")
    found: dict[str, str] = {}  # id of a method that finds something, to our step
    for each in methods(path):
        if each.name == "standard_tomo":
            _load(builder, each.given)
        elif each.name in _SAVES:
            _save(builder, each.name, each.given, path.stem)
        elif each.name not in _SILENT:
            before = len(builder.steps)
            _step(builder, each, found)
            if each.id and builder.steps:
                found[each.id] = str(builder.steps[-1].get("name", builder.steps[-1]["use"]))
            if each.saved and len(builder.steps) > before:
                builder.save("hdf5", f"{path.stem}_{len(builder.steps)}.nxs")
    return builder.finish(path.stem)


def _step(builder: JobBuilder, method: Method, found: Mapping[str, str]) -> None:
    full = f"{method.module}.{method.name}"
    given = {key: value for key, value in method.given.items() if value != "auto" and key not in _NAMES_OF_DATA}
    name = _row_name(full, given)
    known = row("tomopy" if method.module.startswith("tomopy") else "httomo", name)
    if known is None:
        builder.add(name, {})
        return
    if known.ours == "rescale":
        _limits(builder, given)
    elif known.ours == "resample" and isinstance(given.get("newshape"), list) and len(given["newshape"]) == 2:
        given["height"], given["width"] = given.pop("newshape")
    held = {key: match for key, value in given.items() if (match := _reference(value, known, key, method.first))}
    log = given.pop("minus_log", None) if known.ours == "flat_field" else None
    if "center" in known.parameters and given.pop("neglog", False) is True:
        builder.append({"use": "minus_log"})
    if "center" in known.parameters and builder.joined and "center" not in held and given.get("center") is not None:
        del given["center"]
        builder.remarks.append(
            f"{full}: center is not carried over: where halves are joined, the axis is in the middle. What is given or swept "
            "is stitch_half_acquisition.center."
        )
    builder.add_row(known, {key: value for key, value in given.items() if key not in held})
    if known.ours == "stitch_half_acquisition" and isinstance(given.get("overlap"), int | float):
        _about(builder, given)
    for key, match in held.items():
        ours, step = known.parameters.get(key), found.get(match["id"])
        if ours == "center" and builder.joined:
            builder.steps[-1].pop("center", None)
        elif ours == "center" and (step or builder.center):
            builder.steps[-1]["center"] = {"from": step or builder.center}
        elif ours is not None:
            builder.remarks.append(f"{full}: {key} = {given[key]} is not carried over.")
    if log is True:
        builder.append({"use": "minus_log"})


def _row_name(full: str, given: Mapping[str, Any]) -> str:
    """The name of the row that means a method with these parameters."""
    if full == "tomopy.recon.algorithm.recon":
        return f"recon:{given.get('algorithm')}"
    if full == "httomolib.prep.phase.paganin_filter" and not given.keys().isdisjoint({"alpha", "dist"}):
        return f"{full}:alpha"
    return full


def _reference(value: Any, known: Row, key: str, first: bool) -> re.Match[str] | None:
    """Where a value comes from, if another method found it."""
    if not isinstance(value, str):
        return None
    plain = first and known.parameters.get(key) == "center"
    return _REFERENCE.search(f"${{{{{value}.side_outputs.{value}}}}}" if plain else value)


def _about(builder: JobBuilder, given: Mapping[str, Any]) -> None:
    """The axis is in the middle of what both halves have seen: columns at the left or the right side."""
    overlap, side = float(given["overlap"]), given.get("side", given.get("rotation", "left"))
    if side == "left":
        builder.steps[-1]["center"] = (overlap - 1) / 2
    else:
        builder.remarks.append(
            f"sino_360_to_180: overlap = {overlap:g}, side = {side}: set stitch_half_acquisition.center to the number of "
            f"columns - {(overlap + 1) / 2:g}."
        )


def _limits(builder: JobBuilder, given: dict[str, Any]) -> None:
    """Their limits are parts of the range of all values; ours are percentiles, which is the same at both ends."""
    told = {end: given.pop(f"perc_range_{end}", None) for end in ("min", "max")}
    known = {end: float(value) for end, value in told.items() if isinstance(value, int | float)}
    low, high = known.get("min", 0.0), known.get("max", 100.0)
    builder.remarks += [
        f"rescale_to_int: perc_range_{end} = {value!r} is not carried over."
        for end, value in told.items()
        if value is not None and end not in known
    ]
    if (low, high) != (0, 100):
        builder.remarks.append(
            f"rescale_to_int: {low:g} and {high:g} % are percentiles here, parts of the range there."
        )
    builder.append({"use": "histogram", "low": low, "high": high})
    name = builder.steps[-1].get("name", "histogram")
    given |= {"low": {"from": f"{name}.low"}, "high": {"from": f"{name}.high"}}


def _save(builder: JobBuilder, method: str, given: dict[str, Any], stem: str) -> None:
    """A folder of TIFF files for images, HDF5 for anything else."""
    if method == "save_intermediate_data":
        builder.save("hdf5", f"{stem}_{len(builder.steps)}.nxs")
        return
    kind = given.get("file_format")
    if kind not in _IMAGES:
        builder.remarks.append(f"{method}: file_format = {kind!r} is not carried over; the images are written as TIFF.")
    number = len([sink for sink in builder.sinks if sink["use"] == "tiff"])
    folder = given.get("subfolder_name") or given.get("out_folder_name") or "images"
    before = builder.place
    if given.get("bits") in (8, 16):  # before version 2.5 the images were rescaled on their way
        _limits(builder, given)
        known = row("httomo", "httomolib.misc.rescale.rescale_to_int")
        if known is not None:
            builder.add_row(known, {key: given[key] for key in ("bits", "low", "high")})
    builder.save("tiff", f"{stem}_{folder}{number or ''}")
    builder.go_on_from(before)


def _load(builder: JobBuilder, given: Mapping[str, Any]) -> None:
    data, key = given.get("data_path"), given.get("image_key_path")
    if isinstance(given.get("in_file"), str):
        builder.source["path"] = given["in_file"]
    if key in (None, "None") and str(data).strip("/").startswith("exchange/"):
        builder.source = {"use": "dxfile", "path": builder.source["path"]}
    else:
        named = {"data": data, "image_key": key}
        builder.source |= {ours: str(value) for ours, value in named.items() if value not in (None, "auto")}
    _angles(builder, given.get("rotation_angles"))
    for stream in ("darks", "flats"):
        _elsewhere(builder, stream, given.get(stream))
    builder.remarks += [
        f"standard_tomo: {key} = {given[key]!r} is not carried over; 'only' and 'ignore' choose frames."
        for key in given
        if key not in _LOADED and given[key] is not None and given[key] != _PLAIN.get(key)
    ]
    _preview(builder, given.get("preview"))


def _angles(builder: JobBuilder, given: Any) -> None:
    told = _mapping(given)
    if isinstance(told.get("data_path"), str):
        builder.source["angles"] = told["data_path"]
        return
    user = _mapping(told.get("user_defined"))
    angles = spread(*(user.get(key) for key in ("start_angle", "stop_angle", "angles_total")))
    if angles is not None:
        builder.source["angles"] = angles
    elif given not in (None, "auto"):
        builder.remarks.append(f"standard_tomo: rotation_angles = {given!r} is not carried over.")


_LOADED = ("name", "in_file", "data_path", "image_key_path", "rotation_angles", "darks", "flats", "preview")
_PLAIN = {"dimension": 1, "pad": 0}
"""What the first versions wrote where nothing is meant: the angles come first, and no rows are added."""


def _elsewhere(builder: JobBuilder, stream: str, given: Any) -> None:
    """Darks or flats of another file, or of another dataset of this one."""
    told = _mapping(given)
    file, inner = told.get("file"), told.get("data_path")
    if given is None or (file == "input_data" and builder.source["use"] == "dxfile"):
        return  # a DXfile has its own at their place
    if isinstance(file, str) and isinstance(inner, str) and not told.get("image_key_path"):
        builder.source[stream] = inner if file == "input_data" else f"{file}:{inner}"
    else:
        builder.remarks.append(
            f"standard_tomo: {stream} = {given!r} is not carried over; the source has options for it."
        )


def _preview(builder: JobBuilder, given: Any) -> None:
    if isinstance(given, list) and len(cast("list[Any]", given)) == len(_AXES):
        given = dict(zip(_AXES, cast("list[Any]", given), strict=True))
    for theirs, ours in _AXES.items():
        part = _mapping(given).get(theirs)
        if part == "mid":
            builder.only[ours] = "mid-1:mid+2"
        elif isinstance(part, Mapping):
            ends = [_end(cast("Mapping[str, Any]", part), name) for name in ("start", "stop")]
            if any(ends):
                builder.only[ours] = ":".join(ends)
    if isinstance(given, list):
        builder.remarks.append(
            f"standard_tomo: preview = {given!r} is not carried over; 'only' takes START:STOP by axis."
        )


def _end(part: Mapping[str, Any], name: str) -> str:
    value, offset = part.get(name), part.get(f"{name}_offset")
    base = {"begin": "start", None: ""}.get(value, str(value)) if not isinstance(value, list | dict) else ""
    return f"{base}{int(offset):+d}" if isinstance(offset, int) and offset and base else base
