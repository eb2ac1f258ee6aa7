"""Where HDF5 files lead: by external links, by virtual datasets, by raw data in files of their own.

Each such pointer is looked at before it is followed, so that a job from the network reads no file outside of the roots.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import h5py

DEEPEST = 8
"""Links that lead to links."""


def lies_in(place: Path, roots: Sequence[Path]) -> bool:
    """True if a resolved path lies below one of the roots."""
    return any(place.is_relative_to(root.expanduser().resolve()) for root in roots)


def ways_out(path: Path, roots: Sequence[Path]) -> list[str]:
    """The names in an HDF5 file behind which lies a file outside of the roots; none for any other file."""
    if not path.is_file() or not h5py.is_hdf5(path):
        return []
    try:
        with h5py.File(path, "r", locking=False) as file:
            return [name for name in names_in(file, "/") if leads_outside(file, name, roots)]
    except (OSError, RuntimeError, KeyError):
        return []  # damaged: told by the source that opens it, which gets no further


def names_in(file: h5py.File, path: str) -> Iterator[str]:
    """Names in this very file: links are not followed."""
    found: list[bytes] = []
    group = cast("Any", file[path])  # kept: its links are read through it
    group.id.links.visit(found.append)
    return (posixpath.join(path, name.decode(errors="replace")) for name in found)


def leads_outside(file: h5py.File, path: str, roots: Sequence[Path], depth: int = 0) -> bool:
    """True if some link on the way to a path, or the data behind it, lies in a file outside of the roots."""
    if depth > DEEPEST:
        return True
    at = "/"
    parts = [part for part in path.split("/") if part]
    for number, part in enumerate(parts):
        here = posixpath.join(at, part)
        group = file.get(at)
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        rest = "/".join(parts[number + 1 :])
        if isinstance(link, h5py.ExternalLink):
            return _outside(file, link.filename, posixpath.join("/", link.path, rest), roots, depth)
        if isinstance(link, h5py.SoftLink):
            target = posixpath.normpath(posixpath.join(at, link.path, rest))
            return leads_outside(file, target, roots, depth + 1)
        if link is None:
            return False  # nothing there: told by who opens it
        at = here
    found = file.get(at)
    return isinstance(found, h5py.Dataset) and _stored_outside(found, roots, depth)


def _stored_outside(dataset: h5py.Dataset, roots: Sequence[Path], depth: int) -> bool:
    """True if a dataset is made of parts of files outside of the roots."""
    if any(not _all_inside(dataset.file, name, roots) for name, *_ in dataset.external or ()):
        return True
    if not dataset.is_virtual:
        return False
    sources = {(source.file_name, source.dset_name) for source in dataset.virtual_sources()}
    return any(
        leads_outside(dataset.file, name, roots, depth + 1)
        if where == "."
        else _outside(dataset.file, where, name, roots, depth)
        for where, name in sources
    )


def _outside(file: h5py.File, name: str, path: str, roots: Sequence[Path], depth: int) -> bool:
    if not _all_inside(file, name, roots):
        return True
    found = next((place for place in _candidates(file, name) if place.is_file()), None)
    if found is None:
        return False  # a broken link leads nowhere
    try:
        with h5py.File(found, "r", locking=False) as other:
            return leads_outside(other, path, roots, depth + 1)
    except OSError:
        return False


def _all_inside(file: h5py.File, name: str, roots: Sequence[Path]) -> bool:
    """True if every file that HDF5 might take for this name lies in the roots."""
    return all(lies_in(place.resolve(), roots) for place in _candidates(file, name) if place.exists())


def _candidates(file: h5py.File, name: str) -> tuple[Path, ...]:
    """Where HDF5 looks: beside the file that points there, the name alone beside it, and in the current folder."""
    folder = Path(file.filename).parent
    return folder / name, folder / Path(name).name, Path.cwd() / name
