"""One file that several sinks fill: the first makes it, others of the same path add to it."""

from __future__ import annotations

from pathlib import Path

from firstlight.core.errors import SinkError

from .handles import File


def file_of_another(path: Path, what: str, first: str, use: str, *, head: str, taken: str) -> File:
    """The file that an earlier sink of the same run made.

    Args:
        path: Of the file.
        what: What is to be added.
        first: What the sink that makes the file writes.
        use: Name of these sinks.
        head: What a file of that sink holds.
        taken: What would be there if it had been added before.

    Raises:
        SinkError: It is not there, or is not just made.
    """
    import h5py

    try:
        file = h5py.File(path, "r+", locking=False)
    except OSError as error:
        raise SinkError(
            f"There is no file to add the {what} to ({error}).",
            field="path",
            value=str(path),
            next_move=f"Write the {first} first: a sink '{use}' with role {first} and the same path, before this one.",
        ) from error
    if head not in file or taken in file:
        file.close()
        raise SinkError(
            f"The file is none of a sink '{use}' without a {what}.",
            field="path",
            value=str(path),
            expected="one just made",
        )
    return file
