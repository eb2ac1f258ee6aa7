"""Errors that name the field, the value, what was expected, and the next move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class FirstlightError(Exception):
    """Any mistake that firstlight can explain: what is wrong, and what to do next.

    Args:
        message: What is wrong, in one sentence.
        field: The parameter, dataset or record it concerns.
        value: The value that was found there.
        expected: What would have been right.
        next_move: What the user can do about it.
    """

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        value: Any = None,
        expected: str | None = None,
        next_move: str | None = None,
    ) -> None:
        """Compose the text from the parts that are given."""
        self.message = message
        self.field = field
        self.value = value
        self.expected = expected
        self.next_move = next_move
        super().__init__(self._text())

    def _text(self) -> str:
        parts = [self.message]
        if self.field is not None:
            shown = "" if self.value is None else f" = {_short(self.value)}"
            parts.append(f"({self.field}{shown})")
        if self.expected:
            parts.append(f"Expected {self.expected}.")
        if self.next_move:
            parts.append(self.next_move)
        return " ".join(parts)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by parts, so that errors cross process borders whole."""
        parts = (self.message, self.field, self.value, self.expected, self.next_move)
        return (_rebuild, (type(self), *parts))


def _rebuild(kind: type[FirstlightError], message: str, *parts: Any) -> FirstlightError:
    field, value, expected, next_move = parts
    error = kind.__new__(kind)
    FirstlightError.__init__(error, message, field=field, value=value, expected=expected, next_move=next_move)
    return error


def _short(value: Any, limit: int = 120) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


class AxesError(FirstlightError, ValueError):
    """A signature or a label that does not fit."""


class UnitError(FirstlightError, ValueError):
    """A quantity in a unit of the wrong dimension."""


class UnknownName(FirstlightError, KeyError):
    """A plugin, step, output or parameter that nobody knows."""

    def __str__(self) -> str:
        """Give the sentence itself; KeyError would quote it."""
        return self._text()


class SourceError(FirstlightError, OSError):
    """A source that can not be opened or read."""


class SinkError(FirstlightError, OSError):
    """A sink that can not be written."""


class MissingExtra(FirstlightError, ImportError):
    """An optional library is needed; the message names the extra that brings it."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        """Name the library, the extra that installs it and what it is for."""
        super().__init__(
            f"{purpose} needs the library '{library}', which is not installed.",
            field="extra",
            value=extra,
            next_move=f"Run: pip install 'firstlight[{extra}]'",
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by parts (the constructor differs from the parent's)."""
        parts = (self.message, self.field, self.value, self.expected, self.next_move)
        return (_rebuild, (type(self), *parts))


class StepFailed(FirstlightError, RuntimeError):
    """A step raised; names the step, its parameters and the frames it was working on."""


class ChangeRefused(FirstlightError, ValueError):
    """A parameter change that can not be applied to the running step."""


class Stopped(FirstlightError):
    """The run was stopped while something waited."""


class JobError(FirstlightError, ValueError):
    """Every mistake found in a job, in one report."""

    def __init__(self, problems: Sequence[str]) -> None:
        """Keep all problems; the text numbers them."""
        self.problems = list(problems)
        count = len(self.problems)
        head = "The job has one mistake:" if count == 1 else f"The job has {count} mistakes:"
        super().__init__(head + "".join(f"\n  {n}. {text}" for n, text in enumerate(self.problems, 1)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the list of problems."""
        return (JobError, (self.problems,))
