"""One series: its frames are placed as they come, decoded by a few threads, and handed on as chunks of many frames."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from firstlight.core.arrays import Array, as_ids
from firstlight.core.chunk import MAIN, Chunk, End, Gap
from firstlight.core.errors import FirstlightError, SourceError
from firstlight.core.handover import HandOver, Pool, lend

from . import stream2
from .places import Places
from .wire import BadMessage, Frame, SeriesStart, decode_into, decode_many

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
    """What the frames of a series look like."""

    shape: tuple[int, ...]
    """(row, col), or (threshold, row, col)."""
    dtype: str

    @property
    def nbytes(self) -> int:
        """Size of one frame."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    @property
    def axes(self) -> tuple[str, ...]:
        """Labels of the frame axes."""
        return ("threshold", "row", "col")[-len(self.shape) :]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a series may take."""

    window: int = 64
    """How far out of order frames may come."""
    idle: float = 30.0
    """Seconds without a frame after which the series is over, once one came."""
    memory: float = 256 * 2.0**20
    """Bytes of decoded frames that may wait for the reader."""
    channel: str | None = None
    """The one threshold that is wanted; None: all."""
    frames: int | None = None
    """Frames of the scan, where the header does not tell."""


class Series:
    """Between the receiving thread (`take`, `tick`, `finish`), the decoders, and one reader (`handover`).

    Args:
        start: The header; with detail none and version 0 it was missed.
        limits: What it may take.
        decoders: Decodes; its threads are bounded.
    """

    def __init__(self, start: SeriesStart, limits: Limits, decoders: Executor) -> None:
        """Start before the first frame."""
        self.start, self._limits, self._decoders = start, limits, decoders
        total = limits.frames if start.frames is None else start.frames
        self.places = Places(announced=start.version > 0, window=limits.window, total=total)
        self.layout = _layout_of(start, limits.channel)
        self.handover = HandOver(2**62)
        self.error: FirstlightError | None = None
        self.changed = threading.Condition()
        """Notified when `layout` or `over` change."""
        self.over = False
        """No frame will be taken any more."""
        self.why = ""
        """Why it was over before its end."""
        self._pool, self._capacity = Pool(CHUNK_BYTES), 1
        if self.layout is not None:
            self._prepare(self.layout)
        self._batch: list[tuple[Frame, int]] = []
        self._epoch = 0
        self._oldest = 0.0
        self._last: float | None = None
        self._deciding = threading.Lock()
        self._decoding = 0
        self._decoding_bytes = 0
        self._rejected_for = ""
        self._usual: tuple[tuple[int, ...], str, int] | None = None
        """What the frames that fit look like on the wire."""
        self._stop_asked = threading.Event()
        self.newest = -1
        """Number of the frame that came last."""

    # ---- any thread -------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ask for an early end; what has arrived is delivered."""
        self._stop_asked.set()

    # ---- the receiving thread ---------------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """True while the reader is so far behind that no more should be received: the detector's own buffer takes over."""
        return self.handover.nbytes + self._decoding_bytes > self._limits.memory

    def take(self, frame: Frame) -> None:
        """Take one frame of this series."""
        if self.over:
            return
        now = self._last = time.monotonic()
        self.newest = frame.number
        placed = self.places.take(frame.number)
        for gap in self.places.gaps():
            self.handover.put(gap)
        if placed is not None:
            self._gather(frame, placed.epoch, placed.id, now)
        if self.places.complete:
            self.finish()

    def _gather(self, frame: Frame, epoch: int, place: int, now: float) -> None:
        if epoch != self._epoch:
            self._dispatch()
            self._epoch = epoch
        try:
            frame = self._fitting(frame)
        except BadMessage as error:
            self._reject(place, epoch, str(error))
            return
        layout = self.layout
        if layout is None:
            return
        direct = self._capacity <= CHUNK_BYTES // DIRECT_BYTES and _plain(frame, layout)
        if direct:
            self._dispatch()
        self._oldest = self._oldest if self._batch else now
        self._batch.append((frame, place))
        full = len(self._batch) >= self._capacity
        if direct or full or now - self._oldest > OLDEST:
            self._dispatch()

    def _fitting(self, frame: Frame) -> Frame:
        """The frame, or the one threshold of it that is wanted, if it looks like the others.

        Raises:
            BadMessage: It does not, or it came broken.
        """
        if frame.reason:
            raise BadMessage(frame.reason)
        if self._limits.channel is not None and frame.channels:
            frame = stream2.select(frame, self._limits.channel)
        look = (frame.planes[0].shape, frame.planes[0].dtype, len(frame.planes))
        if look == self._usual:
            return frame
        found = Layout(frame.shape, frame.dtype)
        if self.layout is None:
            self._prepare(found)
            with self.changed:
                self.layout = found
                self.changed.notify_all()
        if found != self.layout:
            raise BadMessage(f"It is {found.dtype} {found.shape}, not {self.layout.dtype} {self.layout.shape}.")
        self._usual = look
        return frame

    def _prepare(self, layout: Layout) -> None:
        """Memory for chunks of frames that look like that."""
        self._capacity = min(MOST_FRAMES, max(1, CHUNK_BYTES // layout.nbytes))
        self._pool = Pool(self._capacity * layout.nbytes)

    def tick(self) -> None:
        """Hand on what has waited long enough; end the series when asked to, or after too long a pause."""
        if self._stop_asked.is_set():
            self.finish("the run was stopped", stopped=True)
        now = time.monotonic()
        if self._batch and now >= self._oldest + QUIET:
            self._dispatch()
        if self._last is not None and now - self._last > self._limits.idle and not self.over:
            self.finish(f"no frame came for {self._limits.idle:g} s")

    def tick_full(self) -> None:
        """The reader is behind: nothing is received, which is no pause of the detector."""
        self._last = None if self._last is None else time.monotonic()
        if self._stop_asked.is_set():
            self.finish("the run was stopped", stopped=True)

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
            _log.warning("Series %d is over: %s.", self.start.series, why)
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
        layout, batch = self.layout, self._batch
        if not batch or layout is None:
            return
        self._batch = []
        with self._deciding:
            self._decoding += 1
            self._decoding_bytes += len(batch) * layout.nbytes
        self._decoders.submit(self._decode, layout, batch, self._epoch)

    def _reject(self, place: int, epoch: int, reason: str) -> None:
        if reason != self._rejected_for:
            self._rejected_for = reason
            _log.warning("Frame %d, and all after it for the same reason, is rejected: %s", place, reason)
        self.handover.put(Gap(epoch, place, place, reason, "rejected"))

    # ---- the decoding threads ---------------------------------------------------------------------------------------

    def _decode(self, layout: Layout, batch: list[tuple[Frame, int]], epoch: int) -> None:
        try:
            data, places = self._pixels(layout, batch, epoch)
            if places:
                chunk = Chunk(data=data, axes=layout.axes, ids=as_ids(places), epoch=epoch)
                self.handover.put(chunk)
        except Exception as error:  # it must reach the reader, not end in a silent thread
            _log.exception("Decoding failed.")
            known = isinstance(error, FirstlightError)
            self.error = error if known else SourceError(f"Decoding failed: {error}", field="data")
            self.handover.put(Gap(epoch, batch[0][1], batch[-1][1], str(error), "rejected"))
        finally:
            with self._deciding:
                self._decoding -= 1
                self._decoding_bytes -= len(batch) * layout.nbytes
                last = self.over and self._decoding == 0
            if last:
                self._close()

    def _pixels(self, layout: Layout, batch: list[tuple[Frame, int]], epoch: int) -> tuple[Array, list[int]]:
        """The frames of a batch that decode, and their places."""
        if len(batch) == 1 and _plain(batch[0][0], layout):
            data = lend(np.frombuffer(batch[0][0].planes[0].data, np.uint8))
            return data.view(layout.dtype).reshape(1, *layout.shape), [batch[0][1]]
        memory = self._pool.take()[: len(batch) * layout.nbytes]
        frames = memory.view(layout.dtype).reshape(len(batch), *layout.shape)
        good = _decode_together(batch, memory)
        for at in range(len(batch)) if good is None else np.flatnonzero(~good).tolist():
            if (reason := _decode_alone(batch[at][0], frames[at])) is not None:
                self._reject(batch[at][1], epoch, reason)
                batch[at] = (batch[at][0], -1)
        places = [place for _, place in batch]
        if min(places) >= 0:
            return frames, places
        return frames[[place >= 0 for place in places]], [place for place in places if place >= 0]


def _decode_together(batch: list[tuple[Frame, int]], memory: Array) -> Array | None:
    """Decode all frames of a batch at once, if they are coded alike; which of them are good, or None if they are not alike."""
    planes = [plane for frame, _ in batch for plane in frame.planes]
    first = planes[0]
    alike = {(plane.codec, plane.shuffled, plane.dtype, plane.columns_first) for plane in planes}
    if alike != {("bslz4", first.shuffled, first.dtype, False)} or not np.dtype(first.dtype).isnative:
        return None
    rows = memory.reshape(len(planes), -1)
    good = decode_many([plane.data for plane in planes], rows, first.shuffled)
    return np.asarray(good.reshape(len(batch), -1).all(axis=1))


def _decode_alone(frame: Frame, out: Array) -> str | None:
    """Decode one frame; why it can not be, or None."""
    try:
        for at, plane in enumerate(frame.planes):
            decode_into(plane, out if len(frame.planes) == 1 else out[at])
    except BadMessage as error:
        return str(error)
    return None


def _plain(frame: Frame, layout: Layout) -> bool:
    """True if the bytes of a frame are its pixels, and many."""
    plane = frame.planes[0]
    same = len(frame.planes) == 1 and not plane.codec and not plane.columns_first and np.dtype(plane.dtype).isnative
    return same and layout.nbytes >= DIRECT_BYTES and len(plane.data) == layout.nbytes


def _layout_of(start: SeriesStart, channel: str | None) -> Layout | None:
    if start.shape is None or start.dtype is None:
        return None
    several = len(start.channels) > 1 and channel is None
    return Layout((len(start.channels), *start.shape) if several else start.shape, start.dtype)


def missed(frame: Frame) -> SeriesStart:
    """What stands for the header of a series whose header was missed."""
    return SeriesStart(frame.series, "none", version=0)
