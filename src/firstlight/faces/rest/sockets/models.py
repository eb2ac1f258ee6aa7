"""What goes over the websockets, as models with examples: written into the OpenAPI schema, which knows no websockets."""

from __future__ import annotations

from pydantic import Field

from firstlight.faces.rest.models import LogLine, Model, RunDetail


class Histogram(Model):
    """How often values occur."""

    low: float = Field(examples=[0.0])
    """Left edge of the first bin."""
    high: float = Field(examples=[1.2])
    """Right edge of the last bin."""
    counts: list[int] = Field(examples=[[0, 3, 12]])
    """Pixels in each of the 128 bins."""


class ViewRequest(Model):
    """What a client says on a view's websocket: first, and whenever its screen changes; or ``{"ack": version}``."""

    token: str | None = Field(default=None, examples=[None])
    """The token, where there is no cookie."""
    width: int = Field(default=512, examples=[800])
    """Screen pixels across."""
    height: int = Field(default=512, examples=[800])
    """Screen pixels down."""
    region: list[int] | None = Field(default=None, examples=[[0, 2048, 0, 2048]])
    """row0, row1, col0, col1 of the full image (the ends are outside), or null for all of it."""
    index: list[int] = Field(default_factory=list, examples=[[]])
    """Position along the axes before the last two; the middle where not given."""
    half: bool = Field(default=False, examples=[False])
    """Send float16: half the bytes, three digits."""
    phase: bool = Field(default=False, examples=[False])
    """Send complex values as they are (complex64); otherwise their magnitude."""
    beside: bool = Field(default=False, examples=[False])
    """Put the planes of the last axis before the image side by side, in place of one of them."""


class ViewHeader(Model):
    """Header of a binary message of a view: u32 length (little-endian) | this as JSON | pixels (little-endian)."""

    view: str = Field(examples=["slices.xy"])
    """Name of the view."""
    version: int = Field(examples=[17])
    """Counts the versions; acknowledge it with ``{"ack": version}``."""
    shape: list[int] = Field(examples=[[683, 683]])
    """Rows and columns that are sent, the length of a line, or (points, 2) for places."""
    dtype: str = Field(examples=["float32"])
    """float32, float16, uint16, uint8, or complex64 (real and imaginary part, both float32)."""
    full_shape: list[int] = Field(examples=[[2048, 2048]])
    """Size of the whole result."""
    region: list[int] | None = Field(default=None, examples=[[0, 2048, 0, 2048]])
    """The part of it that is sent."""
    axes: list[str] = Field(examples=[["y", "x"]])
    """Labels of the dimensions."""
    unit: str | None = Field(default=None, examples=["1/cm"])
    """Unit of the values."""
    pixel_size: list[float] | None = Field(default=None, examples=[[0.65, 0.65]])
    """Size of a full pixel along each axis."""
    pixel_unit: str | None = Field(default=None, examples=["um"])
    """Unit of the pixel size."""
    range: list[float] = Field(examples=[[-0.02, 1.31]])
    """Smallest and largest value of the region at full resolution; of complex values the magnitude."""
    levels: list[float] = Field(examples=[[0.0, 1.1]])
    """0.5 and 99.5 percentile."""
    histogram: Histogram
    """Of the pixels that are sent."""
    coverage: float = Field(examples=[1.0])
    """Share of the frames that are in it, 0 to 1."""
    epoch: int = Field(examples=[0])
    """Restarts of the detector before."""
    id: int = Field(examples=[812])
    """The newest frame in it."""
    received: float = Field(examples=[1784023522.65])
    """When that frame arrived, Unix time in second."""
    sent: float = Field(examples=[1784023522.70])
    """When this message was sent, Unix time in second."""
    coarse: bool = Field(default=False, examples=[False])
    """True for a first, quick answer to a change."""


class RunEvent(Model):
    """A message on a run's events websocket."""

    type: str = Field(examples=["status"])
    """status or log."""
    run: RunDetail | None = None
    """With status: the run."""
    line: LogLine | None = None
    """With log: the line."""
