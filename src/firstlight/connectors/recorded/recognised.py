"""Which source reads a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from firstlight.core import registry

LAST = ("hdf5",)
"""Sources that are asked last: they take any file of their family."""


def recognising(path: Path) -> str | None:
    """Name of the first source that knows the layout of a file or folder; None if none does."""
    for name in sorted(registry.names("sources"), key=lambda name: (name in LAST, name)):
        recognises = getattr(source_class(name), "recognises", None)
        if recognises is not None and recognises(path):
            return name
    return None


def source_class(name: str) -> Any:
    """A source; None if what it needs is not installed."""
    try:
        return registry.get("sources", name)
    except ImportError:
        return None
