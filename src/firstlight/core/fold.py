"""Folds: steps that accumulate frames into a result.

Law: the result depends on the set of (id, frame), not on how they were split, ordered or timed, within `tolerance`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from .arrays import Array
from .chunk import Chunk, Gap, Scan
from .errors import ChangeRefused
from .held import Held
from .one_pass import Sums, Wanted
from .step import Step

State = TypeVar("State")
Read = Callable[[Mapping[str, slice]], Array]
"""Reads frames of the main stream once more; axes that are not named are whole."""


class Fold(Step, Generic[State]):
    """A step with memory. Its state has one owner thread; `result` runs there, between two `add`s, and never aliases it."""

    tolerance: ClassVar[float] = 1e-5
    """Relative difference allowed between two orders of the same frames."""
    follows: ClassVar[dict[str, dict[str, str]]] = {}
    """Per output: which parameter moves the picture along an axis, such as ``{"xy": {"z": "z"}}``."""
    windowed: ClassVar[bool] = False
    """True if only adjacent parts may be merged."""
    rereads: ClassVar[bool] = False
    """True if it makes use of frames that can be read again; its source then stays open as long as the fold."""

    @abstractmethod
    def empty(self, scan: Scan) -> State:
        """The state before the first frame."""

    def digest(self, chunk: Chunk) -> Chunk:
        """The part of `add` that needs no state; worker threads do it, several chunks at once."""
        return chunk

    def wanted(self, size: tuple[int, int]) -> Wanted | None:
        """What `digest` sums of frames of a size (rows, columns), where it is a sum that other steps can share a pass with."""
        return None

    def digest_sums(self, chunk: Chunk, sums: Sums) -> Chunk:
        """What `digest` gives, made of sums that are known; only called where `wanted` asks for some."""
        return self.digest(chunk)

    def digests_like(self, other: Any) -> bool:
        """True if `digest` does the same with the parameters of `other`: what was digested with those can be added."""
        return self == other

    def negligible(self, other: Any) -> bool:
        """True if going over to the parameters of `other` would not be seen.

        A live fold stays as it is when another step finds such a value, until its end, whose result is exact.
        """
        return False

    @abstractmethod
    def add(self, state: State, chunk: Chunk, *held: Held) -> None:
        """Take the frames of one (digested) chunk into the state."""

    def miss(self, state: State, gap: Gap) -> None:
        """Learn that some frames will not come."""

    @abstractmethod
    def result(self, state: State) -> dict[str, Array]:
        """New arrays, one per output; may be called early, often, or never."""

    def ready(self, state: State) -> bool:
        """False while a result would mean nothing yet; the runner then neither shows it nor hands it on."""
        return True

    def coverage(self, state: State) -> float | None:
        """The share of what the result needs that has come, 0…1, or None if that has no meaning here."""
        return None

    def findings(self, state: State) -> dict[str, Any]:
        """What the final result means, in plain values for the run's report."""
        return {}

    def chosen(self, state: State) -> dict[str, Any]:
        """What this step took for parameters that leave the choice to it (``method: auto``), for the record."""
        return {}

    def remarks(self, state: State) -> tuple[str, ...]:
        """What a user must know of the final result (that it is doubtful), or why there is none; each is told as a warning."""
        return ()

    def may_read(self, state: State, read: Read | None) -> None:
        """Learn, before the first frame, how frames of the source can be read again; None: they can not.

        Raises:
            FirstlightError: The parameters ask for something that needs it.
        """

    def refine(self, state: State) -> bool:
        """Improve a coarse result in idle time; True if there is more to do afterwards or the result got better."""
        return False

    def merge(self, state: State, other: State) -> State:
        """Combine two states of disjoint frames.

        Raises:
            ChangeRefused: This fold can not be merged.
        """
        raise ChangeRefused(f"'{self.use}' can not be merged.", field="merge", value=self.use)

    def adapt(self, state: State, old: Any) -> State:
        """Convert the state of the `old` parameters to these.

        Raises:
            ChangeRefused: That can not be done without the frames; the caller may restart the fold instead.
        """
        raise ChangeRefused(
            f"'{self.use}' can not change its parameters while it runs.",
            field="parameters",
            value=self.use,
            next_move="Stop the run and start it with the new values.",
        )

    def save(self, state: State) -> dict[str, Any]:
        """The state as arrays and plain values, for `load`.

        Raises:
            ChangeRefused: This fold can not be saved.
        """
        raise ChangeRefused(f"The state of '{self.use}' can not be saved.", field="save", value=self.use)

    def load(self, saved: dict[str, Any], scan: Scan) -> State:
        """The state that `save` wrote.

        Raises:
            ChangeRefused: This fold can not be restored.
        """
        raise ChangeRefused(f"The state of '{self.use}' can not be restored.", field="load", value=self.use)
