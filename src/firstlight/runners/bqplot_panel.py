"""Results of a run as pictures of bqplot: drawn by the browser of the notebook, so that Python draws nothing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from firstlight.core.errors import MissingExtra
from firstlight.core.run import Result, Results

from .plotting import shown_values

_CALM = {"num_ticks": 5, "grid_lines": "none"}
_SIDE = 260
"""Longer side of a picture on the screen, in its pixels."""
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
            self.box: Any = import_module("ipywidgets").HBox(layout={"flex_flow": "row wrap"})
            import_module("IPython.display").display(self.box)
        except ModuleNotFoundError as missing:
            raise MissingExtra(missing.name or "bqplot", "notebook", "A live plot of bqplot") from missing
        self._figures: dict[str, Any] = {}

    def draw(self, results: Results) -> None:
        """Show results in place of those before."""
        if set(results) != set(self._figures):
            figures = [self._figure(name, result) for name, result in results.items()]
            self._figures = dict(zip(results, figures, strict=True))
            self.box.children = figures
        for name, figure in self._figures.items():
            mark, unit = figure.marks[0], results[name].unit or ""
            values = _sent(results[name])
            finite = values[np.isfinite(values)]
            low, high = (float(each) for each in np.percentile(finite, (0.1, 99.9))) if finite.size else (0.0, 1.0)
            colours = mark.scales["color"]
            colours.min, colours.max = low, high if high > low else low + 1.0
            figure.title = f"{name}: {low:.3g} … {high:.3g} {unit}".rstrip()
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
        axes = [
            bqplot.Axis(scale=scales["x"], label=result.axes[-1], **_CALM),
            bqplot.Axis(scale=scales["y"], label=result.axes[-2], side="left", **_CALM),
        ]
        # pixels are square: the margins are known, and the box must not squeeze the figure
        wide, high = (_SIDE * max(length / max(rows, columns), 0.2) for length in (columns, rows))
        size = {"width": f"{wide + 75:.0f}px", "height": f"{high + 95:.0f}px", "flex": "0 0 auto"}
        return bqplot.Figure(
            marks=[mark],
            axes=axes,
            title=name,
            title_style={"font-size": "13px"},
            layout=size,
            fig_margin={"top": 45, "bottom": 50, "left": 60, "right": 15},
            padding_x=0,
            padding_y=0,
        )


def _sent(result: Result) -> Any:
    """The values as float32, thinned to what a screen shows."""
    values = shown_values(result)
    steps = tuple(max(1, -(-length // MOST)) for length in values.shape)
    return values[:: steps[0], :: steps[1]].astype(np.float32)
