"""Cut frames around the light of a scan that nobody has told the place of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from firstlight.core.arrange import Arrange
from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Gap, Scan, Stream
from firstlight.core.errors import StepFailed
from firstlight.kernels.ptycho.middle import THRESHOLD, pattern_box

from .patterns import amplitudes_of

Box = tuple[int, int, int, int]
"""First row and column, and those behind the last."""
CROP_BOX, SPOT_BOX = "crop_box", "spot_box"
"""Coordinates of the frames that go out, shape (frame, 2, 2): first row and column, and those behind the last, of the whole frame."""


@dataclass(slots=True)
class Looking:
    """Frames that wait until the place of the light is known."""

    waiting: list[Chunk] = field(default_factory=list[Chunk])
    crop: Box | None = None
    spot: Box | None = None


class CropBright(Arrange[Looking]):
    """Cut every frame to a size around the light: the bright spot in the mean of the first frames.

    The first `frames` wait until it is found; then they and all that follow are cut alike. The middle is that of the box around the
    largest bright spot, not of its light: an aperture is lit unevenly, but its edges stand where they are. Where a window around it
    would leave the frame, it is moved inside; where all is dark, it is the middle of the part that was looked at.

    Frames carry `crop_box` and `spot_box`: where they were cut, and where the spot is, in pixels of the whole frame.
    """

    use: ClassVar[str] = "crop_bright"
    keeps_ids: ClassVar[bool] = True
    signature: ClassVar[Any] = "[*] row col -> row col"

    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
    """Rows and columns that are kept."""
    frames: Annotated[int, Field(ge=1, le=4096)] = 64
    """How many are looked at, or all of a shorter scan."""
    threshold: Annotated[float, Field(gt=0, lt=1)] = THRESHOLD
    """Part of the brightest pixel that counts as bright."""
    rows: tuple[int, int] | None = None
    """First row that is looked at, and the one behind the last; they may reach beyond the frame. Default: all."""
    columns: tuple[int, int] | None = None
    """The same for columns."""

    def after(self, scan: Scan) -> dict[str, Stream]:
        """Frames of the new size.

        Raises:
            StepFailed: They are smaller than that.
        """
        main = scan.main
        for label, wanted in zip(("row", "col"), self.size, strict=True):
            there = main.sizes.get(label)
            if there is not None and there < wanted:
                raise StepFailed(
                    "The window is larger than the frames.",
                    field="size",
                    value=str(self.size),
                    expected=f"at most {main.sizes.get('row')} × {main.sizes.get('col')}",
                )
        return {"data": replace(main, sizes={**main.sizes, "row": self.size[0], "col": self.size[1]})}

    def dtype(self, given: str) -> str:
        """That of the frames."""
        return given

    def unit(self, scan: Scan) -> str | None:
        """That of the frames."""
        return scan.main.unit

    @property
    def bound(self) -> int:
        """The largest number of frames ever held."""
        return self.frames

    def held_frames(self, state: Looking) -> int:
        """Frames that wait."""
        return sum(len(chunk) for chunk in state.waiting)

    def open(self, scan: Scan) -> Looking:
        """Nothing is known."""
        return Looking()

    def push(self, state: Looking, port: str, item: Chunk | Gap) -> Iterable[Chunk | Gap]:
        """Frames that are cut, once the place is known."""
        if isinstance(item, Gap):
            return [item]
        if state.crop is not None:
            return [self._cut(state, item)]
        state.waiting.append(item)
        return self.flush(state) if self.held_frames(state) >= self.frames else []

    def flush(self, state: Looking) -> Iterable[Chunk | Gap]:
        """All that waits, however few."""
        if state.crop is None and state.waiting:
            self._look(state)
        waiting, state.waiting = state.waiting, []
        return [self._cut(state, chunk) for chunk in waiting]

    # ---- parts of the above ------------------------------------------------------------------------------------------

    def _look(self, state: Looking) -> None:
        shape = state.waiting[0].data.shape[-2:]
        # by id, so that the place does not show which frame came first
        frames = {int(n): frame for chunk in state.waiting for n, frame in zip(chunk.ids, chunk.data, strict=True)}
        total = np.zeros(shape, np.float64)
        for number in sorted(frames)[: self.frames]:
            total += np.nan_to_num(amplitudes_of(frames[number], "float64")) ** 2
        top, bottom = _inside(self.rows, shape[0])
        left, right = _inside(self.columns, shape[1])
        found = pattern_box(total[top:bottom, left:right], self.threshold)
        if found is not None:
            state.spot = (found[0] + top, found[1] + left, found[2] + top, found[3] + left)
        looked = state.spot or (top, left, bottom, right)
        middle = (looked[0] + looked[2]) // 2, (looked[1] + looked[3]) // 2
        first = [int(np.clip(at - n // 2, 0, full - n)) for at, n, full in zip(middle, self.size, shape, strict=True)]
        state.crop = (first[0], first[1], first[0] + self.size[0], first[1] + self.size[1])

    def _cut(self, state: Looking, chunk: Chunk) -> Chunk:
        top, left, bottom, right = state.crop or (0, 0, *self.size)
        data = np.ascontiguousarray(chunk.data[..., top:bottom, left:right])
        told = {CROP_BOX: state.crop, **({} if state.spot is None else {SPOT_BOX: state.spot})}
        boxes: dict[str, Array] = {
            name: np.broadcast_to(np.asarray(box, np.int64).reshape(2, 2), (len(chunk), 2, 2))
            for name, box in told.items()
        }
        return replace(chunk, data=data, coords={**chunk.coords, **boxes})


def _inside(given: tuple[int, int] | None, size: int) -> tuple[int, int]:
    """The part of a range that lies in the frame; all where that is nothing."""
    first, stop = (0, size) if given is None else (max(0, given[0]), min(size, given[1]))
    return (first, stop) if first < stop else (0, size)
