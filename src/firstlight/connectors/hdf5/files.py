"""Open HDF5 files and find what they hold; every failure names the file, the dataset and the next move."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core.errors import SourceError, UnitError
from firstlight.core.units import Quantity, factor

from .handles import Dataset, File, Group
from .superblock import ends_early

_SPELLINGS = {
    "microns": "um",
    "micrometer": "um",
    "micrometers": "um",
    "millimeter": "mm",
    "millimeters": "mm",
    "meter": "m",
    "meters": "m",
    "metre": "m",
    "kev": "keV",
    "KeV": "keV",
    "ev": "eV",
}
"""Units as files spell them, by the symbol that we know."""

_DEPTH = 10
"""Groups nested deeper than this are not searched: links may go round in circles."""


def open_file(path: Path) -> File:
    """Open a file for reading, also one that a program is still writing.

    No lock is taken: a lock held by a reader could keep a detector's writer from opening its file.

    Raises:
        SourceError: There is no such file, it is not HDF5, or it is truncated.
    """
    import h5py
    import hdf5plugin  # noqa: F401  (registers the compression filters)

    path = path.expanduser()
    if not path.is_file():
        raise SourceError("There is no such file.", field="path", value=str(path), next_move=_near(path))
    try:
        file = h5py.File(path, "r", locking=False)
        return _beyond(path, file) if ends_early(path) else file
    except OSError as error:
        if "locking flag" in str(error):
            # this process has it open already, with a lock; HDF5 wants both the same way
            return h5py.File(path, "r")
        if "already open for write" in str(error):
            return open_swmr(path, error)
        raise _unreadable(path, error) from error


def _beyond(path: Path, file: File) -> File:
    """The same file in SWMR mode, in which HDF5 also reads what lies beyond the end that the file states."""
    import h5py

    file.close()
    try:
        return h5py.File(path, "r", swmr=True, locking=False)
    except OSError:  # this process has it open already in the ordinary way, and HDF5 wants both alike
        return h5py.File(path, "r", locking=False)


def open_swmr(path: Path, error: Exception) -> File:
    """Open a file whose writer uses SWMR, or was killed while it did.

    Args:
        path: The file.
        error: Why it could not be opened in the ordinary way; raised again, in words, if this fails too.

    Raises:
        SourceError: It can not be opened like this either.
    """
    import h5py

    try:
        return h5py.File(path, "r", libver="latest", swmr=True, locking=False)
    except OSError:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> SourceError:
    size = path.stat().st_size
    if "truncated" in str(error):
        return SourceError(
            f"The file is cut short: it has {size} byte and its own header says that there are more ({error}).",
            field="path",
            value=str(path),
            next_move="Copy it again from where it was written, or wait until the copy is complete.",
        )
    return SourceError(
        f"The file can not be opened as HDF5 ({error}).",
        field="path",
        value=str(path),
        expected="an HDF5 file, complete and readable",
        next_move=f"Check its size ({size} byte) and your permission to read it.",
    )


def damaged(path: Path, error: Exception) -> SourceError:
    """The error of a file that opens, and in which a part can not be read."""
    return SourceError(
        f"A part of the file can not be read ({error}).",
        field="path",
        value=str(path),
        next_move="The file is damaged, or its compression is not known here: try to read it with another program.",
    )


def _near(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"The folder {folder} does not exist either."
    close = difflib.get_close_matches(path.name, [entry.name for entry in folder.iterdir()], n=3, cutoff=0.5)
    return f"In that folder there is: {', '.join(close)}." if close else "Check the spelling."


def lookup(root: Group, path: str) -> Any:
    """A dataset or group, or None if it is missing, its link dangles, or the type of its values is damaged."""
    try:
        found = root[path]
        return found if not is_dataset(found) or found.dtype is not None else None
    except (KeyError, OSError, RuntimeError, TypeError, ValueError):
        return None


def names(group: Group) -> list[str]:
    """What a group holds.

    Raises:
        SourceError: The file is damaged there.
    """
    try:
        return [*map(str, group)]
    except (KeyError, RuntimeError) as error:  # what h5py raises of damaged links
        raise damaged(Path(group.file.filename), error) from error


def neighbour(found: Dataset, name: str) -> Any:
    """What lies beside a dataset under another name, or None."""
    try:
        return lookup(found.parent, name)
    except KeyError:
        return None  # reached through links of two files: it goes by a path of the other one


def is_dataset(found: Any) -> bool:
    """True for an HDF5 dataset."""
    import h5py

    return isinstance(found, h5py.Dataset)


def is_group(found: Any) -> bool:
    """True for an HDF5 group."""
    import h5py

    return isinstance(found, h5py.Group)


def dataset(root: Group, path: str, field: str) -> Dataset:
    """A dataset that must be there.

    Args:
        root: The file or a group of it.
        path: Where it should be.
        field: The parameter that named it, for the error.

    Raises:
        SourceError: It is missing, a link to it dangles, or a virtual dataset lacks its sources.
    """
    found = lookup(root, path)
    if is_dataset(found):
        _check_virtual(found, field)
        return found
    name = root.file.filename
    broken = dangling(root, path)
    if broken is not None:
        raise SourceError(
            f"In {name} the link {broken}.",
            field=field,
            value=path,
            next_move="Put that file where the link points, or name another dataset.",
        )
    kind = "is a group, not a dataset" if is_group(found) else "does not exist"
    raise SourceError(
        f"The dataset '{path}' {kind} in {name}.",
        field=field,
        value=path,
        expected="a dataset",
        next_move=_offer(root.file, path),
    )


def _offer(root: Group, wanted: str) -> str:
    held = [name for name, found in walk(root) if found.ndim > 0][:200]
    if not held:
        return "The file holds no arrays at all."
    close = difflib.get_close_matches(wanted, held, n=3, cutoff=0.5)
    return (
        f"Did you mean {' or '.join(close)}?"
        if close
        else f"The file holds {', '.join(held[:8])}{' …' if len(held) > 8 else ''}."
    )


def walk(root: Group, depth: int = _DEPTH) -> Iterator[tuple[str, Dataset]]:
    """All datasets that can be reached, through soft and external links too, with their paths; dangling links are passed over.

    Raises:
        SourceError: The file is damaged in a group.
    """
    for key in names(root):
        found = lookup(root, key)
        path = f"{str(root.name).rstrip('/')}/{key}"
        if is_dataset(found):
            yield path, found
        elif is_group(found) and depth > 0:
            for inner, each in walk(found, depth - 1):
                yield path + inner[len(str(found.name).rstrip("/")) :], each


def groups(root: Group, depth: int = 4, _seen: set[tuple[int, int]] | None = None) -> Iterator[tuple[str, Group]]:
    """The group itself and all groups below it, with their paths; each once, though several links may lead to it.

    Raises:
        SourceError: The file is damaged there.
    """
    import h5py

    seen: set[tuple[int, int]] = set() if _seen is None else _seen
    try:
        about: Any = h5py.h5o.get_info(root.id)  # pyright: ignore[reportAttributeAccessIssue]
    except RuntimeError as error:
        raise damaged(Path(root.file.filename), error) from error
    if (about.fileno, about.addr) in seen:
        return
    seen.add((about.fileno, about.addr))
    yield root.name or "/", root
    for key in names(root) if depth > 0 else ():
        found = lookup(root, key)
        if is_group(found):
            yield from groups(found, depth - 1, seen)


def dangling(root: Group, path: str, _links: int = _DEPTH) -> str | None:
    """The first link on a path that leads nowhere, as ``'path' points to file:path, and …``; None if there is none.

    Of soft links that lead to further links, the last one is named.
    """
    import h5py

    group: Any = root.file if path.startswith("/") else root
    walked = "" if path.startswith("/") else (root.name or "").rstrip("/")
    for part in path.strip("/").split("/"):
        if not is_group(group) or part not in names(group):
            return None
        link = group.get(part, getlink=True)
        walked += f"/{part}"
        inner = lookup(group, part)
        if inner is None and isinstance(link, h5py.ExternalLink):
            target = Path(group.file.filename).parent / link.filename
            why = (
                "that file is there, but can not be opened or holds no such object"
                if target.exists()
                else "that file is not there"
            )
            return f"'{walked}' points to {link.filename}:{link.path}, and {why}"
        if inner is None and isinstance(link, h5py.SoftLink):
            further = dangling(group, link.path, _links - 1) if _links else None
            return further or f"'{walked}' points to {link.path}, and that object is not there"
        group = inner
    return None


def _check_virtual(found: Dataset, field: str) -> None:
    """HDF5 itself would silently read zeros where a source of a virtual dataset is missing."""
    if not found.is_virtual:
        return
    folder = Path(found.file.filename).parent
    for source in found.virtual_sources():
        plain = source.file_name != "." and "%" not in source.file_name
        if plain and not (folder / source.file_name).exists():
            raise SourceError(
                f"The virtual dataset '{found.name}' in {found.file.filename} needs {source.file_name}:{source.dset_name}, and that file is not there.",
                field=field,
                value=found.name,
                next_move="Put the file beside the one that refers to it.",
            )


def text(value: Any) -> str | None:
    """An attribute or a string dataset as text, or None."""
    value = value[()] if is_dataset(value) else value
    value = value.flat[0] if isinstance(value, np.ndarray) and value.size == 1 else value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def attribute(found: Any, name: str) -> str | None:
    """A text attribute, or None."""
    try:
        return text(found.attrs.get(name))
    except (OSError, RuntimeError, TypeError, ValueError):  # damaged, or of a type that h5py does not know
        return None


def quantity(root: Group, paths: tuple[str, ...], unit: str, *, positive: bool = True) -> Quantity | None:
    """The first of some datasets that holds a usable number.

    Args:
        root: Where the paths start.
        paths: Candidates, best first.
        unit: The unit of a dataset that does not state its own, which also names the dimension.
        positive: Pass over zero and negative numbers, which files hold where nobody filled the field in.
    """
    for path in paths:
        found = lookup(root, path)
        if not is_dataset(found) or found.size < 1 or found.dtype.kind not in "iuf":
            continue
        value = float(np.asarray(found[()]).flat[0])
        stated = attribute(found, "units") or unit
        stated = _SPELLINGS.get(stated, stated)
        if not np.isfinite(value) or (positive and value <= 0):
            continue
        try:
            if factor(stated)[0] == factor(unit)[0]:
                return Quantity(value, stated)
        except UnitError:
            continue
    return None


def words(root: Group, paths: dict[str, str]) -> dict[str, str]:
    """The texts that are there, by the name they get."""
    found = {
        name: text(each) for name, path in paths.items() if is_dataset(each := lookup(root, path)) and each.size == 1
    }
    return {name: value for name, value in found.items() if value}
