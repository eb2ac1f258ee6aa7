"""One acquisition of a detector: frames are placed as they come, decoded by a few threads, and handed on as larger chunks."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic

import numpy as np

from .arrays import Array, Ids, as_ids
from .chunk import MAIN, Chunk, End, Gap
from .errors import FirstlightError, SourceError, Stopped
from .handover import HandOver, Pool, lend
from .places import Places
from .silence import Silence
from .together import Decode, OneByOne, Raw, Together

_log = logging.getLogger(__name__)

CHUNK_BYTES = 4 * 2**20
"""A chunk of about this size, decoded, is handed on at once."""
DIRECT_BYTES = 2**20
"""A plain frame of this size or more is handed on as it came: copying it would cost more than one Python call."""
MOST_FRAMES = 512
OLDEST = 0.02
"""Seconds that the first frame of a chunk waits at most."""
QUIET = 0.004
"""Seconds without a frame after which what is there is handed on."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the frames of an acquisition look like."""

    shape: tuple[int, ...]
    dtype: str
    axes: tuple[str, ...] = ("row", "col")

    @property
    def nbytes(self) -> int:
        """Size of one frame."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class Limits:
    """What an acquisition may take."""

    window: int = 64
    """How far out of order frames may come."""
    idle: float = 30.0
    """Seconds without a frame after which it is over, once one came."""
    memory: float = 256 * 2.0**20
    """Bytes of decoded frames that may wait for the reader."""
    frames: int | None = None
    """Frames of the scan, where the detector does not tell."""


_Batch = list[tuple[Together, Ids]]
"""Frames to decode into one chunk, and their places."""


class Receiving(Generic[Raw]):
    """Between the receiving thread (`take`, `take_many`, `tick`, `finish`), the decoders, and one reader (`handover`).

    Args:
        name: What to call it in messages, such as ``series 7``.
        limits: What it may take.
        decode: Decodes a batch; runs on a decoder's thread.
        decoders: Those threads; their number is bounded.
        announced: It began with a header (see `Places`).
        total: Frames that the header announced.
        layout: What frames look like, if the header tells; otherwise `learn` does.
    """

    def __init__(
        self,
        name: str,
        limits: Limits,
        decode: Decode[Raw],
        decoders: Executor,
        *,
        announced: bool,
        total: int | None,
        layout: Layout | None,
    ) -> None:
        """Start before the first frame."""
        self.name, self._limits, self._decode, self._decoders = name, limits, decode, decoders
        self.places = Places(announced=announced, window=limits.window, total=limits.frames if total is None else total)
        self.handover = HandOver(2**62)
        self.error: FirstlightError | None = None
        self.changed = threading.Condition()
        """Notified when `layout` or `over` change."""
        self.layout: Layout | None = None
        self.over = False
        """No frame will be taken any more."""
        self.why = ""
        """Why it was over before its end."""
        self.newest = -1
        """Number of the frame that came last."""
        self._pool, self._capacity = Pool(CHUNK_BYTES), 1
        self._singles: list[tuple[Raw, int]] = []
        self._runs: _Batch = []
        self._gathered = 0
        """Frames in both; what came one by one stands before the others."""
        self._epoch = 0
        self._oldest = 0.0
        self._last: float | None = None
        self._silence = Silence()
        self._deciding = threading.Lock()
        self._decoding = 0
        self._decoding_bytes = 0
        self._rejected_for = ""
        self._stop_asked = threading.Event()
        self._abandoned = threading.Event()
        if layout is not None:
            self.learn(layout)

    # ---- any thread -------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ask for an early end; what has arrived is delivered."""
        self._stop_asked.set()

    def wait_for_layout(self, timeout: float, stopped: Callable[[], bool]) -> Layout | None:
        """What frames look like; None where it ends, or `timeout` seconds pass, before a frame tells.

        Raises:
            Stopped: `stopped` became true.
        """
        end = time.monotonic() + timeout
        with self.changed:
            while self.layout is None and not self.over and not stopped() and time.monotonic() < end:
                self.changed.wait(0.05)
        if stopped():
            raise Stopped("The run was stopped before the first frame came.")
        return self.layout

    def abandon(self) -> None:
        """Nobody will read it: what still waits for a decoder is let go."""
        self._abandoned.set()
        self._stop_asked.set()

    # ---- the receiving thread ---------------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """True while the reader is so far behind that no more should be received: the detector's own buffer takes over."""
        return self.handover.nbytes + self._decoding_bytes > self._limits.memory

    def learn(self, layout: Layout) -> None:
        """Take note of what frames look like, once."""
        self._capacity = min(MOST_FRAMES, max(1, CHUNK_BYTES // layout.nbytes))
        size = self._capacity * layout.nbytes
        # what a slow pipeline holds and lets go at once is kept, or its pages would have to be made anew
        self._pool = Pool(size, spare=max(8, min(256, int(self._limits.memory // size))))
        with self.changed:
            self.layout = layout
            self.changed.notify_all()

    def take(self, number: int, frame: Raw | None, reason: str = "", *, plain: memoryview | None = None) -> None:
        """Take one frame.

        Args:
            number: Its number, from 0.
            frame: What came; None if it is rejected.
            reason: Why it is rejected.
            plain: Its bytes, if they are its pixels.
        """
        if self.over:
            return
        now = self._last = time.monotonic()
        self._silence.broken()
        place = self._place(number)
        if place is not None:
            if frame is None or self.layout is None:
                self._reject(place, self._epoch, reason)
            elif plain is not None and self.layout.nbytes == len(plain) >= DIRECT_BYTES:
                self._hand_on_whole(plain, self.layout, place)
            else:
                self._gather(frame, place, now)
        self._finish_if_complete()

    def take_many(self, numbers: Ids, frames: Together) -> None:
        """Take frames in the order in which they came; what they look like is known.

        Args:
            numbers: Their numbers, from 0.
            frames: What came.
        """
        now = time.monotonic()
        first = 0
        for end in [*(np.flatnonzero(np.diff(numbers) != 1) + 1).tolist(), len(numbers)]:
            self._take_run(numbers[first:end], frames.part(first, end), now)
            first = end

    def _take_run(self, numbers: Ids, frames: Together, now: float) -> None:
        """Take frames whose numbers follow each other."""
        if self.over or not len(numbers):
            return
        self._last = now
        self._silence.broken()
        if self.places.follow(int(numbers[0]), len(numbers)):
            self.newest = int(numbers[-1])
            self._gather_run(frames, numbers, now)
            self._finish_if_complete()
            return
        for at, number in enumerate(numbers.tolist()):
            place = self._place(number)
            if place is not None:
                self._gather_run(frames.part(at, at + 1), as_ids(place), now)
            self._finish_if_complete()
            if self.over:
                return

    def _finish_if_complete(self) -> None:
        if self.places.complete:
            self.finish()

    def _place(self, number: int) -> int | None:
        """The place of one frame, in the epoch that holds from now on; None if it has none."""
        self.newest = number
        placed = self.places.take(number)
        for gap in self.places.gaps():
            self.handover.put(gap)
        if placed is None:
            return None
        if placed.epoch != self._epoch:
            self._dispatch()
            self._epoch = placed.epoch
        return placed.id

    def _hand_on_whole(self, plain: memoryview, layout: Layout, place: int) -> None:
        data = lend(np.frombuffer(plain, np.uint8)).view(layout.dtype).reshape(1, *layout.shape)
        self.handover.put(Chunk(data=data, axes=layout.axes, ids=as_ids(place), epoch=self._epoch))

    def _gather(self, frame: Raw, place: int, now: float) -> None:
        if self._runs:
            self._dispatch()
        self._oldest = self._oldest if self._gathered else now
        self._singles.append((frame, place))
        self._gathered += 1
        if self._gathered >= self._capacity or now - self._oldest > OLDEST:
            self._dispatch()

    def _gather_run(self, frames: Together, places: Ids, now: float) -> None:
        """Fill chunks with frames of a run."""
        begin = 0
        while begin < len(places):
            end = min(begin + self._capacity - self._gathered, len(places))
            self._oldest = self._oldest if self._gathered else now
            self._append(frames.part(begin, end), places[begin:end])
            begin = end
            if self._gathered >= self._capacity or now - self._oldest > OLDEST:
                self._dispatch()

    def _append(self, frames: Together, places: Ids) -> None:
        """Add frames to the next chunk; pixels that need no decoding make a chunk of their own where they lie."""
        if self._runs:
            before, known = self._runs[-1]
            joined = before.joined(frames)
            if joined is not None:
                self._runs[-1] = (joined, np.concatenate([known, places]))
                self._gathered += len(places)
                return
            if before.ready() is not None:
                self._dispatch()
        self._runs.append((frames, places))
        self._gathered += len(places)

    def tick(self, *, paused: bool = False) -> None:
        """Hand on what has waited long enough; end when asked to, or after too long a pause.

        Args:
            paused: Nothing was received on purpose, because it is `full`: that is no pause of the detector.
        """
        now = time.monotonic()
        if self._stop_asked.is_set():
            self.finish("the run was stopped", stopped=True)
        if paused:
            self._last = None if self._last is None else now
            self._silence.broken()
            # the reader has enough: what is gathered may grow to a whole chunk
            self._oldest = now
        if self._gathered and now >= self._oldest + QUIET:
            self._dispatch()
        if self._last is not None and self._silence.look() > self._limits.idle and not self.over:
            self.finish(f"no frame came for {self._limits.idle:g} s")

    def finish(self, why: str = "", *, stopped: bool = False) -> None:
        """Take no more; what is missing becomes gaps.

        Args:
            why: What ended it before its last frame.
            stopped: The reader asked for it, so that the frames still to come are not lost.
        """
        if self.over:
            return
        self._dispatch()
        for gap in self.places.finish(why, tail=not stopped):
            self.handover.put(gap)
        if why and not stopped:
            _log.warning("The end of %s: %s.", self.name, why)
        with self._deciding:
            self.over, self.why = True, why
            last = self._decoding == 0
        if last:
            self._close()
        with self.changed:
            self.changed.notify_all()

    def fail(self, error: FirstlightError) -> None:
        """Tell the reader of an error."""
        self.error = self.error or error
        self.finish(error.message)

    def _close(self) -> None:
        self.handover.put(End(MAIN))
        self.handover.close()

    def _dispatch(self) -> None:
        layout, count = self.layout, self._gathered
        if not count or layout is None:
            return
        batch = self._runs
        if self._singles:
            frames, places = zip(*self._singles, strict=True)
            batch = [(OneByOne(frames, self._decode), as_ids(places)), *batch]
        self._singles, self._runs, self._gathered = [], [], 0
        with self._deciding:
            self._decoding += 1
            self._decoding_bytes += count * layout.nbytes
        # when the newest of them came, as Unix time: decoding belongs to the latency
        received = time.time() - (time.monotonic() - (self._last or time.monotonic()))
        self._decoders.submit(self._work, layout, batch, count, self._epoch, received)

    def _reject(self, place: int, epoch: int, reason: str) -> None:
        if reason != self._rejected_for:
            self._rejected_for = reason
            _log.warning("Frame %d, and all after it for the same reason, is rejected: %s", place, reason)
        self.handover.put(Gap(epoch, place, place, reason, "rejected"))

    # ---- the decoding threads ---------------------------------------------------------------------------------------

    def _work(self, layout: Layout, batch: _Batch, count: int, epoch: int, received: float) -> None:
        try:
            if not self._abandoned.is_set():
                data, places = self._pixels(layout, batch, count, epoch)
                if len(places):
                    self.handover.put(Chunk(data, layout.axes, places, epoch, received=received))
        except Exception as error:  # it must reach the reader, not end in a silent thread
            _log.exception("Decoding failed.")
            known = isinstance(error, FirstlightError)
            self.error = error if known else SourceError(f"Decoding failed: {error}", field="data")
            for _, places in batch:
                for place in places.tolist():
                    self.handover.put(Gap(epoch, place, place, str(error), "rejected"))
        finally:
            with self._deciding:
                self._decoding -= 1
                self._decoding_bytes -= count * layout.nbytes
                last = self.over and self._decoding == 0
            if last:
                self._close()

    def _pixels(self, layout: Layout, batch: _Batch, count: int, epoch: int) -> tuple[Array, Ids]:
        """The frames of a batch that decode, and their places."""
        ready = batch[0][0].ready() if len(batch) == 1 else None
        if ready is not None:
            return ready.view(layout.dtype).reshape(count, *layout.shape), batch[0][1]
        memory = self._pool.take()[: count * layout.nbytes]
        pixels = memory.view(layout.dtype).reshape(count, *layout.shape)
        reasons: list[str | None] = []
        for frames, _ in batch:
            reasons += frames.decode(pixels[len(reasons) : len(reasons) + len(frames)])
        places = np.concatenate([each for _, each in batch])
        if all(reason is None for reason in reasons):
            return pixels, places
        for place, reason in zip(places.tolist(), reasons, strict=True):
            if reason is not None:
                self._reject(place, epoch, reason)
        good = np.array([reason is None for reason in reasons])
        return pixels[good], places[good]
