"""Source over files of electron microscopes, through RosettaSciIO."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.errors import MissingExtra, SourceError

from ..recorded.frames import Recording
from ..recorded.scanned import ScannedSource
from .calibration import calibration_of, words_of

_log = logging.getLogger(__name__)

FORMATS = {
    "DigitalMicrograph": (".dm3", ".dm4"),
    "EMD": (".emd",),
    "HSPY": (".hspy",),
    "MRC": (".mrc",),
    "PantaRhei": (".prz",),
    "QuantumDetector": (".mib",),
    "TIA": (".ser",),
    "TVIPS": (".tvips",),
    "Topspin": (".app5",),
    "ZSPY": (".zspy",),
}
"""Formats of RosettaSciIO that hold scans of diffraction patterns and are read lazily, and how their files end."""
_BEGINNINGS: dict[str, tuple[bytes, ...]] = {
    "DigitalMicrograph": (b"\0\0\0\3", b"\0\0\0\4"),
    "EMD": (b"\x89HDF",),
    "HSPY": (b"\x89HDF",),
    "PantaRhei": (b"PK",),
    "QuantumDetector": (b"MQ1,",),
    "TIA": (b"II\x97\1",),
    "TVIPS": (b"\0\1\0\0",),
    "Topspin": (b"\x89HDF",),
}
"""First bytes of the formats that have a mark: a reader that is given anything else may not come back."""
_ELSEWHERE = {".mib": "mib", ".mrc": "mrc"}
"""Endings that a source of our own answers for."""


class MicroscopySource(ScannedSource):
    """Plays a scan of diffraction patterns out of a file that RosettaSciIO reads: DM3/DM4, EMD, hspy, MRC or TVIPS.

    Frames are read from the disk as they are needed. Navigation axes are those of the scan; steps (nm), angles (mrad) and the
    energy (keV) are taken from the file where it has them, spatial frequencies are turned into angles by the energy.
    """

    use: ClassVar[str] = "microscopy"

    format: str | None = None
    """RosettaSciIO's name of the format, such as DigitalMicrograph; default: by the ending of the file."""
    signal: Annotated[int, Field(ge=0)] | None = None
    """Number of the signal, from 0, where the file holds several; default: the one with most scan points."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for the endings of those formats, but for .mib and .mrc, which have sources of their own."""
        known = {ending for endings in FORMATS.values() for ending in endings} - set(_ELSEWHERE)
        return path.suffix.lower() in known and path.exists()

    def load(self) -> Recording:
        """Let RosettaSciIO open the file, and find the scan in it.

        Raises:
            SourceError: It can not be read, holds no scan, or the scan does not fit.
            MissingExtra: RosettaSciIO is not installed.
        """
        found = self._chosen_signal([each for each in self._signals() if _is_scan(each)])
        data, scanned = _frames_last(found)
        frames = Lazily(data.reshape(-1, *data.shape[-2:]))
        return self.scanned(
            frames,
            scanned if len(scanned) <= 2 else (prod(scanned),),
            calibration=calibration_of(found),
            metadata=words_of(found),
        )

    def _signals(self) -> list[dict[str, Any]]:
        path = self.path.expanduser()
        if not path.exists():
            raise SourceError("There is no such file.", field="path", value=str(path), next_move="Check the path.")
        name = self._format(path)
        _check_beginning(path, name)
        reader = _reader(name)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                found = reader(str(path), lazy=True)
            except ModuleNotFoundError as missing:
                raise MissingExtra(missing.name or "", "microscopy", f"Reading '{path.name}'") from missing
            except Exception as error:  # a reader of another project: anything may happen on a broken file
                raise SourceError(
                    f"RosettaSciIO can not read the file ({type(error).__name__}: {error}).",
                    field="path",
                    value=str(path),
                    expected="a whole file of the format that its ending names",
                    next_move="Copy it again from where it was written, or give 'format'.",
                ) from error
        for each in {str(warning.message) for warning in told}:
            _log.info("RosettaSciIO on %s: %s", path.name, each)
        return list(found)

    def _format(self, path: Path) -> str:
        if self.format is not None:
            if self.format in FORMATS:
                return self.format
            raise SourceError(
                "There is no such format.",
                field="format",
                value=self.format,
                expected="one of " + ", ".join(FORMATS),
            )
        name = next((name for name, endings in FORMATS.items() if path.suffix.lower() in endings), None)
        if name is None:
            raise SourceError(
                "The ending of the file names no format that is known.",
                field="path",
                value=str(path),
                expected="one of " + ", ".join(ending for endings in FORMATS.values() for ending in endings),
                next_move="Give 'format'.",
            )
        return name

    def _chosen_signal(self, found: list[dict[str, Any]]) -> dict[str, Any]:
        if not found or (self.signal is not None and self.signal >= len(found)):
            raise SourceError(
                "The file holds no scan of frames." if not found else "The file holds no such signal.",
                field="path" if not found else "signal",
                value=str(self.path) if not found else self.signal,
                expected="an array of numbers with 3 axes or more" if not found else f"0 to {len(found) - 1}",
            )
        return max(found, key=lambda each: prod(each["data"].shape[:-2])) if self.signal is None else found[self.signal]


@dataclass(frozen=True, slots=True)
class Lazily:
    """A dask array whose blocks are computed by the thread that asks: the runner alone starts threads."""

    array: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each dimension."""
        return tuple(map(int, self.array.shape))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return np.dtype(self.array.dtype)

    def __getitem__(self, where: Any) -> Array:
        """A block."""
        block = self.array[where]
        return np.asarray(block.compute(scheduler="synchronous") if hasattr(block, "compute") else block)


def _check_beginning(path: Path, name: str) -> None:
    """Refuse a file that does not begin like others of its format.

    Raises:
        SourceError: It does not.
    """
    marks = _BEGINNINGS.get(name)
    if marks is None or path.is_dir():
        return
    with path.open("rb") as file:
        first = file.read(4)
    if first not in marks and not any(first.startswith(mark) for mark in marks):
        raise SourceError(
            f"The file does not begin like one of the format {name}.",
            field="path",
            value=str(path),
            expected="a whole file of the format that its ending names",
            next_move="Copy it again from where it was written, or give 'format'.",
        )


def _reader(name: str) -> Any:
    """RosettaSciIO's function for a format.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        from rsciio import IO_PLUGINS
    except ModuleNotFoundError as missing:
        raise MissingExtra("rosettasciio", "microscopy", f"Reading files of the format {name}") from missing
    entry = next(each for each in IO_PLUGINS if each["name"] == name)
    return import_module(entry["api"]).file_reader


def _is_scan(signal: dict[str, Any]) -> bool:
    data = signal.get("data")
    shape: tuple[int, ...] = getattr(data, "shape", ())
    return len(shape) >= 3 and 0 not in shape and np.dtype(getattr(data, "dtype", "O")).kind in "biuf"


def _frames_last(signal: dict[str, Any]) -> tuple[Any, tuple[int, ...]]:
    """The data with the axes of a frame at the end, and the lengths of the others."""
    data, axes = signal["data"], signal["axes"]
    scanned = [number for number, axis in enumerate(axes) if axis.get("navigate")]
    if len(axes) - len(scanned) != 2:  # the file does not say: frames come last
        scanned = list(range(data.ndim - 2))
    order = [*scanned, *(number for number in range(data.ndim) if number not in scanned)]
    moved = data if order == sorted(order) else data.transpose(order)
    return moved, tuple(map(int, moved.shape[: len(scanned)]))
