"""The thread that receives: takes updates of all channels from p4p, places frames, and hands chunks to the reader."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from p4p.client.raw import Context, Disconnected

from firstlight.core.arrays import Array, as_ids
from firstlight.core.chunk import MAIN, Chunk, End, Gap
from firstlight.core.errors import FirstlightError, SourceError
from firstlight.core.handover import HandOver
from firstlight.core.silence import Silence

from . import wire
from .arrivals import Arrival, Arrivals
from .chatter import hush
from .chunks import Gatherer

_log = logging.getLogger(__name__)

IMAGE = "image"
_AT_ONCE = 32
"""Frames taken before the other channels get their turn."""
_GRACE = 1.0
"""Seconds to wait for frames that are out of order, after the last of a scan of known length has come."""
_LOOK_AGAIN = 1.0
"""Seconds between attempts to find a channel that went away."""


@dataclass(frozen=True, slots=True)
class Received:
    """One update of the image channel: a frame with its attributes, or why it can not be used."""

    id: int
    stamp: float
    frame: wire.Frame | None
    attributes: Mapping[str, float]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the frames of this scan look like."""

    shape: tuple[int, int]
    dtype: str
    attributes: tuple[str, ...]


class Receiver(threading.Thread):
    """Receives one scan.

    Args:
        make_context: Gives a p4p client that does not unwrap values.
        channels: Names of the channels by use: image, and where wanted dark, flat and theta.
        queue: How many updates p4p may hold for us.
        arrivals: Places the frames.
        angle_at: Angle in degree of a place, None where it has none; or None if frames have no angle.
        set_theta: Takes a new list of angles.
        keep: Which attributes to carry along; None: all numbers.
        idle: Seconds without a frame after which the scan is over.
        limit: Bytes that may wait for the reader.
        renew: Make a new client when the channel went away: one that asks a single server looks for it too rarely.
    """

    def __init__(
        self,
        make_context: Callable[[], Context],
        channels: Mapping[str, str],
        *,
        queue: int,
        arrivals: Arrivals[Received],
        angle_at: Callable[[int], float | None] | None,
        set_theta: Callable[[Array], None],
        keep: tuple[str, ...] | None,
        idle: float,
        limit: int,
        renew: bool = False,
    ) -> None:
        """Prepare; `start` connects."""
        super().__init__(name="pva receiver", daemon=True)
        hush()
        self._make_context, self._channels, self._queue_size = make_context, dict(channels), queue
        self._context = make_context()
        self._renew = renew
        self._arrivals, self._angle_at, self._set_theta = arrivals, angle_at, set_theta
        self._keep, self._idle = keep, idle
        self.handover = HandOver(limit)
        self.layout: Layout | None = None
        self.error: FirstlightError | None = None
        self.connected: set[str] = set()
        """Uses of the channels that answered at least once."""
        self.changed = threading.Condition()
        """Notified when `layout`, `error` or `connected` change."""
        self._gatherer: Gatherer | None = None
        self._sets = {"dark": 0, "flat": 0}
        self._waiting: dict[str, Any] = {}
        """Dark and flat images that came before the first frame told what size they must have."""
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._lost_since: float | None = None
        self._delivered = False
        self._rejected_for = ""
        self._silence = Silence()
        self._subscriptions: dict[str, Any] = {}

    # ---- from other threads -----------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Subscribe to all channels and start receiving."""
        self._subscribe()
        self.start()

    def _subscribe(self) -> None:
        request = f"field()record[queueSize={self._queue_size}]"
        for use, name in self._channels.items():
            asked = request if use == IMAGE else None
            self._subscriptions[use] = self._context.monitor(name, self._wake.set, asked)

    def stop(self) -> None:
        """Take what has arrived, then end."""
        self._stopping.set()
        self._wake.set()

    # ---- the thread -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Receive until the scan is over or `stop` was called."""
        try:
            while not self._stopping.is_set() and not self._over():
                self._wake.wait(self._patience())
                self._wake.clear()
                while self._take_some() and not self._over():
                    pass
                self._flush_if_due()
                self._look_again()
            for _ in range(self._queue_size // _AT_ONCE + 1):  # a detector that goes on and on must not keep us
                if not self._take_some():
                    break
            self._finish()
        except FirstlightError as error:
            self._fail(error)
        except Exception as error:  # anything else must reach the reader too, not end in a silent thread
            _log.exception("The receiving thread failed.")
            self._fail(SourceError(f"Receiving failed: {error}", field=IMAGE, value=self._channels[IMAGE]))
        finally:
            self._disconnect()
            self.handover.close()

    def _disconnect(self) -> None:
        for subscription in self._subscriptions.values():
            subscription.close()
        self._context.close()

    def _look_again(self) -> None:
        """Look for a channel that went away."""
        if self._lost_since is None or time.monotonic() - self._lost_since < _LOOK_AGAIN:
            return
        self._lost_since = time.monotonic()
        if self._renew:
            self._disconnect()
            self._context = self._make_context()
            self._subscribe()
        else:
            self._context.hurryUp()

    def _fail(self, error: FirstlightError) -> None:
        with self.changed:
            self.error = error
            self.changed.notify_all()

    def _patience(self) -> float:
        due = self._gatherer.due if self._gatherer else None
        return 0.1 if due is None else max(0.0, min(0.1, due - time.monotonic()))

    def _over(self) -> bool:
        quiet = self._silence.look()
        if self._arrivals.complete or (self._arrivals.reached_end and quiet > _GRACE):
            return True
        return self._arrivals.came and quiet > self._idle

    def _take_some(self) -> bool:
        """Handle what has arrived; True if there may be more frames."""
        for use in self._channels:
            if use != IMAGE:
                self._take_side(use)
        subscription = self._subscriptions[IMAGE]
        for _ in range(_AT_ONCE):
            update = subscription.pop()
            if update is None:
                return False
            if isinstance(update, Exception):
                self._missed(IMAGE, update)
            else:
                self._take_frame(update)
        return True

    def _missed(self, use: str, event: Exception) -> None:
        """A channel is not there, or went away."""
        if use != IMAGE:
            return
        if not isinstance(event, Disconnected):
            raise SourceError(f"The server refused the channel: {event}", field=use, value=self._channels[use])
        if use in self.connected:
            _log.warning("The channel %s is disconnected; waiting for it.", self._channels[use])
        self._lost_since = time.monotonic()
        self._arrivals.disconnected()
        self._hand_on(self._gatherer.flush() if self._gatherer else [])

    def _seen(self, use: str) -> None:
        if use not in self.connected:
            with self.changed:
                self.connected.add(use)
                self.changed.notify_all()

    # ---- frames -----------------------------------------------------------------------------------------------------

    def _take_frame(self, update: Any) -> None:
        if self._lost_since is not None:
            self._lost_since = None
            _log.info("The channel %s is connected.", self._channels[IMAGE])
        if wire.is_empty(update):
            self._arrivals.blank()
            self._seen(IMAGE)
            return
        received = self._read(update)
        self._seen(IMAGE)
        self._silence.broken()
        arrived = self._arrivals.take(received)
        for gap in self._arrivals.gaps():
            self.handover.put(gap)
        for arrival in arrived:
            self._place(arrival)

    def _read(self, update: Any) -> Received:
        try:
            frame = wire.read_frame(update)
            attributes = wire.read_attributes(update) if self.layout is None or self.layout.attributes else {}
        except FirstlightError as error:
            if self.layout is None:
                raise SourceError(str(error), field=IMAGE, value=self._channels[IMAGE]) from error
            return Received(int(update.get("uniqueId", 0)) & 0xFFFFFFFF, 0.0, None, {}, error.message)
        layout = self.layout or self._learn(frame, attributes)
        if (frame.shape, frame.dtype) != (layout.shape, layout.dtype):
            return Received(frame.id, frame.stamp, None, {}, f"it is {frame.dtype} {frame.shape}")
        return Received(frame.id, frame.stamp, frame, attributes)

    def _learn(self, frame: wire.Frame, attributes: Mapping[str, float]) -> Layout:
        names = tuple(name for name in attributes if self._keep is None or name in self._keep)
        coords = (*names, "angle") if self._angle_at else names
        self._gatherer = Gatherer(frame.shape, frame.dtype, coords)
        layout = Layout(frame.shape, frame.dtype, names)
        with self.changed:
            self.layout = layout
            self.changed.notify_all()
        for use, value in self._waiting.items():
            self._take_image(use, value)
        self._waiting.clear()
        return layout

    def _place(self, arrival: Arrival[Received]) -> None:
        frame, reason = arrival.frame.frame, arrival.frame.reason
        if frame is None and not self._delivered:
            raise SourceError(
                f"The frames of this scan differ from what the channel held before: {reason}.",
                field=IMAGE,
                value=self._channels[IMAGE],
                next_move="Start the run again.",
            )
        coords = arrival.frame.attributes
        angle = self._angle_at(arrival.place) if self._angle_at else None
        if self._angle_at and angle is None:
            frame, reason = None, "it has no angle"
        elif angle is not None:
            coords = {**coords, "angle": angle}
        self._delivered = True
        if frame is None or self._gatherer is None:
            self._reject(arrival, reason)
            return
        try:
            self._hand_on(self._gatherer.add(frame, arrival.epoch, arrival.place, coords))
        except FirstlightError as error:
            self._reject(arrival, error.message)

    def _reject(self, arrival: Arrival[Any], reason: str) -> None:
        if reason != self._rejected_for:
            self._rejected_for = reason
            _log.warning("Frame %d, and all after it for the same reason, is rejected: %s", arrival.frame.id, reason)
        self._hand_on(self._gatherer.flush() if self._gatherer else [])
        self.handover.put(Gap(arrival.epoch, arrival.place, arrival.place, reason, "rejected"))

    def _hand_on(self, chunks: list[Chunk]) -> None:
        for chunk in chunks:
            self.handover.put(chunk)

    def _flush_if_due(self) -> None:
        due = self._gatherer.due if self._gatherer else None
        if due is not None and self._gatherer and time.monotonic() >= due:
            self._hand_on(self._gatherer.flush())

    def _finish(self) -> None:
        arrivals, gaps = self._arrivals.finish()
        for arrival in arrivals:
            self._place(arrival)
        self._hand_on(self._gatherer.flush() if self._gatherer else [])
        for gap in gaps:
            self.handover.put(gap)
        for use in ("dark", "flat"):
            if use in self._channels:
                self.handover.put(End(use))
        self.handover.put(End(MAIN))

    # ---- dark, flat, theta ------------------------------------------------------------------------------------------

    def _take_side(self, use: str) -> None:
        subscription = self._subscriptions[use]
        while (update := subscription.pop()) is not None:
            if isinstance(update, Exception):
                self._missed(use, update)
            elif use == "theta":
                self._take_theta(update)
            elif update.changed("value"):
                # a producer that sets the sizes after the pixels posts the same image again: one of them counts
                self._take_image(use, update)
            if not isinstance(update, Exception):
                self._seen(use)

    def _take_theta(self, update: Any) -> None:
        try:
            theta = wire.read_theta(update)
        except FirstlightError as error:
            _log.warning("New angles were rejected: %s", error)
            return
        if theta is not None:
            self._set_theta(theta)

    def _take_image(self, use: str, update: Any) -> None:
        if self.layout is None:
            self._waiting[use] = update
            return
        try:
            image = wire.read_image(update, self.layout.shape)
        except FirstlightError as error:
            _log.warning("A new %s image was rejected: %s", use, error)
            return
        if image is None:
            return
        self._hand_on(self._gatherer.flush() if self._gatherer else [])
        number = self._sets[use]
        self._sets[use] += 1
        self.handover.put(
            Chunk(
                data=np.asarray(image)[None],
                axes=("row", "col"),
                ids=as_ids(self._arrivals.next_place - 1),
                epoch=self._arrivals.epoch,
                stream=use,
                set=number,
            )
        )
        self.handover.put(End(use, number))
