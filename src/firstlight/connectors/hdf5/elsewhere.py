"""Dark and flat frames that lie in a file of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from firstlight.core.errors import SourceError

from .files import dataset, is_dataset, lookup, open_file, walk
from .handles import Dataset, File, Group

_USUAL: Mapping[str, tuple[str, ...]] = {
    "dark": ("exchange/data_dark", "entry/instrument/detector/darkfield"),
    "flat": ("exchange/data_white", "entry/instrument/detector/flatfield"),
}
"""Where a whole scan, given for its darks or flats, has them."""


def elsewhere(file: Group, path: str, name: str, frame: tuple[int, ...]) -> Dataset:
    """The dataset of dark or flat frames: of this file, of ``FILE:PATH``, or the one of a file that fits.

    Args:
        file: The file of the scan.
        path: Path in it, ``FILE:PATH``, or ``FILE``; files may lie beside that of the scan.
        name: ``dark`` or ``flat``.
        frame: Rows and columns of a frame.

    Raises:
        SourceError: It is missing, or several datasets of the file could be meant.
    """
    other, colon, inner = path.rpartition(":")
    place = _place(file, other if colon else path)
    if not colon and (is_dataset(lookup(file, path)) or not place.is_file()):
        return dataset(file, path, f"{name}s")
    opened = open_file(place)
    try:
        return dataset(opened, inner, f"{name}s") if colon else _fitting(opened, name, frame)
    except BaseException:
        opened.close()
        raise


def _place(file: Group, name: str) -> Path:
    place = Path(name).expanduser()
    return place if place.is_absolute() or place.is_file() else Path(file.file.filename).parent / place


def _fitting(file: File, name: str, frame: tuple[int, ...]) -> Dataset:
    """The one dataset of frames of this size."""
    for path in _USUAL[name]:
        usual = lookup(file, path)
        if is_dataset(usual):
            return usual
    found = {
        path: each
        for path, each in walk(file)
        if each.ndim in (2, 3) and each.shape[-2:] == frame and each.dtype.kind in "iuf"
    }
    # links may lead to the same frames by several paths
    different = {(each.file.filename, each.name): path for path, each in found.items()}
    if len(different) == 1:
        return next(iter(found.values()))
    names = sorted(different.values())
    raise SourceError(
        f"The file {file.filename} has {len(different) or 'no'} datasets with frames of {' × '.join(map(str, frame))}.",
        field=f"{name}s",
        value=file.filename,
        expected="one of them",
        next_move=f"Name it: {file.filename}:{names[0]}" if names else "Name another file.",
    )
