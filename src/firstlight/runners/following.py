"""Following a run from Python: results on the way, with what has come so far, and live plots."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

from firstlight.core.arrays import Array
from firstlight.core.run import Result, Results

from .calibrated import calibrated
from .context import Context
from .describe import view_name
from .plotting import Backend, LivePlot, canvas_of
from .wiring import Wiring

_LOOK = 0.02
"""Seconds between two looks at what is new."""


class PartialResults(Results):
    """Results on the way, like those at the end."""

    covered: Array | None = None
    """Which scan points the results that are made point by point hold, in the shape of the scan; None: all, or no such results."""
    last: bool = False
    """True for the results at the end."""


class Following:
    """What a run on threads of this process offers to whoever looks on; nobody who looks on slows it."""

    _context: Context
    _wiring: Wiring
    _over: threading.Event

    def partial(self, every: float = 0.1) -> Iterator[PartialResults]:
        """Results each time that something is new, then those at the end.

        A loop that is left does not end the run: `stop` does. Results of one round may differ by the frames under way.

        Args:
            every: Shortest time between two of them, in second.

        Raises:
            StepFailed: A step, source or sink raised.
        """
        self.follow(every)
        versions: dict[str, int] = {}
        while not self._over.wait(_LOOK):
            found = self._new(versions)
            if found is not None:
                yield found
                if self._over.wait(every):
                    break
        self.finished()
        yield self._now(last=True)

    def __iter__(self) -> Iterator[PartialResults]:
        """`partial` at its usual pace."""
        return self.partial()

    async def __aiter__(self) -> AsyncIterator[PartialResults]:
        """The same for asynchronous code, whose loop goes on meanwhile."""
        results = self.partial()
        while (found := await asyncio.to_thread(next, results, None)) is not None:
            yield found

    def follow(self, every: float = 0.1) -> None:
        """Have folds show what they have so far at most so often, in second."""
        for station in self._wiring.folds.values():
            station.follow(every)

    def plot(self, *names: str, every: float = 0.5, backend: Backend = "matplotlib", canvas: Any = None) -> LivePlot:
        """Plot results while they build up; what the plot is too slow for is skipped.

        Args:
            names: Results, such as ``center_of_mass.row_shift``. Default: all images.
            every: Shortest time between two pictures, in second.
            backend: What draws: matplotlib, or napari in a window of its own.
            canvas: What draws instead: something with `draw(results)` and `close()`, such as `Layers` over a viewer of yours.

        Raises:
            MissingExtra: The library that draws is not installed.
            ValueError: There is no such backend.
        """
        return LivePlot(self, names, every, canvas_of(backend) if canvas is None else canvas)

    def finished(self, timeout: float | None = None) -> Results:
        """Wait for the end."""
        raise NotImplementedError

    def _new(self, versions: dict[str, int]) -> PartialResults | None:
        """What there is, if something of it is new since `versions`, which are brought up to date."""
        now = {name: each.version for name, each in self._wiring.collected.items()}
        for name, port in self._folded().items():
            shown = self._context.board.get(port)
            now[name] = 0 if shown is None else shown.version + 1
        fresh = any(version > versions.get(name, 0) for name, version in now.items())
        versions |= now
        return self._now(last=False) if fresh else None

    def _folded(self) -> dict[str, str]:
        """The outputs of folds: name of the result, and of the view."""
        plan = self._context.plan
        return {
            f"{name}.{output}": view_name((name, output), plan)
            for name in self._wiring.folds
            for output in plan[name].outputs
        }

    def _now(self, *, last: bool) -> PartialResults:
        found = PartialResults()
        for name, each in self._wiring.collected.items():
            found[name] = each.result()
            if found.covered is None:
                found.covered = found[name].covered
        for name, port in self._folded().items():
            shown = self._context.board.get(port)
            if shown is not None:
                found[name] = Result(
                    shown.data, shown.stream.axes, shown.stream.unit, shown.covered, shown.stream.marks
                )
        if last:
            found.update(self._context.results)
        found.last = last
        return calibrated(found, self._context.plan)
