"""HTTomo's pipelines: YAML lists of methods with modules and parameters, in the present form and the first one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from firstlight.core.errors import SourceError

from ..imported import Imported, JobBuilder, Sweep, read_text, spread, stepped
from ..tables import row

_REFERENCE = re.compile(r"\$\{\{\s*(?P<id>\w+)\.side_outputs\.(?P<name>\w+)\s*\}\}")
_AXES = {"angles": "angle", "detector_y": "row", "detector_x": "col"}
_SAVES = ("save_to_images", "save_intermediate_data")
_IMAGES = ("tif", "tiff", None)
_SILENT = ("calculate_stats", "data_checker", "data_reducer")


class _Loader(yaml.SafeLoader):
    """Plain YAML, and HTTomo's two tags for sweeps."""


def _values(loader: yaml.SafeLoader, node: Any) -> Sweep:
    found = loader.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else []
    return Sweep(tuple(found))


def _range(loader: yaml.SafeLoader, node: Any) -> Sweep:
    found: Mapping[Any, Any] = loader.construct_mapping(node, deep=True) if isinstance(node, yaml.MappingNode) else {}
    ends = [found.get(key) for key in ("start", "stop", "step")]
    if not all(isinstance(end, int | float) and abs(end) < 1e12 for end in ends):
        return Sweep(tuple(ends[:1]))
    return Sweep(tuple(stepped(*cast("list[float]", ends))))


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


def methods(path: Path) -> Iterator[tuple[str, str, dict[str, Any], str]]:
    """Module, method, parameters and id of each entry.

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


def _method(entry: Mapping[str, Any], path: Path) -> tuple[str, str, dict[str, Any], str]:
    if "method" in entry:
        module, method, given = entry.get("module_path", ""), entry["method"], entry.get("parameters")
        return str(module), str(method), _mapping(given), str(entry.get("id", ""))
    if len(entry) == 1:  # the first form: {module: {method: parameters}}
        module, inner = next(iter(entry.items()))
        methods_ = _mapping(inner)
        if len(methods_) == 1:
            method, given = next(iter(methods_.items()))
            return str(module), method, _mapping(given), ""
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
    for module, method, given, name in methods(path):
        if method == "standard_tomo":
            _load(builder, given)
        elif method in _SAVES:
            _save(builder, method, given, path.stem)
        elif method not in _SILENT:
            if method == "rescale_to_int":
                _limits(builder, given)
            elif method == "data_resampler" and isinstance(given.get("newshape"), list) and len(given["newshape"]) == 2:
                given["height"], given["width"] = given.pop("newshape")
            _step(builder, module, method, given, found)
            if name and builder.steps:
                found[name] = str(builder.steps[-1].get("name", builder.steps[-1]["use"]))
    return builder.finish(path.stem)


def _step(builder: JobBuilder, module: str, method: str, given: dict[str, Any], found: Mapping[str, str]) -> None:
    full = f"{module}.{method}"
    program = "tomopy" if module.startswith("tomopy") else "httomo"
    name = f"recon:{given.get('algorithm')}" if full == "tomopy.recon.algorithm.recon" else full
    known = row(program, name)
    if known is None:
        builder.add(full, {})
        return
    held = {
        key: match for key, value in given.items() if isinstance(value, str) and (match := _REFERENCE.search(value))
    }
    log = given.pop("minus_log", None) if known.ours == "flat_field" else None
    if "center" in known.parameters and given.pop("neglog", False) is True:
        builder.append({"use": "minus_log"})
    builder.add_row(known, {key: value for key, value in given.items() if key not in held})
    for key, match in held.items():
        ours, step = known.parameters.get(key), found.get(match["id"])
        if ours == "center" and builder.joined:
            builder.steps[-1].pop("center", None)
        elif ours == "center" and (step or builder.center):
            builder.steps[-1]["center"] = {"from": step or builder.center}
        elif ours is not None:
            builder.remarks.append(f"{full}: {key} = {match[0]} is not carried over.")
    if log is True:
        builder.append({"use": "minus_log"})


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


def _save(builder: JobBuilder, method: str, given: Mapping[str, Any], stem: str) -> None:
    """A folder of TIFF files for images, HDF5 for anything else."""
    if method == "save_intermediate_data":
        builder.save("hdf5", f"{stem}_{len(builder.steps)}.nxs")
        return
    kind = given.get("file_format")
    if kind not in _IMAGES:
        builder.remarks.append(f"{method}: file_format = {kind!r} is not carried over; the images are written as TIFF.")
    number = len([sink for sink in builder.sinks if sink["use"] == "tiff"])
    builder.save("tiff", f"{stem}_{given.get('subfolder_name') or 'images'}{number or ''}")


def _load(builder: JobBuilder, given: Mapping[str, Any]) -> None:
    data, key = given.get("data_path"), given.get("image_key_path")
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
        if key not in _LOADED and given[key] is not None
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


_LOADED = ("name", "data_path", "image_key_path", "rotation_angles", "darks", "flats", "preview")


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
