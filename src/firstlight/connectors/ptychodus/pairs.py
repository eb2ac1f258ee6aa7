"""Which two files belong together: diffraction patterns, and the product with positions and probe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from firstlight.core.errors import SourceError

from ..hdf5.files import is_dataset, lookup, open_file
from ..hdf5.handles import File

PATTERNS = ("dp", "patterns")
"""Names that ptychodus and pty-chi give to diffraction patterns (position row col)."""
X, Y = "probe_position_x_m", "probe_position_y_m"
_ENDINGS = (".h5", ".hdf5", ".hdf", ".nxs")
_NAMES = (
    ("_dp", "_para"),
    ("dp_", "metadata_"),
    ("diffraction", "product"),
    ("patterns", "product"),
    ("-patterns", "-product"),
    ("_dp", "_product"),
)
"""How the names of the two differ, as programs and their tests write them."""
_MOST = 200
"""Files of a folder that are looked into."""


def patterns_in(file: File) -> str | None:
    """Name of the dataset with patterns, if the file has one."""
    for name in PATTERNS:
        found: Any = lookup(file, name)
        if is_dataset(found) and found.ndim == 3:
            return name
    return None


def is_product(file: File) -> bool:
    """True for the positions of a product."""
    return is_dataset(lookup(file, X)) and is_dataset(lookup(file, Y))


def partner(path: Path, *, product: bool) -> Path:
    """The other file of a pair, in the same folder.

    Args:
        path: One of the two.
        product: True if the product is wanted, False for the patterns.

    Raises:
        SourceError: There is none, or several would do; the message names the option.
    """
    named = [place for place in _by_name(path, product=product) if _fits(place, product=product)]
    if named:
        return named[0]
    others = sorted(each for each in path.parent.iterdir() if each.suffix.lower() in _ENDINGS and each != path)
    fitting = [each for each in others[:_MOST] if _fits(each, product=product)]
    if len(fitting) == 1:
        return fitting[0]
    option, what = (
        ("product", f"positions ({X} and {Y})") if product else ("patterns", f"patterns ({' or '.join(PATTERNS)})")
    )
    raise SourceError(
        f"The file {path.name} needs another one with its {what}, and "
        + (f"{len(fitting)} files beside it have some." if fitting else "none beside it has any."),
        field=option,
        value=None,
        expected="the path of that file",
        next_move=f"Give --set source.{option}=FILE.",
    )


def _by_name(path: Path, *, product: bool) -> list[Path]:
    found: list[Path] = []
    for dp, para in _NAMES:
        ours, theirs = (dp, para) if product else (para, dp)
        if ours in path.stem:
            head, _, tail = path.stem.rpartition(ours)
            found.append(path.with_name(f"{head}{theirs}{tail}{path.suffix}"))
    return found


def _fits(path: Path, *, product: bool) -> bool:
    try:
        with open_file(path) as file:
            return is_product(file) if product else patterns_in(file) is not None
    except (SourceError, OSError):
        return False
