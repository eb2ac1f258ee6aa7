"""A connection to a PandABox that lasts over many captures: one thread receives, and sorts samples into captures."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import zmq

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, End, Gap
from firstlight.core.handover import HandOver
from firstlight.core.silence import Silence
from firstlight.core.source import FOLLOWING_KEPT

from .messages import Message, Samples, Start, Stop
from .places import Averages, Placed
from .receiver import Receiver

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What becomes of samples, and how long to wait for them."""

    channels: tuple[str, str]
    """Of the slow axis and of the fast one."""
    upsample: int
    window: int
    memory: int
    """Bytes of positions that may wait for a reader."""
    positions: int | None
    idle: float
    timeout: float
    places: Callable[[Array], Array]
    """Makes positions of counts, both of shape (position, 2)."""


class Capture:
    """One capture: the link's thread fills it (`take`, `tick`, `finish`), one source reads it (`handover`)."""

    def __init__(self, wanted: Wanted) -> None:
        """Start before the first sample."""
        self._wanted = wanted
        self.averages = Averages(wanted.channels, wanted.upsample, wanted.window)
        self.handover = HandOver(wanted.memory)
        self.over = False
        """No sample will be taken any more."""
        self.silent = False
        """It is over because no sample came in time."""
        self.failed = ""
        """Why receiving failed."""
        self._silence: Silence | None = None
        """Since a sample came last, or somebody began to wait for one."""
        self._settled = 0
        self._stop_asked = threading.Event()

    @property
    def begun(self) -> bool:
        """True once samples have come."""
        return self.averages.begun

    # ---- the reader ----------------------------------------------------------------------------------------------

    def listen(self) -> None:
        """Begin to wait: from now on silence is an error."""
        if not self.begun:
            self._silence = Silence()

    def stop(self) -> None:
        """Ask for an early end; what has arrived is delivered."""
        self._stop_asked.set()

    # ---- the thread ----------------------------------------------------------------------------------------------

    def take(self, samples: Samples) -> None:
        """Take the samples of one message."""
        placed, gaps = self.averages.take(samples)
        if self.begun:
            self._silence = Silence()
        self._hand_on(placed, gaps)
        if self._wanted.positions is not None and self._settled >= self._wanted.positions:
            self.finish()

    def tick(self) -> None:
        """End when asked to, or after too long a pause."""
        waited = 0.0 if self._silence is None else self._silence.look()
        self.silent = not self.begun and waited > self._wanted.timeout
        if self._stop_asked.is_set() or self.silent or (self.begun and waited > self._wanted.idle):
            self.finish()

    def finish(self, stop: Stop | None = None) -> None:
        """Take no more; what is missing becomes gaps."""
        if self.over:
            return
        self._hand_on(None, self.averages.finish(stop))
        self.over = True
        self.handover.put(End())
        self.handover.close()

    def _hand_on(self, placed: Placed | None, gaps: list[Gap]) -> None:
        """Give positions and gaps to the reader; what is not a number is rejected."""
        for gap in gaps:
            self.handover.put(gap)
            self._settled += len(gap)
        if placed is None:
            return
        end = self._wanted.positions
        keep = np.ones(len(placed.ids), bool) if end is None else placed.ids < end
        places, ids = self._wanted.places(placed.values[keep]), placed.ids[keep]
        self._settled += len(ids)
        known = np.isfinite(places).all(axis=1)
        for wrong in ids[~known].tolist():
            self.handover.put(Gap(0, wrong, wrong, "its position is not a number", "rejected"))
        if known.any():
            self.handover.put(Chunk(places[known], ("yx",), ids[known]))


class Link:
    """Receives from one PandABox until it is closed.

    Args:
        receiver: Where messages come from; closed at the end.
        wanted: What becomes of them.
    """

    def __init__(self, receiver: Receiver, wanted: Wanted) -> None:
        """Start receiving."""
        self._receiver, self._wanted = receiver, wanted
        self._current = Capture(wanted)
        self._waiting = deque([self._current])
        """Captures that nobody has taken."""
        self._promised: deque[Capture] = deque()
        """Captures that somebody waits for already."""
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._over, self._why = False, ""
        self._thread = threading.Thread(target=self._run, name="panda receiver", daemon=True)
        self._thread.start()

    # ---- from other threads --------------------------------------------------------------------------------------

    def take(self) -> Capture:
        """The oldest capture that nobody has taken; if there is none, the one that comes next."""
        with self._changed:
            if self._waiting:
                found = self._waiting.popleft()
            else:
                found = Capture(self._wanted)
                self._promised.append(found)
            found.listen()
            if self._over:
                self._end(found)
            return found

    def begun(self, timeout: float) -> bool:
        """True once samples of a capture that nobody has taken are there; waits up to `timeout` second for them."""
        with self._changed:
            return self._changed.wait_for(lambda: any(each.begun for each in self._waiting), timeout)

    def close(self) -> None:
        """Disconnect; harmless when called twice."""
        self._stopping.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=10.0)

    # ---- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                messages = self._receiver.some()
                with self._changed:
                    for message in messages or ():
                        self._handle(message)
                    for capture in (self._current, *self._promised):
                        capture.tick()
                if messages is None:
                    break
        except (OSError, zmq.ZMQError) as error:
            self._why = str(error)
        finally:
            self._receiver.close()
            with self._changed:
                self._over = True
                for capture in (self._current, *self._promised):
                    self._end(capture)

    def _end(self, capture: Capture) -> None:
        """Nothing will come any more; who waits for a capture that never began is told why."""
        if not capture.over:
            closed = "" if capture.begun or self._stopping.is_set() else "the box has closed the connection"
            capture.failed = self._why or closed
        capture.finish()

    def _handle(self, message: Message) -> None:
        current = self._current
        if isinstance(message, Samples):
            if current.averages.starts_over(message, over=current.over):
                self._open_another()
            if not self._current.over:
                self._current.take(message)
            self._changed.notify_all()
        elif isinstance(message, Start) and (current.begun or current.over):
            self._open_another()
        elif isinstance(message, Stop) and current.begun:
            current.finish(message)

    def _open_another(self) -> None:
        """The samples to come belong to another capture; what the one before lacks is lost."""
        self._current.finish()
        while self._promised:
            self._current = self._promised.popleft()
            if not self._current.over:
                return
        self._current = Capture(self._wanted)
        if len(self._waiting) >= FOLLOWING_KEPT:
            self._waiting.popleft()
            _log.warning(
                "A capture of the PandABox was passed over: nobody has taken the %d before it.", FOLLOWING_KEPT
            )
        self._waiting.append(self._current)
