"""Folders and files below the roots that the service's owner named; nothing else exists here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from firstlight.core.errors import FirstlightError, UnknownName
from firstlight.jobs.links import lies_in

from .models import Entry, Folder, Root

MOST_ENTRIES = 5000
"""Entries of a folder that are listed; a page with more helps nobody."""
HDF5 = frozenset({".h5", ".hdf5", ".hdf", ".nxs", ".nx", ".cxi", ".emd", ".he5"})
"""Endings of files whose structure can be shown."""


def roots_of(roots: Sequence[Path]) -> list[Root]:
    """The roots, each with a name that tells it from the others."""
    found = [root.expanduser().resolve() for root in roots]
    names = [root.name or str(root) for root in found]
    return [
        Root(name=name if names.count(name) == 1 else str(root), path=str(root))
        for name, root in zip(names, found, strict=True)
    ]


def inside(path: str | Path, roots: Sequence[Path]) -> Path:
    """The path with all links followed, if it exists below a root.

    Raises:
        UnknownName: It does not; whether something exists outside is not told.
    """
    place = Path(path)
    try:
        found = place.resolve(strict=True) if place.is_absolute() else None
    except (OSError, ValueError, RuntimeError):  # nothing there, a NUL in the name, links in a circle
        found = None
    if found is None or not lies_in(found, roots):
        raise UnknownName(
            "There is no such file below the folders of this service.",
            field="path",
            value=str(path),
            expected=", ".join(str(root) for root in roots) or "a folder given by '--root'",
            next_move="Choose one that is listed, or start the service with '--root FOLDER'.",
        )
    return found


def listing(path: str | Path, roots: Sequence[Path]) -> Folder:
    """What a folder holds: folders first, then files, without hidden ones and without links that lead outside.

    Raises:
        UnknownName: There is no such folder below the roots.
        FirstlightError: It is a file, or it can not be read.
    """
    place = inside(path, roots)
    if not place.is_dir():
        raise FirstlightError("This is no folder.", field="path", value=str(path), next_move="Choose a folder.")
    try:
        names = sorted(name for name in os.listdir(place) if not name.startswith("."))
    except OSError as error:
        raise FirstlightError(
            f"The folder can not be read: {error.strerror}.", field="path", value=str(path), next_move="Ask its owner."
        ) from error
    entries = [entry for name in names[:MOST_ENTRIES] if (entry := _entry(place / name, roots)) is not None]
    entries.sort(key=lambda entry: (entry.kind != "folder", entry.name.lower()))
    parent = str(place.parent) if lies_in(place.parent, roots) else None
    return Folder(path=str(place), parent=parent, entries=entries, left_out=max(0, len(names) - MOST_ENTRIES))


def _entry(path: Path, roots: Sequence[Path]) -> Entry | None:
    try:
        if path.is_symlink() and not lies_in(path.resolve(strict=True), roots):
            return None
        found = path.stat()
    except (OSError, RuntimeError):  # gone meanwhile, a broken link, or not ours to see
        return None
    if path.is_dir():
        return Entry(name=path.name, path=str(path), kind="folder", modified=found.st_mtime)
    if not path.is_file():
        return None
    hdf5 = path.suffix.lower() in HDF5
    return Entry(
        name=path.name, path=str(path), kind="file", bytes=found.st_size, modified=found.st_mtime, structure=hdf5
    )


def free_name(path: Path) -> Path:
    """The path, or with a number where it is taken: nothing is overwritten by default."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.stem}_{number}{path.suffix}")
    return found
