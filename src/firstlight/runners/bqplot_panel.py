"""Results of a run as pictures of bqplot: drawn by the browser of the notebook, so that Python draws nothing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from firstlight.core.errors import MissingExtra
from firstlight.core.run import Result, Results

from .plotting import shown_values

MOST = 1024
"""Rows and columns that are sent, at most; of more, every so many."""


class Panel:
    """One picture for each result, beside each other below the cell; what has not come yet is as dark as the smallest value.

    Only what has changed is sent: values as float32, and the ends of the colours.

    Raises:
        MissingExtra: bqplot or ipywidgets is not installed.
    """

    def __init__(self) -> None:
        """Show an empty box, on the thread of the cell."""
        try:
            self._bqplot: Any = import_module("bqplot")
            self.box: Any = import_module("ipywidgets").HBox()
            import_module("IPython.display").display(self.box)
        except ModuleNotFoundError as missing:
            raise MissingExtra(missing.name or "bqplot", "notebook", "A live plot of bqplot") from missing
        self._marks: dict[str, Any] = {}

    def draw(self, results: Results) -> None:
        """Show results in place of those before."""
        if set(results) != set(self._marks):
            figures = [self._figure(name, result) for name, result in results.items()]
            self._marks = {name: figure.marks[0] for name, figure in zip(results, figures, strict=True)}
            self.box.children = figures
        for name, mark in self._marks.items():
            values = _sent(results[name])
            finite = values[np.isfinite(values)]
            low, high = (float(each) for each in np.percentile(finite, (0.1, 99.9))) if finite.size else (0.0, 1.0)
            colours = mark.scales["color"]
            colours.min, colours.max = low, high if high > low else low + 1.0
            mark.color = np.where(np.isfinite(values), values, np.float32(low))

    def close(self) -> None:
        """The pictures stay."""

    def _figure(self, name: str, result: Result) -> Any:
        bqplot, (rows, columns) = self._bqplot, result.data.shape
        scales = {
            "x": bqplot.LinearScale(min=-0.5, max=columns - 0.5),
            "y": bqplot.LinearScale(min=-0.5, max=rows - 0.5, reverse=True),
            "color": bqplot.ColorScale(colors=["black", "white"]),
        }
        values = _sent(result)
        down, across = (
            np.linspace(0.0, length - 1, n) for length, n in zip((rows, columns), values.shape, strict=True)
        )
        mark = bqplot.HeatMap(x=across, y=down, color=np.zeros_like(values), scales=scales)
        unit = f" ({result.unit})" if result.unit else ""
        axes = [
            bqplot.Axis(scale=scales["x"], label=result.axes[-1]),
            bqplot.Axis(scale=scales["y"], label=result.axes[-2], side="left"),
            bqplot.ColorAxis(scale=scales["color"], side="right"),
        ]
        ratio = float(np.clip(columns / rows, 0.2, 5.0))
        return bqplot.Figure(
            marks=[mark],
            axes=axes,
            title=f"{name}{unit}",
            padding_x=0,
            padding_y=0,
            min_aspect_ratio=ratio,
            max_aspect_ratio=ratio,
        )


def _sent(result: Result) -> Any:
    """The values as float32, thinned to what a screen shows."""
    values = shown_values(result)
    steps = tuple(max(1, -(-length // MOST)) for length in values.shape)
    return values[:: steps[0], :: steps[1]].astype(np.float32)
