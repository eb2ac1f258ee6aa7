"""Results of a run as image layers of napari."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from firstlight.core.errors import MissingExtra
from firstlight.core.run import Result, Results

from .plotting import shown_values


class Layers:
    """One image layer for each result, in a viewer that stays open; what has not come yet is transparent (NaN).

    A viewer with a window is changed on the thread of its window alone, where the newest results wait for each other: what it is
    too slow for is left out. Axes are calibrated where the scan is.

    Args:
        viewer: A `napari.Viewer` or `napari.components.ViewerModel`; default: a new viewer.

    Raises:
        MissingExtra: napari, or a library for its window, is not installed.
    """

    def __init__(self, viewer: Any = None) -> None:
        """Nothing is drawn yet."""
        try:
            self.viewer: Any = import_module("napari").Viewer(title="firstlight") if viewer is None else viewer
            # without a window there is no thread that it belongs to
            windowed = getattr(self.viewer, "window", None) is not None
            self._post: Callable[[], Any] = self._on_window() if windowed else self._show
        except ImportError as missing:
            raise MissingExtra(missing.name or "napari", "napari", "A live plot in napari") from missing
        self._newest: Results | None = None
        self._lock = threading.Lock()

    def draw(self, results: Results) -> None:
        """Show results in place of those before."""
        with self._lock:
            waiting, self._newest = self._newest is not None, results
        if not waiting:
            self._post()

    def close(self) -> None:
        """The viewer stays open."""

    def _on_window(self) -> Callable[[], Any]:
        """`_show`, on the thread of the window, without waiting for it."""
        post: Callable[[], Any] = import_module("superqt.utils").ensure_main_thread(self._show)
        return post

    def _show(self) -> None:
        with self._lock:
            results, self._newest = self._newest, None
        for name, result in (results or {}).items():
            values = shown_values(result).astype(np.float32)
            layer = self.viewer.layers[name] if name in self.viewer.layers else None
            if layer is None or layer.data.shape != values.shape:
                if layer is not None:
                    self.viewer.layers.remove(layer)
                layer = self.viewer.add_image(values, name=name, **_calibration(result))
            else:
                layer.data = values
            finite = values[np.isfinite(values)]
            if finite.size:
                low, high = (float(each) for each in np.percentile(finite, (0.1, 99.9)))
                layer.contrast_limits = (low, high if high > low else low + 1.0)


def _calibration(result: Result) -> dict[str, Any]:
    """Size of a pixel along each axis, where it begins, in which unit; napari knows pixels where the scan knows nothing."""
    found: dict[str, list[Any]] = {"scale": [], "translate": [], "units": []}
    for axis in result.axes:
        known = result.coordinates.get(axis)
        measured = known is not None and known.unit is not None and len(known.values) > 1
        even = known is not None and measured and np.allclose(np.diff(known.values, 2), 0, atol=1e-9)
        step = float(known.values[1] - known.values[0]) if known is not None and even else 1.0
        found["scale"].append(step if even and step > 0 else 1.0)
        found["translate"].append(float(known.values[0]) if known is not None and even and step > 0 else 0.0)
        found["units"].append(known.unit if known is not None and even and step > 0 else "pixel")
    return {**found, "axis_labels": result.axes}
