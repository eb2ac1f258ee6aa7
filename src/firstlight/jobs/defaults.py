"""A good default job for what a file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from firstlight.core import registry
from firstlight.core.errors import FirstlightError, SourceError

SINKS = {".h5": "hdf5", ".hdf5": "hdf5", ".nxs": "hdf5", ".nx": "hdf5"}


def default_job(path: str | Path, out: str | Path) -> dict[str, Any]:
    """The job that reconstructs a recorded scan: the centre found by itself, filtered back-projection.

    Args:
        path: The recorded scan.
        out: Where the result goes; its ending chooses the format.

    Raises:
        SourceError: No source recognises the file.
        FirstlightError: No sink writes such an ending.
    """
    steps: list[dict[str, Any]] = [
        {"use": "flat_field"},
        {"use": "minus_log"},
        {"use": "find_center"},
        {"use": "fbp", "inputs": ["minus_log"], "center": {"from": "find_center"}},
    ]
    return {
        "name": Path(path).stem,
        "source": {"use": source_of(path), "path": str(path)},
        "steps": steps,
        "sinks": [{"use": sink_of(out), "of": "fbp", "path": str(out)}],
    }


def source_of(path: str | Path) -> str:
    """The name of the source that recognises a file.

    Raises:
        SourceError: The file does not exist, or no source knows its layout.
    """
    if not Path(path).exists():
        raise SourceError("There is no such file.", field="path", value=str(path), next_move="Check the path.")
    _read_at_all(Path(path))
    for name in registry.names("sources"):
        recognises = getattr(_load(name), "recognises", None)
        if recognises is not None and recognises(Path(path)):
            return name
    raise SourceError(
        "No source recognises this file.",
        field="path",
        value=str(path),
        expected="a Data Exchange or NXtomo file",
        next_move="Use the source 'hdf5' in a job file, and name the datasets and axes yourself.",
    )


_HDF5 = b"\x89HDF\r\n\x1a\n"


def _read_at_all(path: Path) -> None:
    """Say it where a file is no scan that anybody could recognise: a folder, empty, cut short, or not ours to read.

    Raises:
        SourceError: It is one of these.
    """
    if path.is_dir():
        raise SourceError("This is a folder.", field="path", value=str(path), expected="a file")
    try:
        with path.open("rb") as file:
            head = file.read(len(_HDF5))
    except OSError as error:
        raise SourceError(
            f"The file can not be read: {error.strerror}.", field="path", value=str(path), next_move="Ask its owner."
        ) from error
    if not head:
        raise SourceError(
            "The file is empty.", field="path", value=str(path), next_move="Copy it again from where it was written."
        )
    if head == _HDF5:
        from firstlight.connectors.hdf5.files import open_file  # reads h5py: only once there is something to read

        open_file(path).close()


def _load(name: str) -> Any:
    try:
        return registry.get("sources", name)
    except ImportError:
        return None


def sink_of(out: str | Path) -> str:
    """The name of the sink for a file's ending.

    Raises:
        FirstlightError: None writes it.
    """
    ending = Path(out).suffix.lower()
    if ending not in SINKS:
        raise FirstlightError(
            "No sink writes this ending.", field="out", value=str(out), expected="one of " + " ".join(sorted(SINKS))
        )
    return SINKS[ending]
