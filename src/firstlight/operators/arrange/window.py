"""Cut endless rotation into complete turns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrange import Arrange
from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import Chunk, Gap, Scan, Stream
from firstlight.core.errors import FirstlightError
from firstlight.core.units import Degree

TIME, ANGLE = "time", "angle"


@dataclass(slots=True)
class Turns:
    """The window that is being filled, and what is known of the rotation."""

    known: Array | None
    """Angles by id, where the scan tells them beforehand; unwrapped, in degree."""
    chunks: list[Chunk] = field(default_factory=list[Chunk])
    epoch: int = 0
    given: int = -1
    """The last window of this epoch that was given out."""
    offset: int = 0
    """Windows of earlier epochs."""
    anchor: tuple[int, float] | None = None
    """Id and angle where the rotation began."""
    last: tuple[int, float] | None = None
    """Id and unwrapped angle of the newest frame."""
    rate: float = 0.0
    """Degree from one id to the next."""


class Window(Arrange[Turns]):
    """Gather projections into windows, each a complete half turn or turn: then `angle` is whole and `time` arrives.

    A window ends by angle (`span`) or by number of ids (`frames`, also for stages that swing back and forth). Frames that
    were lost leave a window with fewer projections; the angles of those that came travel as its coordinate `angle`.
    Angles may grow for ever or start over at 360 degree, and the rotation may turn either way.
    """

    use: ClassVar[str] = "window"
    signature: ClassVar[Any] = "[angle] row col -> time angle row col"

    span: Annotated[Degree, Field(gt=0)] = 180.0
    """Angle of a window in degree; ignored if `frames` is given."""
    frames: Annotated[int, Field(ge=1)] | None = None
    """Ids in a window."""
    incomplete: Literal["drop", "keep"] = "drop"
    """What becomes of the last window: `drop` makes it a gap, `keep` gives it out as it is."""
    least: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of a window's frames that must have come; a poorer window becomes a gap."""
    most: Annotated[int, Field(ge=1)] = 20_000
    """Frames held at most; a window that would need more becomes a gap."""
    reorder: Annotated[int, Field(ge=0)] = 64
    """Frames past the end of a window after which nothing earlier is expected any more."""

    def after(self, scan: Scan) -> dict[str, Stream]:
        """One window after the other, each with all its projections."""
        main = scan.main
        rest = tuple(label for label in main.axes if label != ANGLE)
        sizes = {**main.sizes, TIME: None, ANGLE: self._usual(scan)}
        self.free_axes(main)
        return {"data": replace(main, axes=(TIME, ANGLE, *rest), sizes=sizes, arrival=1, order="sorted")}

    def _usual(self, scan: Scan) -> int | None:
        """Projections in a complete window."""
        if self.frames is not None:
            return self.frames
        angles = scan.coords.get(ANGLE)
        if angles is None or len(angles) < 2:
            return None
        step = float(np.median(np.abs(np.diff(np.unwrap(angles, period=360.0)))))
        return round(self.span / step) if step > 0 else None

    def dtype(self, given: str) -> str:
        """That of the frames."""
        return given

    def unit(self, scan: Scan) -> str | None:
        """That of the frames."""
        return scan.main.unit

    @property
    def bound(self) -> int:
        """The largest number of frames ever held."""
        return self.most

    def held_frames(self, state: Turns) -> int:
        """Frames of windows that are not complete."""
        return sum(len(chunk) for chunk in state.chunks)

    def open(self, scan: Scan) -> Turns:
        """The state before the first chunk."""
        angles = scan.coords.get(ANGLE)
        known = None if angles is None else np.unwrap(np.asarray(angles, np.float64), period=360.0)
        return Turns(known)

    def push(self, state: Turns, port: str, item: Chunk | Gap) -> Iterable[Chunk | Gap]:
        """Take projections; give the windows that are complete."""
        given: list[Chunk | Gap] = []
        if item.epoch > state.epoch:
            given += self._close(state)
            state.epoch, state.offset, state.given = item.epoch, state.offset + state.given + 1, -1
            state.anchor = state.last = None
        # a lost frame leaves its window with one projection less: the gap itself ends here, where ids become windows
        if isinstance(item, Gap) or item.epoch < state.epoch or len(item) == 0:
            return given
        given += self._keep(state, item)
        return [*given, *self._complete(state)]

    def _keep(self, state: Turns, chunk: Chunk) -> Iterator[Chunk | Gap]:
        """Note the true angle and the window of each frame; frames of a window that is gone are lost with it."""
        angles = self._unwrapped(state, chunk)
        number = self._number(state, chunk.ids, angles)
        coords = {**chunk.coords, "_angle": angles, "_window": number}
        state.chunks.append(replace(chunk, coords=coords).take(np.flatnonzero(number > state.given)))
        if self.held_frames(state) > self.most:
            first = int(min(each.coords["_window"].min() for each in state.chunks if len(each)))
            yield from self._give(state, first, f"the window holds more than {self.most} frames")

    def _unwrapped(self, state: Turns, chunk: Chunk) -> Array:
        """Angles that grow steadily with the id, from the scan's list or from the frames."""
        found = chunk.coords.get(ANGLE)
        if found is None:
            if self.frames is not None:
                return np.zeros(len(chunk))
            raise FirstlightError(
                "'window' needs the angle of each projection, or a number of frames.",
                field="frames",
                expected="the coordinate 'angle' in degree",
                next_move="Give 'frames', or tell the source where the angles are.",
            )
        angles = np.asarray(found, np.float64)
        if state.known is not None and chunk.ids.min() >= 0 and chunk.ids.max() < len(state.known):
            # the list knows the turn; the frame knows its angle within the turn
            return angles + 360.0 * np.round((state.known[chunk.ids] - angles) / 360.0)
        order = np.argsort(chunk.ids, kind="stable")
        ids, values = chunk.ids[order], np.unwrap(angles[order], period=360.0)
        if state.last is not None:
            expected = state.last[1] + state.rate * (int(ids[0]) - state.last[0])
            values = values + 360.0 * np.round((expected - values[0]) / 360.0)
        self._learn(state, ids, values)
        unwrapped = np.empty(len(values))
        unwrapped[order] = values
        return unwrapped

    def _learn(self, state: Turns, ids: Ids, values: Array) -> None:
        """Follow the rotation: its newest frame and its speed."""
        if state.last is None:
            state.last = (int(ids[0]), float(values[0]))
        if ids[-1] > state.last[0]:
            state.rate = (float(values[-1]) - state.last[1]) / (int(ids[-1]) - state.last[0])
            state.last = (int(ids[-1]), float(values[-1]))

    def _number(self, state: Turns, ids: Ids, angles: Array) -> Ids:
        """The window of each frame."""
        if state.anchor is None:
            first = int(np.argmin(ids))
            known = state.known is not None and self.frames is None and ids.min() >= 0
            state.anchor = (
                (0, float(state.known[0]))
                if known and state.known is not None
                else (
                    0 if self.frames is not None and ids.min() >= 0 else int(ids[first]),
                    float(angles[first]),
                )
            )
        if self.frames is not None:
            return (ids - state.anchor[0]) // self.frames
        # rounding of encoder values must not push the first frame of a turn into the turn before
        turned = np.abs(angles - state.anchor[1]) / self.span
        return np.floor(turned + 1e-6).astype(np.int64)

    def _complete(self, state: Turns) -> Iterator[Chunk | Gap]:
        """Windows with enough frames after their end."""
        while state.chunks:
            numbers = np.concatenate([chunk.coords["_window"] for chunk in state.chunks])
            if numbers.size == 0:
                return
            first = int(numbers.min())
            later = int(np.count_nonzero(numbers > first))
            full = self.frames is not None and int(np.count_nonzero(numbers == first)) == self.frames
            if not full and later <= self.reorder:
                return
            yield from self._give(state, first)

    def _give(self, state: Turns, number: int, refused: str | None = None) -> Iterator[Chunk | Gap]:
        """One window, or the gap in its place; windows before it of which no frame came are gaps too."""
        if number > state.given + 1:
            yield self._gap(state, state.given + 1, number - 1, "no projection of it came")
        mine: list[Chunk] = []
        rest: list[Chunk] = []
        for chunk in state.chunks:
            inside = chunk.coords["_window"] == number
            mine.append(chunk.take(np.flatnonzero(inside)))
            if not inside.all():
                rest.append(chunk.take(np.flatnonzero(~inside)))
        state.chunks, state.given = rest, number
        window = self._assembled(state, [chunk for chunk in mine if len(chunk)], number)
        if refused is not None or window is None:
            yield self._gap(state, number, number, refused or "too few of its projections came")
        else:
            yield window

    def _assembled(self, state: Turns, chunks: list[Chunk], number: int) -> Chunk | None:
        """All projections of a window in the order of their ids; None if they are too few."""
        ids = np.concatenate([chunk.ids for chunk in chunks])
        order = np.argsort(ids, kind="stable")
        angles = np.concatenate([chunk.coords["_angle"] for chunk in chunks])[order]
        if len(ids) < self.least * self._expected(ids[order], angles):
            return None
        data = np.empty((1, len(ids), *chunks[0].data.shape[1:]), chunks[0].data.dtype)
        place = np.empty(len(ids), np.int64)
        place[order] = np.arange(len(ids))
        start = 0
        for chunk in chunks:
            data[0, place[start : start + len(chunk)]] = chunk.data
            start += len(chunk)
        newest = max(chunk.received for chunk in chunks)
        return replace(
            chunks[0],
            data=data,
            axes=(ANGLE, *chunks[0].axes),
            ids=np.array([state.offset + number], np.int64),
            epoch=0,  # windows are counted on through restarts of the detector
            coords={ANGLE: angles[None], "first_id": ids[order][:1], "last_id": ids[order][-1:]},
            received=newest,
        )

    def _expected(self, ids: Ids, angles: Array) -> float:
        """How many projections a complete window has, judged from the frames that came."""
        if self.frames is not None:
            return self.frames
        if len(ids) < 2:
            return np.inf if self.least > 0 else 0.0
        step = float(np.median(np.abs(np.diff(angles)) / np.diff(ids)))
        return self.span / step if step > 0 else 0.0

    def _gap(self, state: Turns, first: int, last: int, reason: str) -> Gap:
        return Gap(0, state.offset + first, state.offset + last, reason, "dropped")

    def _close(self, state: Turns) -> Iterator[Chunk | Gap]:
        """What is left at the end of an epoch or of the scan: the last window is complete, kept, or a gap."""
        while any(len(chunk) for chunk in state.chunks):
            numbers = np.concatenate([chunk.coords["_window"] for chunk in state.chunks])
            number = int(numbers.min())
            last = number == int(numbers.max())
            short = last and self.incomplete == "drop" and not self._whole(state, number)
            yield from self._give(state, number, "the scan ended within it" if short else None)
        state.chunks.clear()

    def _whole(self, state: Turns, number: int) -> bool:
        """True if the newest frame is the last of its window, so that nothing is missing at the end."""
        inside = [chunk.coords["_window"] == number for chunk in state.chunks]
        ids = np.concatenate([chunk.ids[mask] for chunk, mask in zip(state.chunks, inside, strict=True)])
        if self.frames is not None:
            first = (state.anchor or (0, 0.0))[0] + number * self.frames
            return int(ids.max()) == first + self.frames - 1
        angles = np.concatenate(
            [chunk.coords["_angle"][mask] for chunk, mask in zip(state.chunks, inside, strict=True)]
        )
        if len(ids) < 2:
            return False
        order = np.argsort(ids)
        step = float(np.median(np.abs(np.diff(angles[order])) / np.diff(ids[order])))
        turned = float(np.abs(angles - (state.anchor or (0, 0.0))[1]).max()) - number * self.span
        return turned + 1.5 * step >= self.span

    def flush(self, state: Turns) -> Iterable[Chunk | Gap]:
        """Give the last window, or its gap."""
        return [*self._close(state)]
