"""Plots of a run that goes on, drawn on a thread of their own: newest wins, and the data are never slowed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, Literal, Protocol, get_args

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import MissingExtra
from firstlight.core.run import Result, Results

_log = logging.getLogger(__name__)


Backend = Literal["matplotlib", "napari", "bqplot"]


class Canvas(Protocol):
    """What draws."""

    def draw(self, results: Results) -> None:
        """Show results in place of those before."""
        ...

    def close(self) -> None:
        """Nothing more will come."""
        ...


class Followed(Protocol):
    """A run that can be followed."""

    def partial(self, every: float = ...) -> Iterator[Results]:
        """Results each time that something is new."""
        ...


class LivePlot:
    """Draws what a run has so far, at most so often; `wait` for the last picture, or `close` to see no more."""

    def __init__(self, run: Followed, names: Sequence[str], every: float, canvas: Canvas) -> None:
        """Start drawing."""
        self.canvas = canvas
        self.drawn = 0
        """Pictures so far."""
        self.error: Exception | None = None
        """Why it draws no more."""
        self._run, self._names, self._every = run, tuple(names), every
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="plot", daemon=True)
        self._thread.start()

    def wait(self, timeout: float | None = None) -> bool:
        """True once the last picture is drawn."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Draw no more; the run goes on."""
        self._closed.set()

    def _draw(self) -> None:
        try:
            for results in self._run.partial(self._every):
                if self._closed.is_set():
                    break
                chosen = Results((name, results[name]) for name in self._names or _images(results) if name in results)
                for name in self._names:
                    if name not in chosen:
                        chosen |= _by_step(results, name)
                self.canvas.draw(chosen)
                self.drawn += 1
        except Exception as error:  # a plot that fails must not end the run, which tells its own errors itself
            self.error = error
            _log.warning("The live plot ended: %s", error)
        finally:
            self.canvas.close()


def canvas_of(backend: Backend) -> Canvas:
    """What draws.

    Raises:
        MissingExtra: Its library is not installed.
        ValueError: There is none of that name.
    """
    if backend == "matplotlib":
        return Figure()
    if backend == "napari":
        from .napari_layers import Layers

        return Layers()
    if backend == "bqplot":
        from .bqplot_panel import Panel

        return Panel()
    raise ValueError(f"backend = {backend!r}: expected one of {', '.join(get_args(Backend))}")


def _images(results: Results) -> list[str]:
    return [name for name, result in results.items() if result.data.ndim == 2 and result.data.dtype.kind in "biufc"]


def _by_step(results: Results, step: str) -> Results:
    return Results((name, result) for name, result in results.items() if name.partition(".")[0] == step)


class Figure:
    """One matplotlib figure with an image for each result; what has not come yet stays empty.

    Raises:
        MissingExtra: matplotlib is not installed.
    """

    def __init__(self) -> None:
        """Nothing is drawn yet."""
        try:
            self._pyplot: Any = import_module("matplotlib.pyplot")
        except ModuleNotFoundError as missing:
            raise MissingExtra(missing.name or "matplotlib", "notebook", "A live plot") from missing
        self.figure: Any = None
        self._images: dict[str, Any] = {}

    def draw(self, results: Results) -> None:
        """Show results in place of those before."""
        if set(results) != set(self._images):
            self._lay_out(results)
        for name, image in self._images.items():
            values = shown_values(results[name])
            image.set_data(values)
            finite = values[np.isfinite(values)]
            if finite.size:
                image.set_clim(*np.percentile(finite, (0.1, 99.9)))
        if self.figure is not None:
            self.figure.canvas.draw_idle()

    def _lay_out(self, results: Results) -> None:
        if self.figure is None:
            self.figure = self._pyplot.figure(layout="constrained", figsize=(4.0 * len(results), 4.0))
        self.figure.clear()
        self._images = {}
        for place, (name, result) in enumerate(results.items(), 1):
            axes = self.figure.add_subplot(1, len(results), place)
            unit = f" ({result.unit})" if result.unit else ""
            axes.set(title=f"{name}{unit}", xlabel=result.axes[-1], ylabel=result.axes[-2])
            self._images[name] = axes.imshow(shown_values(result), cmap="gray", interpolation="nearest")

    def close(self) -> None:
        """Draw what is due; the figure stays."""
        if self.figure is not None:
            self.figure.canvas.draw_idle()


def shown_values(result: Result) -> Array:
    """The values of an image as floats; NaN where none has come; the absolute value of complex ones."""
    values = np.abs(result.data) if result.data.dtype.kind == "c" else result.data
    shown = np.array(values, np.float64)
    if result.covered is not None:
        shown[~result.covered] = np.nan
    return shown
