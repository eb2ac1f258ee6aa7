"""The one handle on a running job, which notebook, CLI, REST, EPICS and Tango all use."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from .arrays import Array
from .coordinates import Coordinate
from .held import Place
from .labelled import data_array, data_tree
from .view import Shown

RunState = Literal["starting", "running", "draining", "done", "failed", "stopped", "crashed"]
ENDED: frozenset[str] = frozenset({"done", "failed", "stopped", "crashed"})
IN_WORDS = {
    "nan": "has values that are not a number (NaN)",
    "infinite": "has infinite values",
    "zero": "is zero everywhere",
    "saturated": "is saturated: pixels have the largest value of their type",
}
"""What is wrong with a frame, by the kind of its fault."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The frames of one consumer: ``expected = done + lost + dropped + rejected + excluded + waiting``."""

    expected: int = 0
    done: int = 0
    lost: int = 0
    dropped: int = 0
    rejected: int = 0
    excluded: int = 0
    waiting: int = 0
    duplicates: int = 0
    """Frames that came twice; counted apart."""

    @property
    def conserved(self) -> bool:
        """True if the sum holds."""
        parts = self.done + self.lost + self.dropped + self.rejected + self.excluded + self.waiting
        return self.expected == parts

    def as_dict(self) -> dict[str, int]:
        """The numbers by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Change:
    """One parameter that was changed while the run went on."""

    step: str
    parameter: str
    old: Any
    new: Any
    epoch: int
    id: int
    """The first frame that it holds for."""
    at: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a run.

    Kinds: ``state``, ``log``, ``loss``, ``view`` (a new version is ready), ``value``, ``change``.
    """

    kind: Literal["state", "log", "loss", "view", "value", "change"]
    text: str
    level: Literal["info", "warning", "error"] = "info"
    at: float = field(default_factory=time.time)
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class ViewInfo:
    """What a run can show."""

    name: str
    """How it is asked for: ``step`` or ``step.output``."""
    step: str
    output: str
    axes: tuple[str, ...]
    shape: tuple[int | None, ...]
    unit: str | None = None
    pixel_size: tuple[float, ...] | None = None
    pixel_unit: str | None = None
    follows: Mapping[str, str] = field(default_factory=dict[str, str])
    """Which parameter moves the picture along an axis, for example ``{"z": "slices.z"}``."""


@dataclass(frozen=True, slots=True)
class StepInfo:
    """A step of a run, with what it is set to now."""

    name: str
    use: str
    values: Mapping[str, Any]
    held: Mapping[str, str]
    """Parameters that come from another step: parameter to ``step.output``."""
    live: bool
    """True if its parameters may be changed while the run goes on."""
    per_frame: bool = False
    """True if a change holds for later frames alone, and what earlier ones gave stays as it is."""


@dataclass(frozen=True, slots=True)
class Status:
    """Everything about a run that a screen shows, at one moment."""

    state: RunState
    counts: Counts
    consumers: Mapping[str, Counts]
    frames_per_second: float
    bytes_per_second: float
    latency_ms: Mapping[str, float] | None
    """From frame arrival to finished view: ``p50``, ``p95``, ``p99``; None for a recorded scan, whose frames do not arrive."""
    queue_bytes: int
    queue_capacity: int
    queue_frames: int
    skipped: Mapping[str, int]
    """Versions that a view was too slow for, by view."""
    views: tuple[ViewInfo, ...]
    steps: tuple[StepInfo, ...]
    values: Mapping[str, Any]
    changes: tuple[Change, ...]
    error: str | None = None
    result: str | None = None
    """Where the first sink writes."""
    progress: float | None = None
    """Share of the expected frames that are done, 0…1, or None for a scan without known end."""
    stages: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, "Mapping[str, Any]"])
    """By consumer, while it runs: a ``title``, frames ``done`` and ``expected``, ``rate`` in frames per second, seconds ``left``."""
    bound: str | None = None
    """What takes longest now: ``reading``, ``computing STEP (43 of 100 rounds)`` or ``writing OUTPUT``."""
    statistics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, "Mapping[str, Any]"])
    """By step, if asked for: min, max, mean, std, values, nan, infinite."""
    faults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, "Mapping[str, Any]"])
    """By step and kind (nan, infinite, zero, saturated): how many frames, and the first."""


@runtime_checkable
class Run(Protocol):
    """A running job. Safe to call from any thread."""

    @property
    def counts(self) -> Counts:
        """The worst consumer's counts."""
        ...

    @property
    def views(self) -> tuple[ViewInfo, ...]:
        """What can be shown."""
        ...

    def status(self) -> Status:
        """Everything a screen shows, now."""
        ...

    def view(self, name: str, *, after: int = -1, timeout: float | None = 0.0) -> Shown | None:
        """The newest version of a view, if newer than `after`; waits up to `timeout` second for one (None: for ever)."""
        ...

    def events(self, *, follow: bool = True) -> Iterator[Event]:
        """Events from the start of the run; with `follow`, until the run has ended."""
        ...

    def set(self, changes: Mapping[str, Mapping[str, Any]]) -> Place:
        """Change parameters of one or several steps at once: all or none.

        Returns:
            The (epoch, id) from which the new values hold.

        Raises:
            UnknownName: No such step or parameter.
            ChangeRefused: The step can not change while it runs, or the value is not valid.
        """
        ...

    def stop(self) -> None:
        """Ask the run to end: what has arrived is drained, sinks are closed. Returns at once; harmless when called twice."""
        ...

    def finished(self, timeout: float | None = None) -> Results:
        """Wait for the end.

        Raises:
            StepFailed: A step, source or sink raised; the message names it.
            TimeoutError: It did not end in time.
        """
        ...

    def report(self) -> dict[str, Any]:
        """The machine-readable report: counts, rates, stages, latency, memory, changes, values, versions."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """One array that a run produced."""

    data: Array
    axes: tuple[str, ...]
    unit: str | None = None
    covered: Array | None = None
    """Which positions along the first axes were filled; None: all of them."""
    marks: Mapping[str, tuple[Any, ...]] = field(default_factory=dict[str, "tuple[Any, ...]"])
    """By axis that stands for a swept parameter: its value at each position."""
    coordinates: Mapping[str, Coordinate] = field(default_factory=dict[str, Coordinate])
    """By axis of which the scan knows it: where its positions lie (`core.coordinates`)."""

    def xarray(self) -> Any:
        """As an `xarray.DataArray` with calibrated axes; ``covered`` is a coordinate where not all has come.

        Raises:
            MissingExtra: xarray is not installed (extra notebook).
        """
        return data_array(self)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """The array itself."""
        return self.data if dtype is None else self.data.astype(dtype)


class Results(dict[str, Result]):
    """Results by ``step.output``; a bare step name means its first output."""

    def xarray(self) -> Any:
        """As an `xarray.DataTree`: ``results.xarray()["center_of_mass"]["row_shift"]``.

        Raises:
            MissingExtra: xarray is not installed (extra notebook).
        """
        return data_tree(self)

    def __missing__(self, key: str) -> Result:
        """Find the first output of a step by the step's name."""
        for name, result in self.items():
            if name.partition(".")[0] == key:
                return result
        raise KeyError(f"There is no result '{key}'. There are: {', '.join(self) or 'none'}.")
