"""The pictures of a sweep side by side, and which of them is best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Scan, Stream
from firstlight.core.errors import AxesError
from firstlight.core.fold import Fold
from firstlight.core.held import Held
from firstlight.kernels.contact_sheet import sheet, sheet_shape, shrunk, shrunk_shape, value_text
from firstlight.kernels.pause import pause
from firstlight.kernels.picture_metrics import Histogram, entropy, metrics

from .swept import Combination, combinations, count_of, named, others, parts

LEAST_IS_BEST = frozenset({"entropy"})
NUMBERS = ("sharpness", "negativity", "std")
"""Metrics that are averaged over the pictures of one combination."""


@dataclass(slots=True)
class Seen:
    """What is known of the pictures of one combination."""

    histogram: Histogram | None = None
    numbers: dict[tuple[int, ...], dict[str, float]] = field(default_factory=dict[tuple[int, ...], "dict[str, float]"])
    """Metrics of each picture, by its place along the other axes."""
    tile: Array | None = None
    off_middle: tuple[int, ...] = ()
    """How far the tile is from the middle of the other axes, and its place there."""


@dataclass(slots=True)
class Sheet:
    """The pictures of a sweep so far."""

    stream: Stream
    seen: dict[Combination, Seen] = field(default_factory=dict[Combination, Seen])


class ContactSheet(Fold[Sheet]):
    """Draw the pictures of a sweep side by side with their values, and name the best by a metric.

    Of every other axis the middle is drawn, while the metrics look at all of it. The last two axes are the picture.
    """

    use: ClassVar[str] = "contact_sheet"
    signature: ClassVar[Any] = "[*] -> sheet: row col, entropy: , sharpness: , negativity: , std: "
    cites: ClassVar[tuple[str, ...]] = ("10.1364/JOSAA.23.001048",)

    metric: Literal["entropy", "sharpness", "negativity", "std", "none"] = "entropy"
    """What tells the best: the least entropy of the values, the greatest sharpness, the least negative values, or the
    greatest standard deviation. None depends on a number by which all values of a picture are multiplied. With `none`
    no picture is marked."""
    tile: Annotated[int, Field(ge=16, le=2048)] = 256
    """Rows and columns of each picture at most."""

    def after(self, scan: Scan) -> dict[str, Stream]:
        """The sheet, and one number of each kind for each combination of values.

        Raises:
            AxesError: Nothing is swept in what comes.
        """
        stream = scan.main
        _check(stream)
        marks = stream.marks
        grid = {label: len(values) for label, values in marks.items()}
        texts = [_text(stream, each) for each in combinations(stream)]
        rows, cols = sheet_shape(texts, self._tile(stream), _columns(stream))
        plain = replace(stream, dtype="float32", arrival=0, unit=None, first=0)
        numbers = replace(plain, axes=tuple(grid), sizes=grid)
        drawn = replace(plain, axes=("row", "col"), sizes={"row": rows, "col": cols}, dtype="uint8", marks={})
        return {"sheet": drawn, "entropy": numbers, "sharpness": numbers, "negativity": numbers, "std": numbers}

    def _tile(self, stream: Stream) -> tuple[int, int]:
        return shrunk_shape((stream.size(stream.axes[-2]), stream.size(stream.axes[-1])), self.tile)

    def workspace(self, scan: Scan, frames: int) -> int:
        """Tiles and histograms."""
        tile = self._tile(scan.main)
        return count_of(scan.main) * (4 * tile[0] * tile[1] + 8 * 32768)

    def empty(self, scan: Scan) -> Sheet:
        """Before the first picture."""
        return Sheet(scan.main)

    def add(self, state: Sheet, chunk: Chunk, *held: Held) -> None:
        """Count every picture of a chunk under the values that it was made with."""
        for combination, other, picture in parts(state.stream, chunk, 2):
            values = np.abs(picture) if np.iscomplexobj(picture) else picture
            seen = state.seen.setdefault(combination, Seen())
            if other in seen.numbers:
                continue
            pause()
            counted, seen.numbers[other] = metrics(values)
            seen.histogram = counted if seen.histogram is None else seen.histogram + counted
            middle = _middle(state.stream)
            off = (sum(abs(at - m) for at, m in zip(other, middle, strict=True)), *other)
            if seen.tile is None or off < seen.off_middle:
                seen.tile, seen.off_middle = shrunk(values, self.tile), off

    def ready(self, state: Sheet) -> bool:
        """True once a picture has come."""
        return bool(state.seen)

    def coverage(self, state: Sheet) -> float:
        """Share of the combinations that have come."""
        return len(state.seen) / count_of(state.stream)

    def result(self, state: Sheet) -> dict[str, Array]:
        """The sheet as grey levels 0 to 255, shape (row, col); metrics by swept parameter, NaN where no picture has come."""
        stream = state.stream
        metrics = self._metrics(state)
        every = list(combinations(stream))
        tiles = [state.seen[each].tile if each in state.seen else None for each in every]
        texts = [_text(stream, each) for each in every]
        best = None if self.metric == "none" else self._best(self.metric, metrics)
        place = None if best is None else every.index(best)
        drawn = sheet(tiles, texts, self._tile(stream), _columns(stream), place)
        return {"sheet": drawn, **metrics}

    def _metrics(self, state: Sheet) -> dict[str, Array]:
        shape = tuple(len(values) for values in state.stream.marks.values())
        found = {name: np.full(shape, np.nan, np.float32) for name in ("entropy", *NUMBERS)}
        for each, seen in state.seen.items():
            found["entropy"][each] = np.nan if seen.histogram is None else entropy(seen.histogram)
            numbers = seen.numbers
            for name in NUMBERS:
                found[name][each] = np.mean([numbers[other][name] for other in sorted(numbers)])
        return found

    def _best(self, metric: str, metrics: Mapping[str, Array]) -> Combination | None:
        """The best by a metric; None where it does not tell one: it is no number, or the same for all."""
        found = metrics[metric]
        known = found[np.isfinite(found)]
        if not known.size or (known.size > 1 and known.min() == known.max()):
            return None
        place = int(np.nanargmin(found) if metric in LEAST_IS_BEST else np.nanargmax(found))
        return tuple(int(at) for at in np.unravel_index(place, found.shape))

    def remarks(self, state: Sheet) -> tuple[str, ...]:
        """Where the metric tells no best value."""
        if not state.seen or self.metric == "none":
            return ()
        found = self._metrics(state)
        if self._best(self.metric, found) is not None:
            return ()
        why = (
            "the same for all"
            if np.isfinite(found[self.metric]).any()
            else "no number: the pictures hold none, or are even"
        )
        return (f"no value can be told the best, because the {self.metric} is {why}",)

    def findings(self, state: Sheet) -> dict[str, Any]:
        """The best value of each swept parameter, by this metric and by every other that tells one, and the metrics of all."""
        if not state.seen or self.metric == "none":
            return {}
        marks, metrics = state.stream.marks, self._metrics(state)
        found = {name: self._best(name, metrics) for name in metrics}
        by = {name: named(state.stream, best) for name, best in found.items() if best is not None}
        return {
            **({"best": by[self.metric]} if self.metric in by else {}),
            "sweep": {
                "metric": self.metric,
                "parameters": {label: list(values) for label, values in marks.items()},
                "metrics": {name: array.tolist() for name, array in metrics.items()},
                "best_by": by,
            },
        }


def _check(stream: Stream) -> None:
    swept = [label for label in stream.axes if label in stream.marks]
    if not swept or len(stream.axes) < 2 + len(swept) or any(label in stream.marks for label in stream.axes[-2:]):
        raise AxesError(
            "There is no sweep to draw.",
            field="axes",
            value=" ".join(stream.axes),
            expected="pictures with a swept parameter in front, such as 'center: {sweep: 500:520:0.5}' gives",
        )


def _columns(stream: Stream) -> int | None:
    """Two parameters make a table of as many columns as the last has values."""
    return len(list(stream.marks.values())[-1]) if len(stream.marks) > 1 else None


def _middle(stream: Stream) -> tuple[int, ...]:
    return tuple((stream.size(label) - 1) // 2 if stream.sizes.get(label) else 0 for label in others(stream, 2))


def _text(stream: Stream, combination: Combination) -> str:
    values = named(stream, combination)
    if len(values) == 1:
        return value_text(next(iter(values.values())))
    return ", ".join(f"{label.partition('.')[2]} {value_text(value)}" for label, value in values.items())
