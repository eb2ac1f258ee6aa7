"""LiberTEM-live's entry points over our own engine: ``from firstlight.compat.libertem.api import LiveContext, Hooks``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

import numpy as np

from firstlight.core import registry
from firstlight.core.chunk import MAIN
from firstlight.core.pipeline import SOURCE, Node, Reference
from firstlight.core.run import Results
from firstlight.core.source import Source
from firstlight.jobs.start import run as start_run

from .acquisition import Acquisition, Connection, Controller, Hooks, PendingAcquisition
from .buffers import BufferWrapper, Declared
from .corrections import CorrectionSet
from .fold import COVERED, UdfFold, forget, from_libertem
from .memory import MemoryAcquisition, MemoryConnection, in_memory

__all__ = ["CorrectionSet", "Hooks", "LiveContext", "UDFResults"]

KINDS = ("dectris", "merlin", "asi_tpx3", "memory")
Buffers = dict[str, BufferWrapper]


@dataclass(frozen=True, slots=True)
class UDFResults:
    """Results on the way."""

    buffers: tuple[Buffers, ...]
    """One dictionary per UDF."""
    damage: BufferWrapper
    """Which scan points are in them."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """Recorded data, as `LiveContext.load` gives them."""

    recorded: Source

    def source(self) -> Source:
        """Where the frames come from."""
        return self.recorded.model_copy()


class LiveContext:
    """Connects to detectors and runs UDFs, live and on recorded data.

    Args:
        executor: Passed over: our engine runs on threads of this process.
        plot_class: What draws instead of matplotlib: called without arguments, gives something with draw(results) and close().
    """

    def __init__(self, executor: Any = None, plot_class: Any = None) -> None:
        """Nothing is started yet."""
        self._plot_class = plot_class
        self.plots: list[Any] = []
        """Plots of the latest run."""

    @classmethod
    def make_with(cls, *executor: Any, plot_class: Any = None, **passed_over: Any) -> LiveContext:
        """A context; how many workers of what kind is for our engine to decide."""
        return cls(plot_class=plot_class)

    # ---- detectors ----------------------------------------------------------------------------------------------------

    def make_connection(self, detector_type: str) -> Builder:
        """Something whose `open` connects to a detector.

        Raises:
            NotImplementedError: There is no such detector.
        """
        if detector_type not in KINDS:
            raise NotImplementedError(f"There is no detector '{detector_type}'; there are {', '.join(KINDS)}.")
        return Builder(detector_type)

    def make_acquisition(
        self,
        *,
        conn: Connection | MemoryConnection,
        nav_shape: tuple[int, ...] | None = None,
        frames_per_partition: int | None = None,
        controller: Controller | None = None,
        pending_aq: PendingAcquisition | None = None,
        hooks: Hooks | None = None,
    ) -> Acquisition | MemoryAcquisition:
        """One scan, for `run_udf`.

        Args:
            conn: From `make_connection`.
            nav_shape: Sizes of the scan; -1 for those that follow from the number of frames.
            frames_per_partition: Passed over: results are shown by time, not by frames.
            controller: What the detector shall be set to, if we start the acquisition.
            pending_aq: From `wait_for_acquisition`, if somebody else does.
            hooks: What is told.

        Raises:
            FirstlightError: The shape does not fit, or is not complete.
            ValueError: Both a controller and a pending acquisition are given.
        """
        if isinstance(conn, MemoryConnection):
            return MemoryAcquisition(conn, nav_shape, hooks or Hooks())
        return Acquisition(conn, nav_shape, controller, pending_aq, hooks or Hooks())

    def load(self, filetype: str, path: Any = None, *, data: Any = None, **parameters: Any) -> DataSet:
        """Recorded data.

        Args:
            filetype: memory (with `data`, of scan and detector axes), mib, npy, or the name of a source of ours.
            path: The file.
            data: The array.
            parameters: Of the source; `nav_shape` where the file does not tell it.
        """
        if filetype == "memory":
            return DataSet(in_memory(np.asarray(data)))
        if "nav_shape" in parameters:
            parameters["scan_y"], parameters["scan_x"] = parameters.pop("nav_shape")
        return DataSet(registry.get("sources", filetype)(path=path, **parameters))

    # ---- running ------------------------------------------------------------------------------------------------------

    def run_udf(
        self,
        dataset: Any,
        udf: Any,
        roi: Any = None,
        corrections: CorrectionSet | None = None,
        progress: bool = False,
        backends: Any = None,
        plots: Any = None,
        sync: bool = True,
    ) -> Any:
        """Run one or several UDFs in one pass over a scan.

        Args:
            dataset: An acquisition, or recorded data.
            udf: One, or several.
            roi: Region of the scan, bool in its shape.
            corrections: Applied to each frame, live as well.
            progress: Passed over; so are `backends`.
            backends: See `progress`.
            plots: True: show all images while they build up. A list of names of buffers: those alone.
            sync: False: something to await.

        Returns:
            Buffers by name; a tuple of that for several UDFs. Where frames were lost, their masks say so.
        """
        if not sync:
            return asyncio.to_thread(self.run_udf, dataset, udf, roi, corrections, progress, backends, plots)
        going = self._start(dataset, udf, roi, corrections, plots)
        try:
            buffers = going.buffers(going.run.finished())
        except BaseException:
            going.run.stop()
            raise
        finally:
            for plot in self.plots:
                plot.wait(10)
            going.forget()
        return buffers if isinstance(udf, Sequence) else buffers[0]

    def run_udf_iter(
        self,
        dataset: Any,
        udf: Any,
        roi: Any = None,
        corrections: CorrectionSet | None = None,
        plots: Any = None,
        sync: bool = True,
        **passed_over: Any,
    ) -> Any:
        """Results again and again while a scan goes on; closing the iterator ends the run.

        Args:
            dataset: As for `run_udf`, likewise the others.
            udf: One, or several.
            roi: Region of the scan.
            corrections: Applied to each frame.
            plots: What to show.
            sync: False: for ``async for``.
            passed_over: progress, backends.
        """
        results = Iterated(self._start(dataset, udf, roi, corrections, plots))
        return results if sync else _asynchronous(results)

    def map(self, dataset: Any, f: Any, roi: Any = None) -> BufferWrapper:
        """Any function of one frame, for all of them."""
        from .shipped import AutoUDF

        found: BufferWrapper = self.run_udf(dataset, AutoUDF(f=f), roi=roi)["result"]
        return found

    def close(self) -> None:
        """Nothing stays open; connections are closed on their own."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, dataset: Any, udf: Any, roi: Any, corrections: CorrectionSet | None, plots: Any) -> Going:
        udfs = list(cast("Sequence[Any]", udf)) if isinstance(udf, Sequence) else [udf]
        steps = [from_libertem(one, roi=roi, corrections=corrections) for one in udfs]
        run: Any = start_run(
            dataset.source(),
            [Node(step, f"udf{at}", {"frames": Reference(SOURCE, MAIN)}) for at, step in enumerate(steps)],
        )
        going = Going(run, steps)
        self.plots = []
        if plots:
            chosen = () if plots is True else [n for n in going.names() if n.partition(".")[2] in _flat(plots)]
            self.plots = [run.plot(*chosen, canvas=None if self._plot_class is None else self._plot_class())]
        return going


class Builder:
    """Opens connections to one kind of detector."""

    def __init__(self, kind: str) -> None:
        """Keep the kind."""
        self._kind = kind

    def open(
        self,
        *,
        data: Any = None,
        api_host: str = "127.0.0.1",
        api_port: int | None = None,
        data_host: str = "127.0.0.1",
        data_port: int | None = None,
        drain: bool = False,
        **passed_over: Any,
    ) -> Connection | MemoryConnection:
        """Connect.

        Args:
            data: The array that a detector of kind ``memory`` plays, of scan and detector axes.
            api_host: Where the detector is controlled.
            api_port: Its port; by default 80 (DECTRIS), 6341 (Merlin).
            data_host: Where frames come from; a Merlin is controlled there, too.
            data_port: Its port; by default 9999, 6342, 8283 (Timepix3).
            drain: Throw away what comes right after connecting (Merlin).
            passed_over: Sizes of buffers, which our engine finds itself.
        """
        if self._kind == "memory":
            return MemoryConnection(np.asarray(data))
        if self._kind == "asi_tpx3":
            return Connection("tpx3", {"host": data_host, "port": data_port or 8283})
        if self._kind == "dectris":
            where: dict[str, Any] = {
                "api": f"http://{api_host}:{api_port or 80}",
                "data": f"tcp://{data_host}:{data_port or 9999}",
            }
        else:
            where = {"host": data_host, "port": data_port or 6342, "control_port": api_port or 6341, "drain": drain}
        return Connection(self._kind, where)


class Going:
    """A run of UDFs, and how its results are named."""

    def __init__(self, run: Any, steps: list[UdfFold]) -> None:
        """Keep both."""
        self.run = run
        planned = {each.name: each.step for each in run.plan.steps}
        self.steps: list[UdfFold] = [planned[f"udf{at}"] for at in range(len(steps))]

    def names(self) -> list[str]:
        """Names of all results."""
        return [f"udf{at}.{name}" for at, step in enumerate(self.steps) for name in step.signature.outputs]

    def buffers(self, results: Results) -> tuple[Buffers, ...]:
        """Results as LiberTEM gives them."""
        found: list[Buffers] = []
        for at, step in enumerate(self.steps):
            found.append(step.wrapped({n: results[f"udf{at}.{n}"].data for n in step.signature.outputs}))
        return tuple(found)

    def forget(self) -> None:
        """Let the UDFs go."""
        for step in self.steps:
            forget(step)


class Iterated:
    """Results on the way; `close` ends the run, whose results stay what they are then."""

    def __init__(self, going: Going) -> None:
        """Begin to follow."""
        self._going = going
        self._results: Iterator[Results] = going.run.partial(0.05)

    def __iter__(self) -> Iterator[UDFResults]:
        """Itself."""
        return self

    def __next__(self) -> UDFResults:
        """The next results, the final ones at last."""
        names = self._going.names()
        for results in self._results:
            if all(name in results for name in names):
                return self._made(results)
        self._going.forget()
        raise StopIteration

    def _made(self, results: Results) -> UDFResults:
        covered = results[f"udf0.{COVERED}"].data
        damage = BufferWrapper(Declared("nav"), covered.reshape(-1), covered.shape, None, valid=True)
        return UDFResults(self._going.buffers(results), damage)

    def update_parameters_experimental(self, parameters: Sequence[dict[str, Any]]) -> None:
        """Change parameters of the UDFs for the frames to come: one dictionary per UDF."""
        for at, (step, changes) in enumerate(zip(self._going.steps, parameters, strict=True)):
            if changes:
                step.parameters.update(changes)
                self._going.run.set({f"udf{at}": {"parameters": dict(step.parameters)}})

    def close(self) -> None:
        """End the run; what has come is merged."""
        self._going.run.stop()
        for _ in self._results:
            pass
        self._going.forget()

    def throw(self, error: BaseException) -> None:
        """End the run, and raise an error."""
        self.close()
        raise error


async def _asynchronous(results: Iterated) -> AsyncIterator[UDFResults]:
    while (found := await asyncio.to_thread(next, results, None)) is not None:
        yield found


def _flat(plots: Any) -> set[str]:
    """Names of buffers in LiberTEM's ways to say what is plotted: names, or (name, function), per UDF or for all."""
    if isinstance(plots, str):
        return {plots}
    if isinstance(plots, tuple) and len(plots) == 2 and callable(plots[1]):
        return {str(plots[0])}
    return {name for one in plots for name in _flat(one)}
