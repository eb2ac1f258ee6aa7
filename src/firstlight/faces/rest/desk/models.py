"""What the desk takes and gives, as models with examples."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ..models import Model


class Root(Model):
    """A folder that the service's owner named."""

    name: str = Field(examples=["visit_412"])
    """Its short name."""
    path: str = Field(examples=["/data/visit_412"])
    """Its path on the service's machine."""


class Entry(Model):
    """A folder, or a file, in a folder."""

    name: str = Field(examples=["scan_0412.h5"])
    """Its name."""
    path: str = Field(examples=["/data/visit_412/scan_0412.h5"])
    """Its path."""
    kind: Literal["folder", "file"] = Field(examples=["file"])
    """Which of the two."""
    bytes: int | None = Field(default=None, examples=[1073741824])
    """Its size, if it is a file."""
    modified: float = Field(examples=[1784023502.1])
    """Unix time in second."""
    structure: bool = Field(default=False, examples=[True])
    """True for HDF5 files, whose structure can be shown."""


class Folder(Model):
    """What a folder holds."""

    path: str = Field(examples=["/data/visit_412"])
    """Its path, with all links followed."""
    parent: str | None = Field(default=None, examples=[None])
    """The folder above, if that is also below a root."""
    entries: list[Entry]
    """Folders, then files."""
    left_out: int = Field(default=0, examples=[0])
    """Entries beyond those that are listed."""


class ScanStream(Model):
    """One stream of a scan: the projections, the dark or the flat frames."""

    name: str = Field(examples=["data"])
    """Its name in a job."""
    axes: list[str] = Field(examples=[["angle", "row", "col"]])
    """Labels of its dimensions."""
    sizes: list[int | None] = Field(examples=[[1500, 2048, 2048]])
    """Length of each."""
    dtype: str = Field(examples=["uint16"])
    """Type of the values."""
    unit: str | None = Field(default=None, examples=["count"])
    """Unit of the values."""


class Axis(Model):
    """A coordinate along an axis."""

    name: str = Field(examples=["angle"])
    """Its name."""
    count: int = Field(examples=[1500])
    """How many values."""
    first: float = Field(examples=[0.0])
    """The first value."""
    last: float = Field(examples=[179.88])
    """The last value."""
    unit: str | None = Field(default=None, examples=["deg"])
    """Its unit."""


class Measure(Model):
    """A number of the scan's calibration."""

    name: str = Field(examples=["pixel_size"])
    """What it is."""
    value: float = Field(examples=[0.65])
    """The number."""
    unit: str = Field(examples=["um"])
    """Its unit."""


class Question(Model):
    """Which file to look at, and what the user knows about it."""

    path: str = Field(examples=["/data/visit_412/scan_0412.h5"])
    """The file, or a folder of images."""
    source: dict[str, Any] = Field(default_factory=dict, examples=[{"angles": "0:180"}])
    """Parameters of the source that the user gives."""
    values: Literal["counts", "transmission", "attenuation"] | None = Field(default=None, examples=["attenuation"])
    """What the numbers are; null: found from the scan."""
    out: str | None = Field(default=None, examples=["/data/visit_412/scan_0412_rec.nxs"])
    """Where the result goes; null: beside the scan."""


class Description(Model):
    """What is known about a recorded scan, and how to reconstruct it."""

    path: str = Field(examples=["/data/visit_412/scan_0412.h5"])
    """The file."""
    source: str = Field(examples=["dxfile"])
    """The source that recognises it."""
    name: str = Field(examples=["scan_0412"])
    """Name of the scan."""
    streams: list[ScanStream]
    """What it holds."""
    coords: list[Axis]
    """Coordinates, such as angles."""
    calibration: list[Measure]
    """Pixel size, energy, distance."""
    assumptions: list[str] = Field(examples=[["the projections cover 180° in even steps"]])
    """What the file does not say and had to be assumed."""
    steps: list[str] = Field(examples=[["flat_field", "minus_log", "find_center", "fbp"]])
    """The suggested steps, in short."""
    job: dict[str, Any] = Field(examples=[{"source": {"use": "dxfile"}, "steps": [{"use": "fbp"}]}])
    """The suggested job."""
    problem: str | None = Field(default=None, examples=[None])
    """Why no job could be suggested."""


class Trial(Model):
    """One slice of a job, to be looked at before all of it is run."""

    job: dict[str, Any] = Field(examples=[{"source": {"use": "dxfile"}, "steps": [{"use": "fbp"}]}])
    """The job as in a job file; what it writes is left out."""
    row: int | None = Field(default=None, ge=0, examples=[1024])
    """The detector row; null: the middle one."""
    of: str | None = Field(default=None, examples=["fbp"])
    """The step to be shown, or one of its outputs (``sirt.residual``); null: what the job writes first, or its last step."""
    index: list[int] = Field(default_factory=list, max_length=30, examples=[[3]])
    """Position along the axes before the last two, as of a sweep."""
    width: int = Field(default=1024, ge=1, le=8192, examples=[1024])
    """Screen pixels across."""
    height: int = Field(default=1024, ge=1, le=8192, examples=[1024])
    """Screen pixels down."""


class ResultSlice(Model):
    """One slice of a result file."""

    path: str = Field(examples=["/data/visit_412/scan_0412_rec.nxs"])
    """The file, or a folder of TIFF files."""
    axis: int = Field(default=0, ge=0, le=30, examples=[0])
    """Which axis the slice lies across."""
    at: int | None = Field(default=None, ge=0, examples=[1024])
    """Position along it; null: the middle."""
    width: int = Field(default=1024, ge=1, le=8192, examples=[1024])
    """Screen pixels across."""
    height: int = Field(default=1024, ge=1, le=8192, examples=[1024])
    """Screen pixels down."""
