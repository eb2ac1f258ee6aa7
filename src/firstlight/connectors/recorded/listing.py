"""Files of a folder, in the order in which a person counts them."""

from __future__ import annotations

import re
from pathlib import Path

from firstlight.core.errors import SourceError

MOST = 10**6
"""More files than this in one folder are not looked at."""


_PART = re.compile(r"\[(\d{0,9}):(\d{0,9})\]$")
"""Some of the files that a pattern matches, in their order: the first, and that behind the last."""


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Key by which ``img_9`` comes before ``img_10``."""
    parts = re.split(r"(\d+)", name.lower())
    return tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts)


def listed(path: Path, endings: tuple[str, ...], pattern: str | None, field: str) -> list[Path]:
    """The files that a path means: itself, those of a folder, or those that a name with ``*`` matches.

    Args:
        path: A file, a folder, or a folder and a pattern, such as ``scan/dark_*.tif``; ``scan/img_*.tif[0:20]`` are the first 20 of these.
        endings: Endings that count in a folder, in lower case.
        pattern: Names that count in a folder, instead of the endings.
        field: The parameter that named it, for the error.

    Raises:
        SourceError: There is nothing of that kind.
    """
    path = path.expanduser()
    if path.is_file():
        return [path]
    if "*" in path.name:
        path, pattern = path.parent, path.name
    part = None if pattern is None else _PART.search(pattern)
    if part is not None:
        whole = listed(path, endings, part.string[: part.start()], field)
        chosen = whole[slice(*(int(end) if end else None for end in part.groups()))]
        if chosen:
            return chosen
        raise SourceError(
            "There are not so many files.",
            field=field,
            value=pattern,
            expected=f"a part of {len(whole)} files, such as [0:{len(whole)}]",
        )
    if not path.is_dir():
        raise SourceError("There is no such file or folder.", field=field, value=str(path), next_move="Check the path.")
    found: list[Path] = []
    for entry in path.iterdir():
        named = pattern is not None and bool(Path(pattern).suffix)
        usual = named or (entry.name.lower().endswith(endings) and not entry.name.startswith("."))
        wanted = usual and (pattern is None or entry.match(pattern))
        if wanted and entry.is_file():
            found.append(entry)
        if len(found) > MOST:
            raise SourceError(
                "There are too many files.", field=field, value=str(path), expected=f"at most {MOST} files in a folder"
            )
    if not found:
        raise SourceError(
            "The folder holds no such file.",
            field=field,
            value=str(path),
            expected=f"files that match {pattern}" if pattern else "files that end with " + ", ".join(endings),
        )
    return sorted(found, key=lambda entry: natural(entry.name))
