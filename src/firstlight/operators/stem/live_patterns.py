"""Looking into a 4-D scan while it is taken: the pattern of any point, and the image of any virtual detector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array, bring_last
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.errors import ChangeRefused, FirstlightError
from firstlight.core.fold import Fold, Read
from firstlight.core.held import Held
from firstlight.core.one_pass import Sums, Wanted
from firstlight.core.units import Bytes, Pixels
from firstlight.kernels.mask_products import Masks, frame_sums
from firstlight.kernels.masks import annulus

from .pattern_store import PatternStore, binned, block_sizes, kept_type
from .scan_map import ScanMap

KEPT = ("kept_row", "kept_col")
"""Axes of a chunk whose patterns are ready to be kept."""
IMAGE, VALUE = "live_patterns.image", "live_patterns.value"
"""Coordinates of such a chunk: the sum of its frames, and what the virtual detector saw of each."""
BINNINGS = (1, 2, 4, 8)
READ_AT_ONCE = 2**24
"""Bytes, about, that are read again between two looks at what the user wants."""


@dataclass(slots=True)
class Seen:
    """Patterns and values so far."""

    store: PatternStore
    map: ScanMap
    total: Array
    """Sum of all frames (row, col)."""
    weights: Array
    """Of the detector that the values are of, (row, col), binned."""
    come: Array
    """(point,), bool: points that have come, their patterns held or not."""
    read: Read | None = None
    """Reads frames again, where that is possible."""
    again: int = 0
    """The next point that is to be read again."""
    full: tuple[int, Array] | None = None
    """A point, and its pattern with all pixels."""
    frames: int = 0
    newest: int = -1
    """The last point that has come."""
    epoch: int = 0


FINEST = 4096
"""Weights that are multiples of 1/4096 give exact sums of integers, in whatever order."""


@lru_cache(maxsize=8)
def detector_weights(
    size: tuple[int, int], center: tuple[float, float], inner: float, outer: float, binning: int
) -> Array:
    """The part of each block of pixels that lies in a ring, 0 to 1: (row, col). Few are neither 0 nor 1."""
    mask = annulus(size, center, inner, outer)[None].astype(np.float64)
    weights = (binned(mask, binning) / block_sizes(size, binning))[0]
    weights.setflags(write=False)
    return weights


def seen_by(patterns: Array, weights: Array) -> Array:
    """What a detector sees of each pattern.

    Args:
        patterns: (pattern, row, col).
        weights: Part of each pixel that lies in it, 0 to 1: (row, col). Few are neither 0 nor 1.

    Returns:
        float64, (pattern,).
    """
    found = frame_sums(patterns, Masks(weights[None] == 1)).masks
    sums = np.zeros(len(patterns)) if found is None else found[:, 0].astype(np.float64)
    edge = np.flatnonzero((weights > 0) & (weights < 1))
    return sums + patterns.reshape(len(patterns), -1)[:, edge] @ weights.ravel()[edge]


def _frames_again(read: Read, line: int, place: int, count: int, points: int) -> Array:
    """About so many frames from a point on, (scan_y, scan_x, row, col): whole lines, or a part of one."""
    if place == 0 and count >= points:
        return np.asarray(read({"scan_y": slice(line, line + count // points)}))
    return np.asarray(read({"scan_y": slice(line, line + 1), "scan_x": slice(place, min(place + count, points))}))


class LivePatterns(Fold[Seen]):
    """Keep the patterns of a scan, to look at any of them and to draw any virtual detector while it is scanned.

    All three outputs belong together: `image` is the scan as one virtual detector sees it, `pattern` the diffraction
    pattern of one point, `mean` that of all. When the detector is moved, the image of every point whose pattern is held is
    made anew; the others become NaN, as are points that have not come, so that an image is always of one detector.

    Where all patterns do not fit into `memory`, they are kept with their pixels summed in blocks (`binning`); a detector's
    edge then counts pixels by the part of a block that it covers. Where that is not enough, the newest ones are held.
    With `exact`, patterns in full are read again from the recorded scan, for the image and for the point that is shown.
    """

    use: ClassVar[str] = "live_patterns"
    signature: ClassVar[Any] = "[*] row col -> image: scan_y scan_x, pattern: row col, mean: row col"
    tolerance: ClassVar[float] = 1e-9
    rereads: ClassVar[bool] = True
    sentence: ClassVar[str] = "During the scan, each pattern was summed under a virtual detector ({shape})."
    follows: ClassVar[dict[str, dict[str, str]]] = {"image": {"scan_y": "scan_y", "scan_x": "scan_x"}}

    shape: Literal["disk", "annulus"] = "disk"
    """Of the virtual detector: `disk` sums inside `outer`, `annulus` between `inner` and `outer`."""
    center: tuple[float, float] | None = None
    """Row and column of its middle, in pixel from 0. Default: the middle of the frame."""
    inner: Annotated[Pixels, Field(ge=0)] = 0.0
    """Inner radius of the annulus in pixel, included."""
    outer: Annotated[Pixels, Field(ge=0)] | None = None
    """Outer radius in pixel, included. Default: a quarter of the smaller side."""
    scan_y: Annotated[int, Field(ge=0)] | None = None
    """Line of the point whose pattern is shown, from 0. Default: the newest."""
    scan_x: Annotated[int, Field(ge=0)] | None = None
    """Point of that line, from 0. Default: the newest."""
    memory: Annotated[Bytes, Field(ge=2**20)] = 2.0**30
    """Memory for patterns."""
    binning: Annotated[int, Field(ge=1, le=64)] | None = None
    """Rows and columns that are summed before patterns are kept. Default: 1, 2, 4 or 8, so that all fit into `memory`."""
    exact: bool = False
    """Read frames again where pixels were summed: needs a recorded scan. A moved detector answers at once from what is kept, then line by line."""

    def unit(self, scan: Scan) -> str | None:
        """That of the frames."""
        return scan.main.unit

    def dtype(self, given: str) -> str:
        """Double precision: exact for the sums of integers, with NaN where nothing is."""
        return "float64"

    def calibrated(self, scan: Scan) -> Self:
        """With the binning that lets all patterns fit, and the reach of the detector."""
        rows, cols = scan.main.sizes.get("row"), scan.main.sizes.get("col")
        if rows is None or cols is None:
            return self
        found: dict[str, Any] = {}
        if self.binning is None:
            fits = (n for n in BINNINGS if (scan.main.frames or 1) * self._bytes(scan, n) <= self.memory)
            found["binning"] = next(fits, BINNINGS[-1])
        if self.center is None:
            found["center"] = ((rows - 1) / 2, (cols - 1) / 2)
        if self.outer is None:
            found["outer"] = min(rows, cols) / 4
        return self.model_copy(update=found)

    def _bytes(self, scan: Scan, binning: int) -> int:
        """Bytes of a pattern that is kept."""
        rows, cols = (-(-scan.main.size(label) // binning) for label in ("row", "col"))
        return rows * cols * kept_type(scan.main.dtype, binning).itemsize

    def workspace(self, scan: Scan, frames: int) -> int:
        """The patterns kept, at most `memory`."""
        made = self.calibrated(scan)
        return int(min(made.memory, (scan.main.frames or 1) * made._bytes(scan, made.binning or 1)))

    def empty(self, scan: Scan) -> Seen:
        """The state before the first frame.

        Raises:
            AxesError: The scan has no grid of known size.
            FirstlightError: The point lies outside the scan, or the radii are no annulus.
        """
        made = self.calibrated(scan)
        grid = ScanMap.empty(scan, (), self.use)
        size = (scan.main.size("row"), scan.main.size("col"))
        store = PatternStore.empty(len(grid.covered), size, scan.main.dtype, made.binning or 1, made.memory)
        self._check(grid, size)
        points = len(grid.covered)
        return Seen(store, grid, np.zeros(size), self._weights(size), np.zeros(points, bool), again=points)

    @property
    def _finer(self) -> bool:
        """True if the image is to be finer than the patterns that are kept."""
        return self.exact and (self.binning or 1) > 1

    def may_read(self, state: Seen, read: Read | None) -> None:
        """Note how frames can be read again.

        Raises:
            FirstlightError: They can not, and `exact` needs it.
        """
        state.read = read
        if self._finer and read is None:
            raise FirstlightError(**self._only_binned())

    def _only_binned(self) -> dict[str, Any]:
        return {
            "message": f"Patterns are kept with {self.binning} x {self.binning} pixels summed, and this source can not be read again.",
            "field": "exact",
            "value": True,
            "expected": "a recorded scan whose own frames this step gets",
            "next_move": "Give more 'memory', look at a part of the scan, or play the recorded file.",
        }

    def _check(self, grid: ScanMap, size: tuple[int, int]) -> None:
        for name, value, length in (("scan_y", self.scan_y, grid.lines), ("scan_x", self.scan_x, grid.points)):
            if value is not None and value >= length:
                raise FirstlightError(
                    "The point lies outside the scan.", field=name, value=value, expected=f"0 to {length - 1}"
                )
        self._weights(size)

    def _weights(self, size: tuple[int, int], binning: int | None = None) -> Array:
        """The part of each block of pixels that lies in the detector, (row, col); blocks are those of `binning`."""
        center = self.center or ((size[0] - 1) / 2, (size[1] - 1) / 2)
        reach = min(size) / 4 if self.outer is None else self.outer
        within = 0.0 if self.shape == "disk" else self.inner
        if within > reach:
            raise FirstlightError(
                "The inner radius is larger than the outer one.",
                field="inner",
                value=within,
                expected=f"at most {reach} pixel",
            )
        return detector_weights(size, center, within, reach, binning or self.binning or 1)

    def wanted(self, size: tuple[int, int]) -> Wanted:
        """The sum of the frames, and what the detector sees of each unless it sees what is kept of them."""
        masks = self._weights(size, 1)[None] == 1 if self.binning == 1 or self.exact else None
        return Wanted(masks=masks, image=True)

    def digest(self, chunk: Chunk) -> Chunk:
        """Patterns as they are kept, what the detector sees of each, and their sum."""
        if chunk.axes == KEPT:
            return chunk
        frames, _ = bring_last(chunk.data, chunk.axes, ("row", "col"))
        wanted = self.wanted((frames.shape[1], frames.shape[2]))
        masks = None if wanted.masks is None else Masks(wanted.masks)
        return self._digested(chunk, frames, frame_sums(frames, masks, image=True))

    def digest_sums(self, chunk: Chunk, sums: Sums) -> Chunk:
        """The same of sums that are known."""
        return self._digested(chunk, chunk.dense().data, sums)

    def _digested(self, chunk: Chunk, frames: Array, sums: Sums) -> Chunk:
        size = (frames.shape[1], frames.shape[2])
        kept = binned(frames, self.binning or 1)
        values = seen_by(kept, self._weights(size)) if sums.masks is None else sums.masks[:, 0].astype(np.float64)
        # one image in memory, that stands for all frames of the chunk
        told = {IMAGE: np.broadcast_to(np.asarray(sums.image), (len(chunk), *size)), VALUE: values}
        return Chunk(
            kept, KEPT, chunk.ids, chunk.epoch, chunk.where, told, chunk.stream, chunk.set, received=chunk.received
        )

    def digests_like(self, other: Any) -> bool:
        """True if the same detector was used."""
        names = ("shape", "center", "inner", "outer", "binning", "exact")
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def add(self, state: Seen, chunk: Chunk, *held: Held) -> None:
        """Keep the patterns, and put what the detector saw to its place. A detector that began anew begins anew here."""
        if not len(chunk) or chunk.epoch < state.epoch:
            return
        if chunk.epoch > state.epoch:
            state.store.clear()
            state.map.covered[:] = state.come[:] = False
            state.full, state.again = None, len(state.come)
            state.total[:], state.frames, state.newest, state.epoch = 0.0, 0, -1, chunk.epoch
        ready = self.digest(chunk)
        inside = state.map.take(ready.ids, np.asarray(ready.coords[VALUE]))
        places = ready.ids[inside] - state.map.first
        state.store.take(places, ready.data[inside])
        state.come[places] = True
        state.total += ready.coords[IMAGE][0]
        state.frames += len(ready)
        state.newest = max(state.newest, int(places.max(initial=-1)))

    def ready(self, state: Seen) -> bool:
        """True once a frame has come."""
        return state.frames > 0

    def coverage(self, state: Seen) -> float:
        """The share of the scan that the image shows."""
        return state.map.share

    def result(self, state: Seen) -> dict[str, Array]:
        """`image` (scan_y, scan_x), `pattern` and `mean` (row, col); NaN where nothing is, and for a pattern that is not held."""
        image = np.where(state.map.covered, state.map.values, np.nan).reshape(state.map.shape)
        point = self._point(state)
        known = self._finer and state.full is not None and state.full[0] == point
        pattern = state.full[1].copy() if known and state.full else state.store.pattern(point)
        return {"image": image, "pattern": pattern, "mean": state.total / state.frames}

    def _point(self, state: Seen) -> int:
        if self.scan_y is None and self.scan_x is None:
            return state.newest
        return (self.scan_y or 0) * state.map.points + (self.scan_x or 0)

    def adapt(self, state: Seen, old: Self) -> Seen:
        """Show another point; move the detector: every point whose pattern is held is summed anew.

        Raises:
            ChangeRefused: The parameter decides how patterns are kept.
        """
        for name in ("memory", "binning"):
            if getattr(self, name) != getattr(old, name):
                raise ChangeRefused(
                    f"'{name}' decides how patterns are kept and can not change while the scan runs.",
                    field=name,
                    value=getattr(self, name),
                    expected=str(getattr(old, name)),
                    next_move="Stop the run and start it with the new value.",
                )
        self._check(state.map, state.store.size)
        if self._finer and state.read is None:
            raise ChangeRefused(**self._only_binned())
        if not self.digests_like(old):
            self._see_anew(state, kept=not old._finer)
            state.again = 0
        return state

    def refine(self, state: Seen) -> bool:
        """With `exact`: read the point that is shown, then some points of the scan, and sum them in full; True if there are more."""
        if not self._finer or state.read is None or not state.come.any():
            return False
        shown = self._point(state)
        if state.come[shown] and (state.full is None or state.full[0] != shown):
            frame = _frames_again(state.read, *divmod(shown, state.map.points), 1, state.map.points)
            state.full = (shown, frame.reshape(state.store.size).astype(np.float64))
        left = np.flatnonzero(state.come[state.again :])
        if len(left):
            self._read_again(state, state.again + int(left[0]))
        return len(left) > 0

    def _read_again(self, state: Seen, first: int) -> None:
        """Sum some points in full, from one on."""
        size = state.store.size
        at_once = max(1, READ_AT_ONCE // (size[0] * size[1] * state.store.patterns.itemsize))
        if state.read is None:
            return
        frames = _frames_again(state.read, *divmod(first, state.map.points), at_once, state.map.points)
        found = np.asarray(frame_sums(frames.reshape(-1, *size), Masks(self._weights(size, 1)[None] == 1)).masks)
        points = np.arange(first, first + len(found))
        come = state.come[points]
        state.map.values[points[come]] = found[come, 0]
        state.map.covered[points[come]] = True
        state.again = first + len(found)

    def _see_anew(self, state: Seen, *, kept: bool) -> None:
        """Sum every pattern that is held under the detector as it is now; of integers, only what it gained and lost.

        Args:
            state: Patterns and values so far.
            kept: The values so far were made of the patterns that are kept.
        """
        before, state.weights = state.weights, self._weights(state.store.size)
        step = state.weights - before
        exact = state.store.patterns.dtype.kind in "ui" and not (np.stack([before, step]) * FINEST % 1).any()
        differs = kept and exact and np.count_nonzero(step) < np.count_nonzero(state.weights)
        points, sums = state.store.sums(step if differs else state.weights)
        state.map.values[points] = sums + (state.map.values[points] if differs else 0.0)
        state.map.covered[:] = False
        state.map.covered[points] = True

    def merge(self, state: Seen, other: Seen) -> Seen:
        """Both together; of two epochs the later."""
        if state.epoch != other.epoch:
            return max(state, other, key=lambda each: each.epoch)
        places, patterns = other.store.held()
        state.store.take(places, patterns)
        state.map = state.map.merged(other.map)
        state.come |= other.come
        state.total += other.total
        state.frames += other.frames
        state.newest = max(state.newest, other.newest)
        return state

    def save(self, state: Seen) -> dict[str, Any]:
        """The patterns held, and the sums."""
        places, patterns = state.store.held()
        return {
            "places": places,
            "patterns": patterns,
            "values": state.map.values.copy(),
            "covered": state.map.covered.copy(),
            "come": state.come.copy(),
            "total": state.total.copy(),
            "counts": np.array([state.frames, state.newest, state.epoch]),
        }

    def load(self, saved: Mapping[str, Any], scan: Scan) -> Seen:
        """The state that `save` wrote."""
        state = self.empty(scan)
        state.store.take(np.asarray(saved["places"]), np.asarray(saved["patterns"]))
        state.map.values[:], state.map.covered[:], state.come[:] = saved["values"], saved["covered"], saved["come"]
        state.total[:] = saved["total"]
        state.frames, state.newest, state.epoch = (int(value) for value in saved["counts"])
        return state
