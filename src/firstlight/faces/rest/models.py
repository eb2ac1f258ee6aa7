"""What the service takes and gives, as models with examples: the OpenAPI schema is made of them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from firstlight.core.run import RunState


class Model(BaseModel):
    """Common settings: the text under a field is its description."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")


class Problem(Model):
    """What was wrong with a request."""

    field: str | None = Field(default=None, examples=["slices.z"])
    """The field that it concerns."""
    value: Any = Field(default=None, examples=[-3])
    """The value that was found there."""
    expected: str = Field(default="", examples=["a whole number ≥ 0"])
    """What would have been right."""
    message: str = Field(examples=["z is not valid."])
    """What is wrong, in one sentence."""
    next: str = Field(default="", examples=["Choose a row of the detector."])
    """What you can do about it."""


class Refusal(Model):
    """The answer to a request that was not carried out."""

    error: Problem
    """The mistake, or the first of several."""
    problems: list[str] = Field(default_factory=list, examples=[["step 2: there is no operator 'flatfield'."]])
    """Every mistake that was found in a job."""


class LoopStall(Model):
    """How long the service's event loop was held up."""

    max_last_minute: float = Field(examples=[3.2])
    """Longest stall of the last minute, in millisecond."""
    own_max_last_minute: float = Field(examples=[1.4])
    """The same, without what the system did not let this process work: the part that may be the service's own fault."""


class Health(Model):
    """That the service is there."""

    name: str = Field(default="firstlight", examples=["firstlight"])
    """Always firstlight."""
    version: str = Field(examples=["0.1.0"])
    """Version of the program."""
    uptime_s: float = Field(examples=[3600.0])
    """Seconds since the service started."""
    runs: int = Field(examples=[1])
    """Runs that have not ended."""
    loop_stall_ms: LoopStall
    """Health of the event loop."""


class Plugin(Model):
    """Something that a job may name."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid", protected_namespaces=())

    name: str = Field(examples=["flat_field"])
    """What stands after `use:`."""
    kind: str = Field(examples=["operator"])
    """operator, source, sink or view."""
    title: str = Field(examples=["Flat field"])
    """The name in words."""
    summary: str = Field(examples=["Divide by the flat image, after taking the dark image away."])
    """What it does, in one line."""
    signature: str | None = Field(default=None, examples=["row col, row col, row col -> row col"])
    """Axes in and out (operators only)."""
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        alias="schema",
        examples=[{"type": "object", "properties": {"floor": {"type": "number", "default": 1e-6, "title": "Floor"}}}],
    )
    """JSON schema of the parameters."""
    cites: list[str] = Field(default_factory=list, examples=[["10.1046/j.1365-2818.2002.01010.x"]])
    """DOIs of what it implements."""
    missing: str | None = Field(default=None, examples=[None])
    """What must be installed before it can be used."""


class Catalogue(Model):
    """Everything that a job may name."""

    operators: list[Plugin]
    """Steps."""
    sources: list[Plugin]
    """Where frames come from."""
    sinks: list[Plugin]
    """Where results are written."""
    views: list[Plugin]
    """Where results are shown, beside the web page."""


class RunSummary(Model):
    """One run in the list."""

    id: str = Field(examples=["20260714-101502-3fa9c1"])
    """Its id, unique on this machine."""
    name: str = Field(examples=["demo"])
    """The job's name."""
    state: RunState = Field(examples=["running"])
    """What it is doing, or how it ended."""
    started: float = Field(examples=[1784023502.1])
    """Unix time in second."""
    ended: float | None = Field(default=None, examples=[None])
    """Unix time in second, once it has ended."""
    error: str | None = Field(default=None, examples=[None])
    """Why it failed or crashed."""


class FrameCounts(Model):
    """Frames of the worst consumer: expected = done + lost + dropped + rejected + excluded + waiting."""

    expected: int = Field(examples=[1500])
    """Frames that should come, or from first to last seen."""
    done: int = Field(examples=[812])
    """Worked on."""
    lost: int = Field(default=0, examples=[0])
    """Never came."""
    dropped: int = Field(default=0, examples=[0])
    """Given up by a buffer."""
    rejected: int = Field(default=0, examples=[0])
    """Undecodable or of the wrong shape."""
    excluded: int = Field(default=0, examples=[0])
    """Left out by the user's choice."""
    waiting: int = Field(default=0, examples=[688])
    """Still to come or in a buffer."""
    duplicates: int = Field(default=0, examples=[0])
    """Came twice; counted apart."""


class Rates(Model):
    """How fast frames are worked on."""

    frames_per_second: float = Field(examples=[48.7])
    """Frames a second, lately."""
    bytes_per_second: float = Field(examples=[102131302.0])
    """Bytes a second, lately."""


class Latency(Model):
    """From frame arrival to finished view, in millisecond."""

    p50: float | None = Field(examples=[41.0])
    """Median."""
    p95: float | None = Field(examples=[88.0])
    """95th percentile."""
    p99: float | None = Field(examples=[120.0])
    """99th percentile."""


class Queue(Model):
    """Frames that wait in buffers."""

    used_bytes: int = Field(examples=[4194304])
    """Bytes held now."""
    capacity_bytes: int = Field(examples=[2147483648])
    """Bytes that may be held."""
    frames: int = Field(examples=[2])
    """Frames held now."""


class RunView(Model):
    """A picture that a run can show."""

    name: str = Field(examples=["slices.xy"])
    """How it is asked for."""
    step: str = Field(examples=["slices"])
    """The step that makes it."""
    output: str = Field(examples=["xy"])
    """Which output of that step."""
    axes: list[str] = Field(examples=[["y", "x"]])
    """Labels of its dimensions."""
    shape: list[int] | None = Field(default=None, examples=[[2048, 2048]])
    """Its full size, where that is known."""
    unit: str | None = Field(default=None, examples=["1/cm"])
    """Unit of the values."""
    pixel_size: list[float] | None = Field(default=None, examples=[[0.65, 0.65]])
    """Size of a pixel along each axis."""
    pixel_unit: str | None = Field(default=None, examples=["um"])
    """Unit of the pixel size."""
    follows: dict[str, str] = Field(
        default_factory=dict, examples=[{"z": "slices.z", "y": "slices.y", "x": "slices.x"}]
    )
    """Axis to the parameter that moves the picture along it."""


class RunStep(Model):
    """A step of a run, and what it is set to."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid", protected_namespaces=())

    name: str = Field(examples=["slices"])
    """Its name in the job."""
    use: str = Field(examples=["live_slices"])
    """What it is."""
    title: str = Field(examples=["Live slices"])
    """The same in words."""
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        alias="schema",
        examples=[{"type": "object", "properties": {"z": {"type": "integer", "minimum": 0}}}],
    )
    """JSON schema of its parameters."""
    values: dict[str, Any] = Field(default_factory=dict, examples=[{"z": 300}])
    """Their values now."""
    held: dict[str, str] = Field(default_factory=dict, examples=[{"center": "find_center.center"}])
    """Parameters that another step gives."""
    live: bool = Field(examples=[True])
    """True if they may be changed while the run goes on."""
    per_frame: bool = Field(default=False, examples=[False])
    """True if a change holds for later frames alone, and what earlier ones gave stays as it is."""


class ParameterChange(Model):
    """A parameter that was changed during the run."""

    step: str = Field(examples=["slices"])
    """The step."""
    parameter: str = Field(examples=["z"])
    """The parameter."""
    old: Any = Field(default=None, examples=[256])
    """Its value before."""
    new: Any = Field(default=None, examples=[300])
    """Its value since."""
    epoch: int = Field(examples=[0])
    """Restarts of the detector before."""
    id: int = Field(examples=[812])
    """The first frame that it holds for."""
    at: float = Field(examples=[1784023522.7])
    """Unix time in second."""


class Stage(Model):
    """How far one part of a run is, while it goes on."""

    name: str = Field(examples=["fbp"])
    """The step, sink or view that takes the frames."""
    done: int = Field(examples=[812])
    """Frames that are through."""
    expected: int = Field(examples=[2048])
    """Frames that should come."""
    rate: float | None = Field(default=None, examples=[48.7])
    """Frames a second."""
    left: float | None = Field(default=None, examples=[25.0])
    """Seconds left."""


class RunDetail(RunSummary):
    """Everything about one run."""

    counts: FrameCounts
    """Frames."""
    stages: list[Stage] = Field(default_factory=list)
    """The parts of the run."""
    bound: str | None = Field(default=None, examples=["computing fbp"])
    """What takes longest now."""
    statistics: dict[str, dict[str, Any]] = Field(
        default_factory=dict, examples=[{"fbp.data": {"min": -0.1, "max": 2.3, "mean": 0.4, "std": 0.2, "nan": 0}}]
    )
    """By step, if the job asks for them: min, max, mean, std and how many values are no numbers."""
    faults: dict[str, dict[str, Any]] = Field(
        default_factory=dict, examples=[{"minus_log": {"nan": {"frames": 3, "first": 17}}}]
    )
    """By step and kind (nan, infinite, zero, saturated): how many frames can not be right, and the first."""
    rates: Rates
    """How fast."""
    latency_ms: Latency | None = None
    """How late views are."""
    queue: Queue
    """What waits."""
    views: list[RunView]
    """What can be shown."""
    steps: list[RunStep]
    """What is done with the frames."""
    values: dict[str, Any] = Field(examples=[{"find_center.center": 234.5}])
    """Numbers and small arrays that steps produced."""
    changes: list[ParameterChange]
    """What was changed meanwhile."""
    result: str | None = Field(default=None, examples=["/data/visit/scan_0412_rec.nxs"])
    """Where the first sink writes."""
    job: dict[str, Any] = Field(examples=[{"source": {"use": "phantom"}, "steps": [{"use": "flat_field"}]}])
    """The job itself."""


class NewRun(Model):
    """A job to be started."""

    job: dict[str, Any] = Field(
        examples=[
            {
                "source": {"use": "phantom"},
                "steps": [{"use": "flat_field"}, {"use": "minus_log"}, {"use": "live_slices", "name": "slices"}],
                "views": [{"of": "slices", "every": "0.1 s"}],
            }
        ]
    )
    """The job as in a job file."""


class Place(Model):
    """From which frame on a change holds."""

    epoch: int = Field(examples=[0])
    """Restarts of the detector before."""
    id: int = Field(examples=[812])
    """The first frame."""


class LogLine(Model):
    """One line of a run's log."""

    n: int = Field(examples=[0])
    """Its number, from 0."""
    at: float = Field(examples=[1784023502.1])
    """Unix time in second."""
    level: str = Field(examples=["info"])
    """info, warning or error."""
    text: str = Field(examples=["The run has started."])
    """What happened."""


class Log(Model):
    """Part of a run's log."""

    lines: list[LogLine]
    """The lines."""
    next: int = Field(examples=[1])
    """What to give as `after` next time."""


class Session(Model):
    """A token to be kept in a cookie."""

    token: str = Field(examples=["the token that the service was started with"])
    """The token."""


class SessionOpened(Model):
    """That the token fits."""

    ok: bool = Field(default=True, examples=[True])
    """Always true: a wrong token is refused."""
