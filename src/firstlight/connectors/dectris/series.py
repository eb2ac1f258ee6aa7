"""One series: which frames belong to it and look like it, and how a batch of them is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.receiving import DIRECT_BYTES, Layout, Limits, Receiving

from . import stream2
from .wire import BadMessage, Frame, Payload, SeriesStart, decode_into, decode_many

_AXES = ("threshold", "row", "col")


class Series(Receiving[Frame]):
    """Receives the frames of one series.

    Args:
        start: The header; with version 0 it was missed.
        limits: What it may take.
        channel: The one threshold that is wanted; None: all.
        decoders: Decodes; its threads are bounded.
    """

    def __init__(self, start: SeriesStart, limits: Limits, channel: str | None, decoders: Executor) -> None:
        """Start before the first frame."""
        self.start, self._channel = start, channel
        self._usual: tuple[tuple[int, ...], str, int] | None = None
        """What the frames that fit look like on the wire."""
        self._plain = False
        """Their bytes are their pixels, where they are not compressed."""
        super().__init__(
            f"series {start.series}",
            limits,
            decode,
            decoders,
            announced=start.version > 0,
            total=start.frames,
            layout=_layout_of(start, channel),
        )

    def receive(self, frame: Frame) -> None:
        """Take one frame of this series."""
        try:
            frame = self._fitting(frame)
        except BadMessage as error:
            self.take(frame.number, None, str(error))
            return
        plane = frame.planes[0]
        self.take(frame.number, frame, plain=plane.data if self._plain and not plane.codec else None)

    def takes(self, like: Payload) -> bool:
        """True if frames whose pixels are coded like this fit, so that `receive_many` may take them."""
        whole = not like.codec and like.nbytes >= DIRECT_BYTES  # those are handed on as they came
        return not self.over and not whole and (like.shape, like.dtype, 1) == self._usual

    def _fitting(self, frame: Frame) -> Frame:
        """The frame, or the one threshold of it that is wanted, if it looks like the others.

        Raises:
            BadMessage: It does not, or it came broken.
        """
        if frame.reason:
            raise BadMessage(frame.reason)
        if self._channel is not None and frame.channels:
            frame = stream2.select(frame, self._channel)
        first = frame.planes[0]
        look = (first.shape, first.dtype, len(frame.planes))
        if look == self._usual:
            return frame
        found = Layout(frame.shape, frame.dtype, _AXES[-len(frame.shape) :])
        if self.layout is None:
            self.learn(found)
        if found != self.layout:
            wanted = self.layout or found
            raise BadMessage(f"It is {found.dtype} {found.shape}, not {wanted.dtype} {wanted.shape}.")
        self._usual = look
        self._plain = len(frame.planes) == 1 and np.dtype(first.dtype).isnative and not first.columns_first
        return frame


def decode(frames: Sequence[Frame], out: Array) -> list[str | None]:
    """Decode a batch: together where all frames are coded alike, otherwise one by one; why each can not be, or None."""
    planes = [plane for frame in frames for plane in frame.planes]
    first = planes[0]
    alike = {(plane.codec, plane.shuffled, plane.dtype, plane.columns_first) for plane in planes}
    if alike == {("bslz4", first.shuffled, first.dtype, False)} and np.dtype(first.dtype).isnative:
        rows = out.reshape(-1).view(np.uint8).reshape(len(planes), -1)
        good = decode_many([plane.data for plane in planes], rows, first.shuffled)
        whole = [bool(row.all()) for row in good.reshape(len(frames), -1)]
    else:
        whole = [False] * len(frames)
    return [None if whole[at] else _decode_alone(frame, out[at]) for at, frame in enumerate(frames)]


def _decode_alone(frame: Frame, out: Array) -> str | None:
    try:
        for at, plane in enumerate(frame.planes):
            decode_into(plane, out if len(frame.planes) == 1 else out[at])
    except BadMessage as error:
        return str(error)
    return None


def _layout_of(start: SeriesStart, channel: str | None) -> Layout | None:
    if start.shape is None or start.dtype is None:
        return None
    if len(start.channels) > 1 and channel is None:
        return Layout((len(start.channels), *start.shape), start.dtype, _AXES)
    return Layout(start.shape, start.dtype)


def missed(frame: Frame) -> SeriesStart:
    """What stands for the header of a series whose header was missed."""
    return SeriesStart(frame.series, "none", version=0)
