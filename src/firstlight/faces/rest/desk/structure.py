"""The structure of HDF5 files, as h5grove tells it to the viewer in the page.

Whatever points at other files is looked at before it is followed, so that no file leads out of the roots.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import h5py

from firstlight.core.errors import FirstlightError, UnknownName
from firstlight.jobs.links import leads_outside, names_in

from .places import inside

LARGEST = 256 << 20
"""Bytes of one answer: the viewer asks for one image or one line at a time."""


def structure(question: dict[str, Any], roots: Sequence[Path]) -> tuple[dict[str, Any], bytes]:
    """Answer one of h5grove's routes: ``meta``, ``attr``, ``data``, ``stats`` or ``paths``.

    Args:
        question: ``what``, ``file``, ``path`` inside it, and h5grove's own arguments.
        roots: Folders that it may read.

    Returns:
        Headers, and the body.

    Raises:
        UnknownName: There is no such file, or no such path in it.
        FirstlightError: The path leads out of the roots, the answer is too large, or the question makes no sense.
    """
    from h5grove.encoders import encode
    from h5grove.utils import NotFoundError, QueryArgumentError

    path = posixpath.normpath("/" + str(question.get("path") or "/")).replace("//", "/")
    try:
        with h5py.File(inside(question["file"], roots), "r", locking=False) as file:
            refuse_ways_out(file, path, roots)
            answer = encode(_answer(file, path, question, roots), question.get("format") or "json")
    except (NotFoundError, KeyError) as error:
        raise UnknownName("There is nothing of that name in the file.", field="path", value=path) from error
    except (QueryArgumentError, TypeError, ValueError, IndexError) as error:
        raise FirstlightError(f"The question is not understood: {error}.", field=str(question["what"])) from error
    except OSError as error:
        raise FirstlightError(f"The file can not be read: {error}.", field="file", value=question["file"]) from error
    return dict(answer.headers), answer.content


def _answer(file: h5py.File, path: str, question: dict[str, Any], roots: Sequence[Path]) -> Any:
    from h5grove.content import DatasetContent, GroupContent, ResolvedEntityContent, create_content

    content, what = create_content(file, path), question["what"]
    if what == "meta":
        if isinstance(content, GroupContent):
            children = [_child(file, posixpath.join(path, name), roots) for name in cast("Any", file[path])]
            return {**content.metadata(0), "children": children}
        return content.metadata()
    if what == "paths":
        return list(names_in(file, path))
    if what == "attr" and isinstance(content, ResolvedEntityContent):
        names = question.get("attr_keys")
        return content.attributes([str(name) for name in names] if names else None)
    if what in ("data", "stats") and isinstance(content, DatasetContent):
        selection = question.get("selection")
        _check_size(cast("h5py.Dataset", file[path]), selection)
        if what == "stats":
            return content.data_stats(selection)
        return content.data(selection, bool(question.get("flatten")), question.get("dtype") or "origin")
    raise FirstlightError("This has no such thing.", field=str(what), value=path, next_move="Choose a dataset.")


def _child(file: h5py.File, path: str, roots: Sequence[Path]) -> Any:
    from h5grove.content import create_content
    from h5grove.models import LinkResolution

    follow = not leads_outside(file, path, roots)
    content = create_content(file, path, LinkResolution.ONLY_VALID if follow else LinkResolution.NONE)
    try:
        return content.metadata(0)  # pyright: ignore[reportCallIssue]
    except TypeError:
        return content.metadata()


def _check_size(dataset: h5py.Dataset, selection: str | None) -> None:
    """Refuse what would take more memory than any screen can show.

    Raises:
        FirstlightError: It would.
    """
    from h5grove.utils import parse_slice

    count, shape = 1, dataset.shape or ()
    parts = parse_slice(selection) if selection else ()
    for number, size in enumerate(shape):
        part = parts[number] if number < len(parts) else slice(None)
        count *= 1 if isinstance(part, int) else len(range(*part.indices(size)))
    wanted = count * dataset.dtype.itemsize
    if wanted > LARGEST:
        raise FirstlightError(
            f"This would be {wanted} bytes.",
            field="selection",
            value=selection,
            expected=f"at most {LARGEST} bytes",
            next_move="Choose a part, such as one slice.",
        )


def refuse_ways_out(file: h5py.File, path: str, roots: Sequence[Path]) -> None:
    """Refuse a path that leads to a file outside of the roots.

    Raises:
        UnknownName: It does.
    """
    if leads_outside(file, path, roots):
        raise UnknownName(
            "This leads to a file outside the folders of this service.",
            field="path",
            value=path,
            next_move="Start the service with '--root' for the folder of that file as well.",
        )
