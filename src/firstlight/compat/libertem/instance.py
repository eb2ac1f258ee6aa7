"""One UDF at work on a part of the frames."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError

from .buffers import BufferWrapper, Declared, Views, read_declared
from .udf import Meta, Plumbing, merge_scan_points

_LABEL = re.compile(r"[a-z][a-z0-9_]*")


def at_work(udf: Any, meta: Meta, parameters: Mapping[str, Any]) -> Any:
    """A UDF like the one that was given, with plumbing of ours.

    Args:
        udf: Derived from our `UDF`, or from LiberTEM's.
        meta: What is known about the data.
        parameters: Those that were changed since.

    Raises:
        FirstlightError: It has nothing that processes frames, or a buffer without a usable name.
    """
    kind = type(udf)
    made: Any = object.__new__(kind if isinstance(udf, Plumbing) else type(kind.__name__, (Plumbing, kind), {}))
    given = {**cast("dict[str, Any]", getattr(udf, "_kwargs", {})), **parameters}
    made.__dict__.update(vars(udf))
    made._kwargs, made.params, made.meta = given, SimpleNamespace(**given), meta
    made.results = made.task_data = None
    meta.input_dtype = input_dtype(made, meta.dataset_dtype)
    made.declared = read_declared(made.get_result_buffers())
    for name, one in made.declared.items():
        if not _LABEL.fullmatch(name) or one.dtype.kind not in "biufc":
            raise FirstlightError(
                f"A buffer of {kind.__name__} can not be a result.",
                field=name,
                value=one.dtype.name,
                expected="lower-case names, and numbers",
            )
    return made


def own(udf: Any, name: str) -> Any:
    """A method that the author of a UDF wrote; None for what LiberTEM's own classes have in its place."""
    for kind in type(udf).__mro__:
        if name in vars(kind) and kind is not object:
            return None if kind.__module__ == "libertem.udf.base" else getattr(udf, name)
    return None


def input_dtype(udf: Any, given: np.dtype[Any]) -> np.dtype[Any]:
    """Type in which a UDF wants its frames."""
    wanted: Any = own(udf, "get_preferred_input_dtype")
    return np.result_type(given, np.float32 if wanted is None else wanted())


def process(udf: Any, frames: Array, task_data: Mapping[str, Any]) -> dict[str, Array]:
    """The buffers that a UDF makes of some frames alone, (frame, row, col).

    Raises:
        FirstlightError: It has nothing that processes frames.
    """
    sig = tuple(udf.meta.dataset_shape.sig)
    arrays = {n: d.allocate(len(frames), sig) for n, d in udf.declared.items() if d.use != "result_only"}
    udf.task_data, udf.results = SimpleNamespace(**task_data), Views(arrays)
    if own(udf, "preprocess") is not None:
        udf.preprocess()
    for name in ("process_tile", "process_frame", "process_partition"):
        if own(udf, name) is not None:
            break
    else:
        raise FirstlightError(
            f"{type(udf).__name__} has nothing that processes frames.",
            field="udf",
            expected="process_frame, process_tile or process_partition",
        )
    if name == "process_frame":
        _by_frame(udf, frames, arrays)
    else:
        getattr(udf, name)(frames)
    udf.results = Views(arrays)
    if own(udf, "postprocess") is not None:
        udf.postprocess()
    return arrays


def _by_frame(udf: Any, frames: Array, arrays: dict[str, Array]) -> None:
    ids = udf.meta.ids
    points = [name for name in arrays if udf.declared[name].kind == "nav"]
    for at, frame in enumerate(frames):
        udf.meta.ids = ids[at : at + 1]
        one = {n: arrays[n][at] if udf.declared[n].extra_shape else arrays[n][at : at + 1] for n in points}
        udf.results = Views({**arrays, **one})
        udf.process_frame(frame)
    udf.meta.ids = ids


def merge(udf: Any, arrays: dict[str, Array], part: dict[str, Array], ids: Array) -> None:
    """Merge the buffers of some frames (at flat positions `ids`) into those of the whole scan."""
    points = [name for name in part if udf.declared[name].kind == "nav"]
    copies = {name: arrays[name][ids] for name in points}
    dest, src = Views({**arrays, **copies}), Views(part)
    if own(udf, "merge") is None:
        merge_scan_points(udf, dest, src)
    else:
        udf.merge(dest, src)
    for name in points:
        arrays[name][ids] = dest[name]


def results(udf: Any, arrays: dict[str, Array]) -> dict[str, tuple[Declared, Array, Array | bool]]:
    """By name: what was declared, the final values (scan axes flattened), and which of them are valid.

    Raises:
        FirstlightError: `get_results` gave something else than was declared.
    """
    meta: Meta = udf.meta
    frames, sig = meta.dataset_shape.nav.size, tuple(meta.dataset_shape.sig)
    roi = None if meta.roi is None else meta.roi.reshape(-1)
    seen = {n: a if roi is None or udf.declared[n].kind != "nav" else a[roi] for n, a in arrays.items()}
    covered = np.ones(frames, bool) if meta.covered is None else meta.covered

    def whole(name: str) -> BufferWrapper:
        declared: Declared = udf.declared[name]
        nav = tuple(meta.dataset_shape.nav)
        return BufferWrapper(declared, arrays[name], nav, roi, covered if declared.kind == "nav" else True)

    udf.results = Views({name: values.copy() for name, values in seen.items()}, whole)
    made: Any = {n: a for n, a in seen.items() if udf.declared[n].use is None}
    if own(udf, "get_results") is not None:
        made |= dict(udf.get_results())
    found: dict[str, tuple[Declared, Array, Array | bool]] = {}
    for name, given in made.items():
        declared = udf.declared.get(name)
        if declared is None or declared.use == "private":
            raise FirstlightError("A result was not declared as one.", field=name, expected=", ".join(udf.declared))
        masked = hasattr(given, "arr") and hasattr(given, "mask")
        values = np.asarray(given.arr if masked else given).astype(declared.dtype)
        mask: Array | bool = given.mask if masked else True
        if declared.kind == "nav":
            values = _spread(values, declared.shape(frames, sig), roi)
            mask = covered
        found[name] = declared, values.reshape(declared.shape(frames, sig)), mask
    return found


def _spread(values: Array, shape: tuple[int, ...], roi: Array | None) -> Array:
    """Values of the scan points of a region at their places; NaN, or 0 for integers, elsewhere."""
    if roi is None or values.size == np.prod(shape):
        return values
    out = np.full(shape, np.nan if values.dtype.kind in "fc" else 0, values.dtype)
    out[roi] = values.reshape(-1, *shape[1:])
    return out
