"""Source: files that a DECTRIS detector writes itself (its FileWriter): a master file, and data files that it links to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError
from firstlight.core.units import Quantity
from firstlight.kernels.decompress import decode_bslz4_many
from firstlight.kernels.stored_chunk import BSLZ4_FILTER

from ..hdf5.files import is_dataset, is_group, lookup, open_file
from ..recorded.frames import Recording
from ..recorded.scanned import ScannedSource

_DATA = ("entry/data", "entry")
"""Groups that hold the links ``data_000001``, ``data_000002`` …, in newer and older files."""
_SPECIFIC = "entry/instrument/detector/detectorSpecific"
_HC = 12.398419843320026
"""Planck's constant times the speed of light, keV Å."""


class DectrisFileSource(ScannedSource):
    """Plays the frames of a master file of DECTRIS's FileWriter, wherever the data files hold them.

    Frames that are bitshuffled and packed with LZ4 are read as they are stored, and unpacked many at once outside HDF5. Data
    files that are missing make frames missing. The shape of the scan is one line for each trigger where there are several
    triggers of several images; otherwise give `scan_y` and `scan_x`.
    """

    use: ClassVar[str] = "dectris_file"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for a file with the links of a master file."""
        try:
            with open_file(path) as file:
                return any(True for _ in _links(file))
        except (SourceError, OSError):
            return False

    def load(self) -> Recording:
        """Open the master file and the data files.

        Raises:
            SourceError: There are no frames, they differ, or the scan does not fit.
        """
        path = self.path.expanduser()
        file = open_file(path)
        try:
            parts = [part for part in _parts(file) if part is not None]
            if not parts:
                raise SourceError(
                    "None of the data files that the master file links to can be opened.",
                    field="path",
                    value=str(path),
                    expected="the files …_data_000001.h5 beside it",
                    next_move="Copy them to the folder of the master file.",
                )
            frames, there = _joined(list(_parts(file)), str(path), _announced(file))
            return self.scanned(
                frames,
                _scan(file, frames.shape[0]),
                calibration=_energy(file),
                metadata=_words(file),
                there=None if there.all() else there,
                close=file.close,
            )
        except BaseException:
            file.close()
            raise


@dataclass(frozen=True, slots=True)
class Joined:
    """Frames of several datasets, one after the other; those of a dataset that is missing are zero."""

    parts: tuple[Any | None, ...]
    starts: tuple[int, ...]
    """Number of the first frame of each, and of all frames."""
    frame: tuple[int, int]
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Frames, rows, columns."""
        return (self.starts[-1], *self.frame)

    def __getitem__(self, where: tuple[slice, ...]) -> Array:
        """A block of frames."""
        first, last, _ = where[0].indices(self.starts[-1])
        cuts = tuple(where[1:]) or (slice(None), slice(None))
        out = np.zeros((last - first, *np.empty(self.frame, np.bool_)[cuts].shape), self.dtype.newbyteorder("="))
        for part, begin, end in zip(self.parts, self.starts, self.starts[1:], strict=False):
            low, high = max(first, begin), min(last, end)
            if low < high and part is not None:
                out[low - first : high - first] = _block(part, low - begin, high - begin, cuts)
        return out


def _block(part: Any, low: int, high: int, cuts: tuple[slice, ...]) -> Array:
    """Frames of one dataset, unpacked by ourselves where each is one chunk packed with bitshuffle and LZ4."""
    if _packed(part):
        chunks = [part.id.read_direct_chunk((number, 0, 0)) for number in range(low, high)]
        if all(mask == 0 for mask, _ in chunks):
            frames = np.empty((high - low, *part.shape[1:]), part.dtype.newbyteorder("="))
            rows = frames.reshape(-1).view(np.uint8).reshape(high - low, -1)
            if decode_bslz4_many([chunk for _, chunk in chunks], rows, part.dtype.itemsize).all():
                return frames[(slice(None), *cuts)]
    return part[(slice(low, high), *cuts)]


def _packed(part: Any) -> bool:
    """True if each frame is one chunk, packed with bitshuffle and LZ4 alone, in this machine's byte order."""
    if part.chunks != (1, *part.shape[1:]) or not part.dtype.isnative:
        return False
    properties = part.id.get_create_plist()
    if properties.get_nfilters() != 1:
        return False
    code, _, values, _ = properties.get_filter(0)
    return code == BSLZ4_FILTER and len(values) > 4 and values[4] == 2


def _links(file: Any) -> Iterator[tuple[str, Any]]:
    """Path and link of each data file, in order."""
    for name in _DATA:
        group = lookup(file, name)
        keys = sorted(key for key in group if key.startswith("data_") and key[5:].isdigit()) if is_group(group) else []
        if keys:
            yield from ((f"{name}/{key}", group.get(key, getlink=True)) for key in keys)
            return


def _parts(file: Any) -> Iterator[Any | None]:
    """The datasets of frames; None for one that is missing."""
    for path, _ in _links(file):
        found = lookup(file, path)
        good = is_dataset(found) and found.ndim == 3 and found.dtype.kind in "ui" and 0 not in found.shape
        yield found if good else None


def _joined(parts: list[Any | None], name: str, announced: int | None) -> tuple[Joined, Array]:
    """All frames, and which of them are there. A missing part is as long as the longest; the last one as what is left.

    Raises:
        SourceError: They differ.
    """
    like = next(part for part in parts if part is not None)
    usual = max(part.shape[0] for part in parts if part is not None)
    starts, there = [0], []
    for number, part in enumerate(parts, 1):
        left = usual if announced is None or number < len(parts) else max(0, announced - starts[-1])
        count = min(usual, left) if part is None else part.shape[0]
        if part is not None and (part.shape[1:], part.dtype) != (like.shape[1:], like.dtype):
            raise SourceError(
                f"The frames of '{part.name}' are not like those before them.",
                field="path",
                value=f"{part.dtype} {part.shape[1:]}",
                expected=f"{like.dtype} {like.shape[1:]} as in the others of {name}",
            )
        starts.append(starts[-1] + count)
        there.append(np.full(count, part is not None))
    return Joined(tuple(parts), tuple(starts), like.shape[1:], like.dtype), np.concatenate(there)


def _announced(file: Any) -> int | None:
    """Frames of the series, as the detector was set."""
    triggers, images = (_number(file, f"{_SPECIFIC}/{name}") for name in ("ntrigger", "nimages"))
    return int(triggers * images) if triggers and images else None


def _scan(file: Any, count: int) -> tuple[int, ...] | None:
    """(triggers, images for each), where those are the frames."""
    triggers, images = (_number(file, f"{_SPECIFIC}/{name}") for name in ("ntrigger", "nimages"))
    if triggers and images and triggers > 1 and images > 1 and triggers * images == count:
        return int(triggers), int(images)
    return None


def _energy(file: Any) -> dict[str, Quantity | None]:
    """Of the beam, in keV: by its energy in eV, or its wavelength in Å."""
    for path in (f"{_SPECIFIC}/incident_energy", f"{_SPECIFIC}/photon_energy", "entry/instrument/beam/incident_energy"):
        energy = _number(file, path)
        if energy:
            return {"energy": Quantity(energy / 1e3, "keV")}
    length = _number(file, "entry/instrument/beam/incident_wavelength")
    return {"energy": Quantity(_HC / length, "keV")} if length else {}


def _words(file: Any) -> dict[str, str]:
    """What the file tells about the detector."""
    found: dict[str, str] = {}
    for name in ("description", "detector_number", "sensor_material", "count_time", "frame_time"):
        value = lookup(file, f"entry/instrument/detector/{name}")
        if is_dataset(value) and value.shape == ():
            held = value[()]
            found[name] = held.decode("utf-8", "replace") if isinstance(held, bytes) else str(held)
    return found


def _number(file: Any, path: str) -> float | None:
    """A positive number in a dataset, or None."""
    found = lookup(file, path)
    if not is_dataset(found) or found.dtype.kind not in "iuf" or found.size != 1:
        return None
    value = float(found[()] if found.shape == () else found[...].ravel()[0])
    return value if isfinite(value) and value > 0 else None
