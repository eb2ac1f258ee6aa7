"""Results as arrays of xarray, whose axes bear names, coordinates and units."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import MissingExtra

if TYPE_CHECKING:
    from .run import Result


def data_array(result: Result, name: str | None = None) -> Any:
    """One result as an `xarray.DataArray`.

    Coordinates and units are those of the scan's calibration; where not all has come, a coordinate ``covered`` along the
    first axes says what has.

    Raises:
        MissingExtra: xarray is not installed.
    """
    xarray = _xarray()
    coords: dict[str, Any] = {
        axis: (axis, known.values, {} if known.unit is None else {"units": known.unit})
        for axis, known in result.coordinates.items()
    }
    if result.covered is not None:
        coords["covered"] = (result.axes[: result.covered.ndim], result.covered)
    attributes = {} if result.unit is None else {"units": result.unit}
    return xarray.DataArray(result.data, coords, result.axes, name, attributes)


def data_tree(results: Mapping[str, Result]) -> Any:
    """Several results as an `xarray.DataTree`: a group for each step, in it an array for each output.

    An output whose axes differ from those of the same name in the group of its step has one of its own: ``step.output``.

    Raises:
        MissingExtra: xarray is not installed.
    """
    xarray = _xarray()
    groups: dict[str, Any] = {}
    for name, result in results.items():
        step, _, output = name.partition(".")
        array = data_array(result, output or "data")
        known = groups.get(step, xarray.Dataset())
        if _fits(known, array):
            groups[step] = known.assign({array.name: array})
        else:
            groups[name] = array.to_dataset()
    return xarray.DataTree.from_dict({f"/{name}": group for name, group in groups.items()})


def _fits(known: Any, array: Any) -> bool:
    """True if axes and coordinates of the same name are the same."""
    sizes = all(known.sizes.get(axis, size) == size for axis, size in array.sizes.items())
    return sizes and all(array.coords[name].equals(known.coords[name]) for name in array.coords if name in known.coords)


def _xarray() -> Any:
    try:
        return import_module("xarray")
    except ModuleNotFoundError as missing:
        raise MissingExtra(missing.name or "xarray", "notebook", "A result with labelled axes") from missing
