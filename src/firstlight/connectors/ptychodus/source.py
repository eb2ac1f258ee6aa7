"""Source over the files of ptychodus and pty-chi: diffraction patterns, and the product HDF5 file with positions and probe.

Layout: ``dp`` or ``patterns`` (position row col), counts with the zero frequency in the middle, with ``indexes`` (the number of each
pattern), ``bad_pixels`` and attributes beside (ptychodus 1.7); in the product ``probe_position_indexes``, ``probe_position_x_m``,
``probe_position_y_m``, ``probe``, ``object``, and attributes of the file. Columns of the object rise with x, rows with y.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, PrivateAttr

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError
from firstlight.core.units import Metre, Quantity

from ..hdf5.files import dataset, is_dataset, lookup, open_file
from ..hdf5.frames import DatasetReader, check_numbers, recorded, table
from ..hdf5.handles import Dataset, File
from ..recorded.diffraction import Diffraction, PositionUnit, diffraction_recording
from ..recorded.frames import Recording
from ..recorded.source import RecordedSource
from .pairs import X, Y, is_product, partner, patterns_in

_ENERGY = ("photon_energy_eV", "probe_energy_eV")
"""Attribute of the product: as ptychodus 1.7 writes it, and as earlier ones did."""
_HC = 1.239841984e-6
"""Planck's constant times the speed of light, in eV m."""


class PtychodusSource(RecordedSource):
    """Plays a ptychographic scan from two files of ptychodus or pty-chi: patterns, and a product with positions and probe.

    Either of the two may be named; the other one is looked for beside it. Frames without a position are excluded. The product's
    probe is offered as the one to begin with.
    """

    use: ClassVar[str] = "ptychodus"

    product: Path | None = None
    """File with positions and probe; default: the one beside the patterns."""
    patterns: Path | None = None
    """File with the patterns; default: the one beside the product."""
    data: str | None = None
    """Name of the patterns (position row col) in their file; default: dp or patterns."""
    position_unit: PositionUnit = "m"
    """Of the positions; theirs is metre."""
    distance: Annotated[Metre, Field(gt=0)] | None = None
    """From the sample to the detector; default: what the product says."""

    _probe: Path | None = PrivateAttr(None)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for a product, and for patterns that have no positions of their own."""
        try:
            with open_file(path) as file:
                return is_product(file) or (patterns_in(file) is not None and lookup(file, "points") is None)
        except (SourceError, OSError):
            return False

    def load(self) -> Recording:
        """Open both files and find patterns, positions and calibration.

        Raises:
            SourceError: A file can not be read or found, or something that is needed is missing or makes no sense.
        """
        frames, product = self._places()
        return recorded(frames, lambda file: self._record(file, product))

    def first_probe(self) -> Path | None:
        """File with a probe that fits the frames, once the source is open."""
        return self._probe

    def _places(self) -> tuple[Path, Path]:
        """The file with the patterns, and the product; one file may be both."""
        with open_file(self.path) as file:
            product, frames = is_product(file), self.data is not None or patterns_in(file) is not None
        if not product and not frames:
            raise SourceError(
                f"The file {self.path.name} is none of ptychodus.",
                field="path",
                value=str(self.path),
                expected="patterns or a product",
            )
        found = self.patterns or (self.path if frames else partner(self.path, product=False))
        return found, self.product or (self.path if product else partner(self.path, product=True))

    def _record(self, file: File, product: Path) -> Recording:
        frames = dataset(file, self.data or patterns_in(file) or "dp", "data")
        check_numbers(frames, "data", 3)
        reader = DatasetReader(frames)
        with open_file(product) as beside:
            places = placed(beside, reader.shape[0], numbers(file, reader.shape[0]))
            steps = _steps(beside)
            optics = self._optics(beside, _detector(frames), steps, reader.shape[1:])
            self._probe = product if _has_probe(beside, reader.shape[1:]) else None
        unit = self.position_unit
        if unit == "m" and "pixel" not in optics and steps is not None:
            # nobody knows the detector, but how large a pixel of the object is
            places, unit = places / np.asarray(steps), "px"
        found = Diffraction(reader, places, unit, self.path.stem, optics, _bad(file, reader.shape[1:]))
        return diffraction_recording(found)

    def _optics(
        self, product: File, pixel: float | None, steps: tuple[float, float] | None, window: tuple[int, ...]
    ) -> dict[str, Quantity]:
        """Energy, distances, and the detector's pixel: as stated, or what makes the object's pixel, p = λ z / (N Δ)."""
        energy = (
            self.energy * 1e3 if self.energy else next(filter(None, (_attribute(product, x) for x in _ENERGY)), None)
        )
        distance = self.distance or _attribute(product, "detector_object_distance_m")
        near = not bool(product.attrs.get("far_field", True))
        focus = _attribute(product, "focus_object_distance_m") if near else None
        known: dict[str, Quantity | None] = {
            "energy": Quantity(energy, "eV") if energy else None,
            "distance": Quantity(distance, "m") if distance else None,
            "source_distance": Quantity(focus, "m") if focus else None,
            "pixel": Quantity(pixel, "m") if pixel else None,
        }
        if pixel is None and not near and energy and distance and steps is not None:
            pixels = [_HC / energy * distance / (count * step) for count, step in zip(window, steps, strict=True)]
            if np.isclose(*pixels, rtol=1e-3):
                known["pixel"] = Quantity(pixels[0], "m")
        return self.known(known)


def numbers(patterns: File, count: int) -> Array | None:
    """The number of each pattern, shape (frame,), where the file states them; positions name patterns by these.

    Raises:
        SourceError: They are not as many whole numbers as patterns, each different from the others.
    """
    found = lookup(patterns, "indexes")
    if not is_dataset(found):
        return None
    values = table(found, "indexes", 1)
    if values.dtype.kind not in "iu" or len(values) != count or len(np.unique(values)) != count:
        raise SourceError(
            "The numbers of the patterns make no sense.",
            field="indexes",
            value=f"{values.dtype} {values.shape}",
            expected=f"{count} different whole numbers",
        )
    return values


def placed(product: File, count: int, names: Array | None = None) -> Array:
    """Of the beam along rows (y) and columns (x) for each frame, shape (frame, 2), in metre; NaN where there is none.

    Of a point that was named several times the mean counts.

    Args:
        product: With positions.
        count: Number of frames.
        names: By which the product names frames; None: their place in the file.

    Raises:
        SourceError: Coordinates and indexes have different lengths, or name frames that do not exist.
    """
    y, x = (table(dataset(product, name, "positions"), "positions", 1) for name in (Y, X))
    found = lookup(product, "probe_position_indexes")
    indexes = table(found, "positions", 1) if is_dataset(found) else np.arange(len(y))
    if not len(x) == len(y) == len(indexes):
        raise SourceError(
            "The positions of the product do not fit together.",
            field="positions",
            value=(len(y), len(x), len(indexes)),
            expected="y, x and index of each point",
        )
    rows = _rows(indexes, count, names)
    sums, times = np.zeros((count, 2)), np.bincount(rows[rows >= 0], minlength=count)
    np.add.at(sums, rows[rows >= 0], np.stack([y, x], axis=1)[rows >= 0])
    with np.errstate(invalid="ignore"):
        return np.where(times[:, None] > 0, sums / times[:, None], np.nan)


def _rows(indexes: Array, count: int, names: Array | None) -> Array:
    """Which frame each point belongs to; −1: none that was kept.

    Raises:
        SourceError: They name frames that do not exist.
    """
    if indexes.dtype.kind in "iu" and len(indexes):
        if names is None and indexes.min() >= 0 and indexes.max() < count:
            return indexes.astype(np.int64)
        if names is not None and np.isin(indexes, names).any():
            order = np.argsort(names)
            at = np.minimum(np.searchsorted(names, indexes, sorter=order), count - 1)
            return np.where(names[order[at]] == indexes, order[at], -1)
    raise SourceError(
        "The product names frames that do not exist.",
        field="positions",
        value=[float(indexes.min()), float(indexes.max())] if len(indexes) else [],
        expected=f"whole numbers from 0 to {count - 1}" if names is None else "numbers of the patterns",
        next_move="Name the product that belongs to these patterns: --set source.product=FILE.",
    )


def _detector(frames: Dataset) -> float | None:
    """Pixel of the detector in metre, where the patterns state a square one."""
    sizes = [frames.attrs.get(f"detector_pixel_{side}_m") for side in ("height", "width")]
    if not all(isinstance(size, int | float | np.number) and np.isfinite(size) and 0 < size < 1 for size in sizes):
        return None
    return float(sizes[0]) if np.isclose(sizes[0], sizes[1], rtol=1e-3) else None  # pyright: ignore[reportArgumentType]


def _bad(patterns: File, shape: tuple[int, ...]) -> Array | None:
    """Pixels that do not measure."""
    found: Any = lookup(patterns, "bad_pixels")
    if not is_dataset(found) or found.shape != shape or found.dtype.kind not in "biu":
        return None
    return np.asarray(found[()]) != 0


def _attribute(file: File, name: str) -> float | None:
    """A positive number that is an attribute of the file; distances behind the sample are negative in some."""
    try:
        value = abs(float(file.attrs[name]))
    except (KeyError, OSError, TypeError, ValueError):
        return None
    return value if np.isfinite(value) and value > 0 else None


def _steps(product: File) -> tuple[float, float] | None:
    """Height and width of a pixel of the object in metre, as probe or object state it."""
    for name in ("object", "probe"):
        found: Any = lookup(product, name)
        if not is_dataset(found):
            continue
        sizes = [found.attrs.get(f"pixel_{side}_m") for side in ("height", "width")]
        if all(isinstance(size, int | float | np.number) and np.isfinite(size) and 0 < size < 1 for size in sizes):
            return float(sizes[0]), float(sizes[1])  # pyright: ignore[reportArgumentType]
    return None


def _has_probe(product: File, window: tuple[int, ...]) -> bool:
    """True for a probe of the frames' size that has light."""
    found: Any = lookup(product, "probe")
    if not is_dataset(found) or found.dtype.kind != "c" or found.ndim not in (2, 3, 4) or found.shape[-2:] != window:
        return False
    if found.size * found.dtype.itemsize > 2**28:
        return False
    try:
        values = np.asarray(found[()])
    except OSError:
        return False
    return bool(np.isfinite(values).all() and np.abs(values).max() > 0)
