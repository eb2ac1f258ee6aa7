"""Source over EMD files of Berkeley (NCEM) and of py4DSTEM: HDF5 with groups that say what they are."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError

from ..hdf5.files import attribute, groups, is_dataset, lookup, open_file
from ..recorded.frames import Recording
from ..recorded.place import boxes, volume
from ..recorded.scanned import ScannedSource
from .calibration import DETECTOR_UNITS, calibration_of

_KINDS = ("1", "array")
"""What the attribute ``emd_group_type`` of an array is in version 0.2 (NCEM) and 1.0 (emdfile, py4DSTEM)."""
_DEPTH = 6


class EmdSource(ScannedSource):
    """Plays a 4-D scan, or a stack of frames, of an EMD file as NCEM's programs and py4DSTEM (0.14 and later) write it.

    The last two axes are those of a frame. Steps (nm) and angles (mrad) come from the axes of the file. Velox files, which
    also end with ``.emd``, are read by the source ``microscopy``.
    """

    use: ClassVar[str] = "emd"

    dataset: str | None = None
    """Group of the array in the file, such as ``datacube_root/datacube``; default: the largest array of frames."""
    reverse: bool | None = None
    """The axes are in reverse (col row scan_x scan_y), as HyperSpy and Prismatic write them; default: true where the units of the first two axes are those of a detector."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for a file with an array of frames in such a group."""
        if path.suffix.lower() not in (".emd", ".h5", ".py4dstem"):
            return False
        try:
            with open_file(path) as file:
                return bool(_arrays(file))
        except (SourceError, OSError):
            return False

    def load(self) -> Recording:
        """Open the file and find the array.

        Raises:
            SourceError: There is none, or the scan does not fit.
        """
        path = self.path.expanduser()
        file = open_file(path)
        try:
            found = {name.strip("/"): group for name, group in _arrays(file)}
            wanted = self.dataset.strip("/") if self.dataset is not None else None
            if not found or (wanted is not None and wanted not in found):
                raise SourceError(
                    "The file has no array of frames there." if found else "The file has no array of frames.",
                    field="dataset",
                    value=self.dataset,
                    expected="one of " + ", ".join(found) if found else "a group with the attribute emd_group_type",
                )
            name = max(found, key=lambda each: found[each]["data"].size) if wanted is None else wanted
            axes = _axes(found[name], found[name]["data"].ndim)
            reverse = _in_reverse(axes) if self.reverse is None else self.reverse
            axes = axes[::-1] if reverse else axes
            frames = Flattened(found[name]["data"], reverse)
            for number, axis in enumerate(axes):
                axis["navigate"] = number < len(axes) - 2
            return self.scanned(
                frames,
                frames.scan if len(frames.scan) <= 2 else (prod(frames.scan),),
                calibration=calibration_of({"axes": axes}),
                metadata={"title": name},
                close=file.close,
            )
        except BaseException:
            file.close()
            raise


@dataclass(frozen=True, slots=True)
class Flattened:
    """A dataset whose scan axes count as one."""

    dataset: Any
    reverse: bool = False
    """The fastest axis is the first."""

    @property
    def _whole(self) -> tuple[int, ...]:
        return tuple(reversed(self.dataset.shape)) if self.reverse else tuple(self.dataset.shape)

    @property
    def scan(self) -> tuple[int, ...]:
        """Lengths of the scan axes."""
        return self._whole[:-2]

    @property
    def shape(self) -> tuple[int, ...]:
        """Frames, rows, columns."""
        return (prod(self._whole[:-2]), *self._whole[-2:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.dataset.dtype

    def __getitem__(self, where: tuple[slice, ...]) -> Array:
        """A block of frames."""
        first, last, _ = where[0].indices(self.shape[0])
        cuts = tuple(where[1:])
        flat: list[Array] = []
        for box in boxes(first, last, self.scan):
            where_in = (*box, *cuts)
            part = self.dataset[where_in[::-1]].T if self.reverse else self.dataset[where_in]
            flat.append(part.reshape(volume(box), *part.shape[-2:]))
        return flat[0] if len(flat) == 1 else np.concatenate(flat)


def _arrays(file: Any) -> list[tuple[str, Any]]:
    """Groups that hold arrays of frames, with their paths."""
    found: list[tuple[str, Any]] = []
    for name, group in groups(file, _DEPTH):
        kind = group.attrs.get("emd_group_type")
        told = kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)
        data = lookup(group, "data") if told in _KINDS else None
        if (
            data is not None
            and is_dataset(data)
            and data.ndim >= 3
            and data.dtype.kind in "biuf"
            and 0 not in data.shape
        ):
            found.append((name, group))
    return found


def _in_reverse(axes: list[dict[str, Any]]) -> bool:
    """True where the first two axes, and not the last two, have units of a detector behind a sample."""
    of_detector = [str(axis.get("units")) in DETECTOR_UNITS for axis in axes]
    return len(axes) > 3 and all(of_detector[:2]) and not any(of_detector[-2:])


def _axes(group: Any, count: int) -> list[dict[str, Any]]:
    """Scale and unit of each axis: positions in ``dim0`` … (emdfile), or ``dim1`` … (NCEM), where those are rising evenly."""
    first = 0 if lookup(group, "dim0") is not None else 1
    axes: list[dict[str, Any]] = []
    for number in range(count):
        found = lookup(group, f"dim{number + first}")
        axis: dict[str, Any] = {}
        if is_dataset(found) and found.ndim == 1 and found.size > 1 and found.dtype.kind in "iuf":
            start, following = (float(value) for value in found[:2])
            axis |= {"scale": following - start, "units": _spelled(attribute(found, "units") or "")}
        axes.append(axis)
    return axes


def _spelled(unit: str) -> str:
    """NCEM writes ``[n_m]`` for nm."""
    return unit.strip("[]").replace("_", "")
