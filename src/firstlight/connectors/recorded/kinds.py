"""Which images of a folder are projections, darks and flats: told by the names of files, or of folders in it."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from firstlight.core.errors import SourceError

from .listing import listed

_STARTS = {"darks": ("dark",), "flats": ("flat", "white", "bright", "open", "refer", "refhst")}
"""Words that begin so, anywhere in a name."""
_FIRST = {
    "darks": ("drk", "di", "df"),
    "flats": ("ref", "refs", "io", "ob", "ff", "bak", "bg"),
}
"""First words, whole: those of Octopus, the ESRF and the Australian Synchrotron among them."""
_AFTER = re.compile(r"(after|post|end)")
_PROJECTIONS = ("proj", "tomo", "radio", "scan", "sample", "raw", "image", "img", "data")
_MOST = 0.8
"""Images that are called alike are the projections if they are so large a part of those that are no darks or flats."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """Parameters of a source, and how they were found, in words."""

    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    told: Sequence[str] = ()


def kinds_of(folder: Path, endings: tuple[str, ...]) -> Kinds:
    """Find projections, darks and flats in a folder.

    Args:
        folder: A folder of images, or of folders of images.
        endings: Endings of files that are images.

    Returns:
        ``path`` or ``pattern`` of the projections, and ``darks``, ``flats``, ``darks_after`` and ``flats_after`` where there are any; empty if
        the names do not tell.
    """
    try:
        files = listed(folder, endings, None, "path")
    except SourceError:
        return _of_folders(folder, endings)
    return _of_files(folder, [file.name for file in files])


def in_folders(folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    """``path``, ``darks``, ``flats`` … of a folder that holds no images itself, but folders of them; empty for others."""
    found = {} if folder.is_file() or "*" in folder.name else kinds_of(folder, endings).parameters
    return {name: Path(where) for name, where in found.items()} if "path" in found else {}


def _of_files(folder: Path, names: list[str]) -> Kinds:
    kinds = _grouped(names, kind_of)
    rest = kinds.pop(None, [])
    alike = max(_grouped(rest, _without_numbers).values(), key=len, default=[])
    main = _pattern(alike, names)
    if main is None or len(alike) < _MOST * len(rest):
        return Kinds()
    patterns = {str(kind): _pattern(group, names) for kind, group in kinds.items()}
    found = {kind: str(folder / pattern) for kind, pattern in patterns.items() if pattern is not None}
    left = sorted(set(rest) - set(alike))
    told = [f"{kind.replace('_', ' ')} are the files {patterns[kind]}" for kind in found]
    if not told and not left:
        return Kinds()
    told.append(f"projections are the files {main}")
    if left:
        told.append(f"left out, because not called like the others: {_few(left)}")
    return Kinds({**found, "pattern": main}, told)


def _grouped(names: Iterable[str], key: Callable[[str], str | None]) -> dict[str | None, list[str]]:
    groups: dict[str | None, list[str]] = {}
    for name in names:
        groups.setdefault(key(name), []).append(name)
    return groups


def _without_numbers(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _of_folders(folder: Path, endings: tuple[str, ...]) -> Kinds:
    found: dict[str, str] = {}
    rest: list[Path] = []
    for inner in sorted(each for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else ():
        if not any(each.name.lower().endswith(endings) for each in inner.iterdir()):
            continue
        kind = kind_of(inner.name)
        if kind is None:
            rest.append(inner)
        else:
            found.setdefault(kind, str(inner))
    named = [inner for inner in rest if inner.name.lower().startswith(_PROJECTIONS)]
    chosen = named if len(named) == 1 else rest
    if len(chosen) != 1:
        return Kinds()
    main = chosen[0]
    told = [f"{kind.replace('_', ' ')} are in {Path(where).name}" for kind, where in found.items()]
    left = [inner.name for inner in rest if inner != main]
    told += [f"projections are in {main.name}", *([f"{_few(left)} left out"] if left else [])]
    return Kinds({**found, "path": str(main)}, told)


def kind_of(name: str) -> str | None:
    """``darks``, ``flats``, the same with ``_after``, or None for anything else.

    >>> kind_of("scan_dark_0001.tif"), kind_of("flatsAfter"), kind_of("flats2"), kind_of("darkness_0.tif"), kind_of("tomo_1.tif")
    ('darks', 'flats_after', 'flats_after', 'darks', None)
    """
    stem = name.partition(".")[0].lower()
    words = re.findall(r"[a-z]+", stem)
    for kind, starts in _STARTS.items():
        if any(word.startswith(starts) for word in words) or words[:1] in [[first] for first in _FIRST[kind]]:
            second = "." not in name and stem.endswith("2")  # a folder of files: of files it is the second of one set
            after = second or _AFTER.search(stem)
            return f"{kind}_after" if after else kind
    return None


def _pattern(group: list[str], names: Iterable[str]) -> str | None:
    """A pattern that these names match and no others of the folder do; None if there is none so simple."""
    if len(group) < 2:
        return next(iter(group), None)
    first, last = min(group), max(group)
    same = next((place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    start = glob.escape(first[:same].rstrip("0123456789"))
    endings = {Path(name).suffix for name in group}
    end = glob.escape(endings.pop()) if len(endings) == 1 else ""
    patterns = (f"{start}{any_}{end}" for any_ in ("[0-9]*", "*"))
    return next((each for each in patterns if {name for name in names if fnmatch(name, each)} == set(group)), None)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
