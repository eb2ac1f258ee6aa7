"""Find a scan on a Tiled server, and in it what a nanoprobe recorded: frames, encoders and the start document."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError

DETECTORS = ("eiger2_image", "eiger1_image", "eiger2", "eiger1", "merlin1", "merlin2")
"""Names of frames, best first."""
LAYOUTS = ("primary", "streams/primary", "primary/data")
"""Where a run keeps its arrays: as servers of different age have it."""
ENCODERS = (("inenc2_val", "inenc3_val"), ("zpssx", "zpssy"), ("dssx", "dssy"), ("ssx", "ssy"))
"""Names of the fast and the slow axis."""
_NEWEST = 200
"""Runs that are looked through for a number where the server can not search."""


def find_run(root: Any, uid: str | None, scan_id: int | None) -> Any:
    """The run of a catalogue.

    Args:
        root: Client of the catalogue, of the server's root, or of the run itself.
        uid: Unique name of the run.
        scan_id: Its number, which a beamline gives out again and again: of several the newest wins.

    Raises:
        SourceError: There is none.
    """
    if uid is not None:
        found = _by_uid(root, uid)
    elif scan_id is not None:
        found = _by_number(root, scan_id)
    else:
        found = root if _start(root) else None
    if found is None:
        raise SourceError(
            "The server has no such scan.",
            field="uid" if uid is not None else "scan_id",
            value=uid if uid is not None else scan_id,
            expected="the uid or the scan_id of a run in this catalogue, or the address of the run itself",
            next_move="Check it in the catalogue, and that the key may read it.",
        )
    return found


def _catalogues(root: Any) -> list[Any]:
    """The container itself, and those in it that are no runs: an address may be that of the server's root."""
    found = [root]
    for child in islice(_children(root), 50):
        if not _start(child) and hasattr(child, "keys"):
            found += [
                child,
                *(each for each in islice(_children(child), 20) if not _start(each) and hasattr(each, "keys")),
            ]
    return found


def _children(node: Any) -> Any:
    return (node[key] for key in islice(iter(node), _NEWEST)) if hasattr(node, "keys") else iter(())


def _by_uid(root: Any, uid: str) -> Any | None:
    if _start(root).get("uid") == uid:
        return root
    for catalogue in _catalogues(root):
        if uid in catalogue:
            return catalogue[uid]
        for run in _searched(catalogue, "uid", uid):
            return run
    return None


def _by_number(root: Any, scan_id: int) -> Any | None:
    if _start(root).get("scan_id") == scan_id:
        return root
    found = [run for catalogue in _catalogues(root) for run in _searched(catalogue, "scan_id", scan_id)]
    return max(found, key=lambda run: float(_start(run).get("time", 0.0)), default=None)


def _searched(catalogue: Any, name: str, value: Any) -> list[Any]:
    """Runs whose start document says so: by the server's own search, or one by one."""
    from tiled.queries import Key

    try:
        return list(catalogue.search(Key(f"start.{name}") == value).values())
    except Exception:  # servers without search answer in many ways
        return [run for run in _children(catalogue) if _start(run).get(name) == value]


def _start(node: Any) -> Mapping[str, Any]:
    """The start document of a run; empty for anything else."""
    metadata = getattr(node, "metadata", None)
    found = metadata.get("start") if isinstance(metadata, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def start_of(run: Any) -> dict[str, Any]:
    """The start document, as plain values."""
    return dict(_start(run))


def arrays_of(run: Any) -> Any:
    """The container with the arrays of a run.

    Raises:
        SourceError: No layout that is known fits.
    """
    for layout in LAYOUTS:
        node = run
        for part in layout.split("/"):
            node = node[part] if hasattr(node, "keys") and part in node else None
            if node is None:
                break
        if node is not None and any(name in node for name in DETECTORS):
            return node
    raise SourceError(
        "The run has no frames.",
        field="uid",
        value=str(_start(run).get("uid")),
        expected=f"one of {', '.join(DETECTORS)} in {' or '.join(LAYOUTS)}",
        next_move="Name another run, or the detector: --set source.detector=NAME.",
    )


def axis_of(node: Any, names: tuple[str, ...]) -> tuple[str, Array] | None:
    """The first of some encoders, flat."""
    for name in names:
        if name in node:
            return name, np.asarray(node[name].read(), np.float64).ravel()
    return None


def baseline(run: Any, name: str) -> float | None:
    """A number of the run's baseline, as it was before the scan."""
    for layout in ("baseline", "streams/baseline", "baseline/data"):
        node = run
        for part in (*layout.split("/"), name):
            node = node[part] if hasattr(node, "keys") and part in node else None
            if node is None:
                break
        if node is not None and hasattr(node, "read"):
            values = np.asarray(node.read(), np.float64).ravel()
            if len(values) and np.isfinite(values[0]):
                return float(values[0])
    return None
