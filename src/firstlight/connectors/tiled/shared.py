"""One tree for all sinks and views of a run that write into the same container."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .nodes import Address, Nodes
from .tree import Tree

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_open: dict[Address, _Shared] = {}


@dataclass(slots=True)
class _Shared:
    tree: Tree
    metadata: dict[str, Any]
    counted: dict[str, str] = field(default_factory=dict[str, str])
    """By name in the metadata: the node whose rows are counted."""
    users: int = 0
    complete: bool = True


def share(address: Address, metadata: Mapping[str, Any], memory: float) -> Tree:
    """The tree of a container; every call needs a `give_back`."""
    with _lock:
        found = _open.get(address)
        if found is None:
            told = dict(metadata)
            found = _open[address] = _Shared(Tree(lambda: Nodes(address, told), memory), told)
        found.metadata.update(metadata)
        found.users += 1
        return found.tree


def give_back(
    address: Address,
    *,
    complete: bool,
    patience: float,
    metadata: Mapping[str, Any],
    counted: Mapping[str, str] | None = None,
) -> list[str]:
    """Say that one user is done; the last one waits for the server. What is lacking, in words.

    Args:
        address: Of the container.
        complete: Whether all came that this user writes.
        patience: Seconds to wait at most.
        metadata: Of the container, beside what others said.
        counted: Further metadata: by name the node whose rows, as far as they are written, are counted.
    """
    with _lock:
        found = _open.get(address)
        if found is None:
            return []
        found.users -= 1
        found.complete &= complete
        found.metadata.update(metadata)
        found.counted.update(counted or {})
        if found.users:
            return []
        del _open[address]
    lacking = found.tree.release({**found.metadata, "complete": found.complete}, patience, found.counted)
    if lacking:
        _log.warning("The container %s of Tiled lacks: %s.", address.container, "; ".join(lacking))
    return lacking


def numbered(container: str, metadata: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Container and metadata for a further scan of the same run: the name carries the number, also where metadata repeat it."""
    old = container.rstrip("/").rpartition("/")[2]
    told = {name: f"{old}_{number}" if value == old else value for name, value in metadata.items()}
    return {"container": f"{container.rstrip('/')}_{number}", "metadata": told}
