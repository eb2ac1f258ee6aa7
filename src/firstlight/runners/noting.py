"""How a run notes on the disk what is done: line by line, and a line that a kill cut short does not count."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from firstlight.core.errors import StepFailed


def whole_lines(path: Path) -> list[str]:
    """The lines of a file; what stands behind the last end of a line is taken away, so that the next one begins anew."""
    text = path.read_bytes()
    end = text.rfind(b"\n") + 1
    if end < len(text):
        with noted(path), path.open("r+b") as file:
            file.truncate(end)
    return text[:end].decode().splitlines()


@contextmanager
def noted(path: Path) -> Iterator[None]:
    """Turns a refusal of the disk into a sentence.

    Raises:
        StepFailed: The disk is full.
    """
    try:
        yield
    except OSError as error:
        raise StepFailed(
            f"How far the run has come can not be noted: {error.strerror}.",
            field="path",
            value=str(path),
            next_move="Free the disk, then run the same job with --resume.",
        ) from error
