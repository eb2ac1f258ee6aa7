"""Sink for HyperSpy's own files: written while data arrive, whole at every moment."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.coordinates import coordinates_of

from ..hdf5.handles import File, Group
from ..hdf5.target import Storage, Target, whole_bytes
from ..hdf5.writing import FileSink, Writing
from ..recorded.mapped import check_epoch
from ..recorded.times import Times

_VERSION = "3.3"
"""Of HyperSpy's file format."""
_STORED = 2**20
"""Aim for storage chunks of this size in byte."""
_OURS = "firstlight"
"""Group for what HyperSpy's format has no place for."""


class HspySink(FileSink):
    """Writes one output as a signal that HyperSpy opens (``hs.load("scan.hspy", lazy=True)``), with calibrated axes.

    Scan axes are HyperSpy's navigation axes, detector axes its signal axes. The NeXus attributes ``default`` and ``signal``
    lead to the array as well, so that the source ``hdf5`` plays such a file again; ``covered`` tells what of it is there.
    """

    use: ClassVar[str] = "hspy"

    def writing(self, path: Path, scan: Scan) -> Writing:
        """Create the file.

        Raises:
            SinkError: It exists, or can not be created.
        """
        return _Experiment(path, self.create(path), scan, Storage(self.compression, _chunks(scan, self.compression)))


class _Experiment(Writing):
    """The one experiment of a file."""

    def __init__(self, path: Path, file: File, scan: Scan, storage: Storage) -> None:
        super().__init__(path, file, scan, storage)
        self._group: Group = None
        self._ours: Group = None
        self._target: Target | None = None
        self._times = Times()

    def begin(self, record: dict[str, Any]) -> None:
        """Write the head, and the array if its shape is known."""
        name = self.scan.name.replace("/", "_") or "scan"
        self.file.attrs.update({"file_format": "HyperSpy", "file_format_version": _VERSION, "default": "Experiments"})
        experiments = self.file.create_group("Experiments")
        experiments.attrs["default"] = name
        group = self._group = experiments.create_group(name)
        group.attrs.update({"package": "", "package_version": "", "signal": "data"})
        group.attrs["axes"] = np.array(self.scan.main.axes, dtype="S")
        group.create_group("attributes").attrs.update({"_lazy": np.False_, "ragged": np.False_})
        group.create_group("learning_results")
        _metadata(group.create_group("metadata"), self.scan)
        original = group.create_group("original_metadata")
        original.attrs.update({key: value for key, value in self.scan.metadata.items() if len(value) < 4096})
        self._ours = self.file.create_group(_OURS)
        self._ours.attrs["complete"] = np.bool_(False)
        self._ours["record"] = json.dumps(record, default=str)
        stream = self.scan.main
        if all(stream.sizes.get(label) for label in (stream.axes[1:] if stream.arrival else stream.axes)):
            self._make(None)

    def target(self, chunk: Chunk) -> Target:
        """The one array.

        Raises:
            SinkError: The detector started over: such a file has room for one scan.
        """
        check_epoch(chunk, chunk.stream)
        return self._target or self._make(chunk)

    def _make(self, first: Chunk | None) -> Target:
        stream = self.scan.main
        known = all(stream.sizes.get(label) for label in stream.axes)
        self.take_space("make room for all frames", whole_bytes(stream) if known else 0)
        made = self._target = Target(self._group, stream, first, self.storage)
        self._axes(made)
        return made

    def _axes(self, target: Target) -> None:
        """Describe each axis, slowest first, by its length as it is now."""
        labels = self.scan.main.axes
        lengths = dict(zip(labels, target.data.shape, strict=True))
        known = coordinates_of(self.scan, lengths)
        scanned = self.scan.main.arrival or max(0, len(labels) - 2)
        for number, label in enumerate(labels):
            name = f"axis-{number}"
            group = self._group[name] if name in self._group else self._group.create_group(name)
            values = None if label not in known else known[label].values
            even = values is not None and values.dtype.kind in "iuf" and _even(values)
            scale, offset = (_step(values), float(values[0])) if even and values is not None else (1.0, 0.0)
            group.attrs.update(
                {
                    "_type": "UniformDataAxis",
                    "name": label,
                    "units": (known[label].unit or "_None_") if even else "_None_",
                    "navigate": np.bool_(number < scanned),
                    "is_binned": np.False_,
                    "size": lengths[label],
                    "scale": scale,
                    "offset": offset,
                }
            )

    def note(self, target: Target, chunk: Chunk | None) -> None:
        """Note when frames came."""
        if chunk is not None and target.stream.arrival:
            self._times.note(chunk.ids - target.stream.first, chunk.received)

    def end(self, record: dict[str, Any], *, complete: bool) -> None:
        """Write what is missing, when frames came, and the final record."""
        target, ours = self._target, self._ours
        if target is not None:
            self._axes(target)
            ours["missing"] = target.missing()
            ours["missing"].attrs["columns"] = "first, last id (both included)"
            ours["received"] = self._times.first(target.frames)
            ours["received"].attrs["units"] = "s"
        ours["missing_reason"] = json.dumps([[gap.first, gap.last, gap.kind, gap.reason] for gap in self.gaps])
        ours["record"][()] = json.dumps(record, default=str)
        ours.attrs["complete"] = np.bool_(complete)


def _chunks(scan: Scan, compression: str) -> tuple[int, ...] | None:
    """Shape of a storage chunk, without which HyperSpy does not open a file lazily: whole frames of one line of the scan."""
    stream = scan.main
    shape = [stream.sizes.get(label) for label in stream.axes]
    sizes = [size for size in shape if size]
    if len(sizes) < len(shape) or compression != "none":
        return None
    inner = sizes[stream.arrival :] if stream.arrival else sizes[1:]
    outer = sizes[: len(sizes) - len(inner)]
    room = max(1, _STORED // max(1, math.prod(inner) * np.dtype(stream.dtype).itemsize))
    return (*(1 for _ in outer[:-1]), *(min(room, size) for size in outer[-1:]), *inner)


def _metadata(group: Group, scan: Scan) -> None:
    """What HyperSpy knows by name: title, date, energy of the beam in keV."""
    general = group.create_group("General")
    general.attrs.update({"title": scan.name, "date": time.strftime("%Y-%m-%d"), "time": time.strftime("%H:%M:%S")})
    group.create_group("Signal").attrs["signal_type"] = ""
    folding = group.create_group("_HyperSpy").create_group("Folding")
    unknown = {"original_axes_manager": "_None_", "original_shape": "_None_"}
    folding.attrs.update({**unknown, "signal_unfolded": np.False_, "unfolded": np.False_})
    energy = scan.calibration.get("energy")
    if energy is not None:
        group.create_group("Acquisition_instrument").create_group("TEM").attrs["beam_energy"] = energy.to("keV")


def _step(values: Array) -> float:
    return float((values[-1] - values[0]) / (len(values) - 1)) if len(values) > 1 else 1.0


def _even(values: Array) -> bool:
    """True for positions with equal steps other than 0."""
    step = _step(values)
    return step != 0 and bool(np.allclose(np.diff(values), step, rtol=1e-6, atol=0))
