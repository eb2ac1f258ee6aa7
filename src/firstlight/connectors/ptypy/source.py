"""Source over ``.ptyd`` files of ptypy: prepared diffraction data, in one file or in linked ones.

Layout: ``chunks/<i>/{data, positions, indices, weights}`` and ``meta/{energy (keV), distance (m), psize (m)}``. Positions are
those of the beam on the sample, along rows and columns, in metre.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError
from firstlight.core.units import Metre, Quantity

from ..hdf5.files import dataset, is_dataset, is_group, lookup, open_file, quantity, words
from ..hdf5.frames import DatasetReader, check_numbers, recorded, table
from ..hdf5.handles import Dataset, File, Group
from ..recorded.amplitudes import Joined
from ..recorded.diffraction import Diffraction, PositionUnit, diffraction_recording
from ..recorded.frames import Recording
from ..recorded.source import RecordedSource

_MOST_CHUNKS = 100_000
_BLOCK = 64
"""Frames of weights that are read at once."""


class PtydSource(RecordedSource):
    """Plays a ptychographic scan from a .ptyd file of ptypy: patterns, and the stream `positions` (y and x).

    Chunks that were saved as links are read from files beside this one, and from nowhere else. Pixels whose weight is zero in
    any frame do not count.
    """

    use: ClassVar[str] = "ptyd"
    cites: ClassVar[tuple[str, ...]] = ("10.1098/rspa.2016.0640",)
    sentence: ClassVar[str] = "Data were read from a file of ptypy."

    position_unit: PositionUnit = "m"
    """Of the positions; ptypy's is metre."""
    distance: Annotated[Metre, Field(gt=0)] | None = None
    """From the sample to the detector; default: what the file says."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True if the file has ptypy's chunks and meta."""
        try:
            with open_file(path) as file:
                return is_group(lookup(file, "chunks")) and is_group(lookup(file, "meta"))
        except (SourceError, OSError):
            return False

    def load(self) -> Recording:
        """Open the file and find patterns, positions and calibration.

        Raises:
            SourceError: The file can not be read, something that is needed is missing or makes no sense, or a linked chunk lies
                outside the folder of the file.
        """
        return recorded(self.path, self._record)

    def _record(self, file: File) -> Recording:
        chunks = _chunks(file)
        frames = [dataset(each, "data", "data") for each in chunks]
        for each in frames:
            check_numbers(each, "data", 3)
        reader = Joined([DatasetReader(each) for each in frames])
        calibration = {
            "pixel": _pixel(file),
            "energy": quantity(file, ("meta/energy",), "keV"),
            "distance": Quantity(self.distance, "m") if self.distance else quantity(file, ("meta/distance",), "m"),
        }
        found = Diffraction(
            reader,
            _places(file, chunks, reader.shape[0]),
            self.position_unit,
            self.path.stem,
            self.known(calibration),
            _bad(file, chunks, reader.shape[1:]),
            words(file, {"title": "meta/label"}),
        )
        return diffraction_recording(found)


def _chunks(file: File) -> list[Group]:
    """The chunks in the order of their numbers.

    Raises:
        SourceError: There is none, or a linked one is missing or lies elsewhere.
    """
    root: Any = lookup(file, "chunks")
    numbers = sorted((key for key in map(str, root) if key.isdigit()), key=int) if is_group(root) else []
    if not 0 < len(numbers) <= _MOST_CHUNKS:
        raise SourceError(
            f"The file {Path(file.filename).name} holds no chunks of frames.",
            field="path",
            value=len(numbers),
            expected=f"groups chunks/0, chunks/1 …, at most {_MOST_CHUNKS}",
            next_move="Wait until ptypy has written the first chunk, or name another file.",
        )
    return [_chunk(root, key) for key in numbers]


def _chunk(root: Group, key: str) -> Group:
    """One chunk; a link is followed by hand, so that it leads to a file beside this one or nowhere."""
    import h5py

    link: Any = root.get(key, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        folder = Path(root.file.filename).resolve().parent
        place = folder / Path(link.filename).name
        if not place.is_file():
            raise SourceError(
                f"Chunk {key} lies in {link.filename}, and there is no such file beside {Path(root.file.filename).name}.",
                field="path",
                value=link.filename,
                expected=f"{place.name} in the folder of the file that refers to it",
                next_move="Put the files of all chunks beside it.",
            )
        if place.resolve().parent != folder:
            raise SourceError(
                f"Chunk {key} leads out of the folder.",
                field="path",
                value=str(place.resolve()),
                expected=f"a file in {folder}",
            )
        found = lookup(open_file(place), link.path)
    else:
        found = lookup(root, key)
    if not is_group(found):
        raise SourceError(
            f"Chunk {key} is no group.", field="path", value=key, expected="a group with data and positions"
        )
    return found


def _places(file: File, chunks: list[Group], count: int) -> Array:
    """Rows and columns of the beam, shape (position, 2)."""
    if all(is_dataset(lookup(each, "positions")) for each in chunks):
        parts = [table(dataset(each, "positions", "positions"), "positions", 2) for each in chunks]
        if any(part.shape[1] != 2 for part in parts):
            raise SourceError(
                "Positions have no two coordinates.", field="positions", value=parts[0].shape, expected="(frames, 2)"
            )
        return np.concatenate(parts).astype(np.float64)
    for name in ("info/positions_scan", "info/positions_theory"):
        found = lookup(file, name)
        if is_dataset(found) and found.ndim == 2 and found.shape[0] >= count:
            return np.asarray(table(found, "positions", 2)[:count], np.float64)
    raise SourceError(
        "The file has no positions.",
        field="positions",
        value=None,
        expected="chunks/<i>/positions, one for each frame",
        next_move="Save them with ptypy (positions_theory, or a scan class that loads them).",
    )


def _pixel(file: File) -> Quantity | None:
    """Of the detector, where it is square.

    Raises:
        SourceError: It is not.
    """
    found = lookup(file, "meta/psize")
    if not is_dataset(found) or found.dtype.kind not in "iuf" or not 0 < found.size <= 2:
        return None
    sizes = np.asarray(found[()], np.float64).ravel()
    if not np.isfinite(sizes).all() or (sizes <= 0).any():
        return None
    if not np.allclose(sizes, sizes[0], rtol=1e-3):
        raise SourceError(
            "Pixels that are not square can not be used.", field="meta/psize", value=sizes.tolist(), expected="one size"
        )
    return Quantity(float(sizes[0]), "m")


def _bad(file: File, chunks: list[Group], shape: tuple[int, ...]) -> Array | None:
    """Pixels without weight, shape (row, col)."""
    bad = np.zeros(shape, bool)
    whole = lookup(file, "info/weight2d")
    if is_dataset(whole) and whole.shape == shape:
        bad |= ~(np.asarray(whole[()]) > 0)
    for each in chunks:
        for name in ("weights", "mask"):
            found = lookup(each, name)
            if is_dataset(found) and found.dtype.kind in "biuf" and found.shape[-2:] == shape and found.ndim <= 3:
                bad |= _without_weight(found)
    return bad if bad.any() else None


def _without_weight(found: Dataset) -> Array:
    if found.ndim == 2:
        return np.asarray(~(found[()] > 0))
    bad = np.zeros(found.shape[1:], bool)
    for start in range(0, found.shape[0], _BLOCK):
        bad |= ~(found[start : start + _BLOCK] > 0).all(axis=0)
    return bad
