"""The images of a group by their names: projections, and the sets of darks and flats.

Layout as the public readers of these files have it (``read_als_832h5`` of dxchange, the beamline's own scripts): a group
``NAME`` with the settings of the scan as attributes, and in it ``NAME_0000_0012.tif`` (projection 12),
``NAMEbak_0003_0012.tif`` and ``NAMEdrk_0003_0012.tif`` (bright and dark image 3, taken at projection 12).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from firstlight.core.errors import SourceError

from ..hdf5.files import attribute, is_dataset, is_group, lookup, names
from ..hdf5.handles import File, Group

_DEPTH = 4
_MOST = 10**6
"""More projections are no scan."""
_KINDS = {"": "data", "bak": "flat", "drk": "dark"}


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of the images, in the order in which they were taken."""

    group: Group
    projections: Mapping[int, str]
    """By number, rising."""
    sets: Mapping[str, Mapping[int, tuple[str, ...]]]
    """Of ``dark`` and ``flat``: those taken together, by the number of the projection at which they were taken."""


def find_group(file: Group, depth: int = _DEPTH) -> Group | None:
    """The only group, or the only one in it, that holds images called after it; None if there is none.

    Raises:
        SourceError: The file is damaged there.
    """
    held = names(file)
    inner = lookup(file, held[0]) if len(held) == 1 else None
    if not is_group(inner) or depth == 0:
        return None
    return inner if any(kind == "data" for kind, *_ in _images(inner)) else find_group(inner, depth - 1)


def find_layout(file: File) -> Layout:
    """Sort the images of a file.

    Raises:
        SourceError: There are none, or those of several scans.
    """
    group = find_group(file)
    if group is None:
        raise SourceError(
            "The file has no group with images called after it.",
            field="path",
            value=file.filename,
            expected="NAME/NAME_0000_0000.tif, NAME/NAMEbak_0000_0000.tif …, as beamline 8.3.2 of the ALS wrote them",
            next_move="Use another source, or convert the file.",
        )
    found: dict[str, dict[int, dict[int, str]]] = {kind: {} for kind in _KINDS.values()}
    for kind, index, place, name in _images(group):
        found[kind].setdefault(place, {})[index] = name
    several = sorted({index for images in found["data"].values() for index in images})
    if len(several) > 1 or max(found["data"]) >= _MOST:
        raise SourceError(
            f"The projections have the numbers {several[:4]}, and go up to {max(found['data'])}: that is not one scan.",
            field="path",
            value=file.filename,
            expected=f"one scan of at most {_MOST} projections",
            next_move="Convert the scan that you want to a DXfile or a folder of TIFF.",
        )
    projections = {place: found["data"][place][several[0]] for place in sorted(found["data"])}
    sets = {
        kind: {place: tuple(found[kind][place][n] for n in sorted(found[kind][place])) for place in sorted(found[kind])}
        for kind in ("dark", "flat")
        if found[kind]
    }
    return Layout(group, projections, sets)


def _images(group: Group) -> Iterator[tuple[str, int, int, str]]:
    """Kind, the two numbers, and the name of each image; names begin with that of the group, or of the object."""
    held = names(group)
    for base in ((group.name or "").rpartition("/")[2], attribute(group, "object")):
        form = re.compile(rf"{re.escape((base or '').strip())}(bak|drk|)_(\d{{1,9}})_(\d{{1,9}})\.tiff?")
        found = [(name, match) for name in held if (match := form.fullmatch(name))]
        if found:
            break
    else:
        return
    for name, match in found:
        if is_dataset(lookup(group, name)):
            yield _KINDS[match[1]], int(match[2]), int(match[3]), name
