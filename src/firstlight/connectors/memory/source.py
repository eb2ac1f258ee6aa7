"""Sources over what is in memory: arrays, or a ready list of items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, PrivateAttr, SerializationInfo, SerializerFunctionWrapHandler, model_serializer

from firstlight.core.arrays import Array, Ids, as_ids
from firstlight.core.chunk import MAIN, Chunk, End, Gap, Item, Scan, Stream
from firstlight.core.errors import SourceError, UnknownName
from firstlight.core.selection import BEFORE, cut_frames, frames_of, moved_set
from firstlight.core.source import Source
from firstlight.core.units import Bytes, Quantity

_FRAME = ("row", "col", "channel", "bin")


@dataclass(frozen=True, slots=True)
class Part:
    """Frames that are played one after the other: a whole stream, or one set of dark or flat frames."""

    data: Array
    """Indexed by position: id minus the stream's first."""
    ids: Ids
    """Which frames come, in this order."""
    first: int = 0
    """Id of the frame at position 0."""
    stream: str = MAIN
    set: int = 0


class MemorySource(Source):
    """Plays arrays that are in memory; made with `MemorySource.of`, in Python alone."""

    use: ClassVar[str] = "memory"

    axes: str = "angle row col"
    """Label of every dimension of the data, slowest first."""
    chunk: Annotated[Bytes, Field(gt=0)] = 8 * 2.0**20
    """Size of a chunk: as many whole frames as fit, at least one."""
    frames: Annotated[int, Field(ge=1)] | None = None
    """Frames in a chunk, instead of a size."""

    _scan: Scan | None = PrivateAttr(None)
    _parts: tuple[Part, ...] = PrivateAttr(())
    _left: tuple[Scan, tuple[Part, ...]] | None = PrivateAttr(None)
    """What is left of the arrays, if only a part of them is played."""
    _stopped: bool = PrivateAttr(False)

    @classmethod
    def of(
        cls,
        data: Array,
        axes: str = "angle row col",
        *,
        angles: Array | None = None,
        dark: Array | Sequence[Array] | None = None,
        flat: Array | Sequence[Array] | None = None,
        coords: Mapping[str, Array] | None = None,
        streams: Mapping[str, tuple[Array, str]] | None = None,
        ids: Sequence[int] | Ids | None = None,
        set_ids: Mapping[str, Sequence[Sequence[int] | Ids]] | None = None,
        arrival: int | None = None,
        order: Sequence[str] | None = None,
        calibration: Mapping[str, Quantity] | None = None,
        name: str = "memory",
        **parameters: Any,
    ) -> Self:
        """A source of arrays.

        Args:
            data: The frames, with the dimensions that `axes` names.
            axes: Labels, slowest first.
            angles: (angle,) in degree; the same as ``coords={"angle": …}``.
            dark: (frame, row, col), or one such array for each set.
            flat: Likewise.
            coords: Values per frame of the flattened arrival.
            streams: Further streams by name: array and axes; the first axis arrives.
            ids: The frames that come, in this order; those that it leaves out are reported as a gap. Default: all.
            set_ids: Ids of each set of ``dark`` or ``flat``; by default they count as taken before the first frame.
            arrival: How many leading axes arrive, flattened; default: all but those of the detector.
            order: The streams in the order in which they are played; default: dark, flat, further ones, data.
            calibration: Such as ``{"pixel": Quantity(0.65, "um")}``.
            name: Name of the scan.
            **parameters: The fields of the model: `chunk` or `frames`.

        Raises:
            SourceError: The axes do not fit the data.
        """
        source = cls(axes=axes, **parameters)
        labels = axes.split()
        count = _scanned(labels) if arrival is None else arrival
        main = _stream(data, labels, count, ids)
        flattened = data.reshape(-1, *data.shape[count:])
        known = {key: np.asarray(values) for key, values in (coords or {}).items()}
        if angles is not None:
            known["angle"] = np.asarray(angles, dtype=np.float64)
        _check_coords(known, len(flattened))
        described = {MAIN: main}
        parts = [Part(flattened, np.arange(len(flattened), dtype=np.int64) if ids is None else as_ids(ids))]
        for stream, sets in (("dark", dark), ("flat", flat)):
            if sets is not None:
                described[stream], made = _sets(stream, sets, main.frame_axes, (set_ids or {}).get(stream))
                parts += made
        for stream, (array, text) in (streams or {}).items():
            described[stream] = _stream(array, text.split(), 1, None)
            parts.append(Part(array, np.arange(len(array), dtype=np.int64), stream=stream))
        played = tuple(order or (*(stream for stream in described if stream != MAIN), MAIN))
        source._scan = Scan(described, name, dict(calibration or {}), known, played)
        source._parts = tuple(part for stream in played for part in parts if part.stream == stream)
        return source

    @classmethod
    def playing(cls, scan: Scan, items: Sequence[Item], *, pausable: bool = True) -> ItemSource:
        """A source that gives a ready list of items, just as they are."""
        kind = ItemSource if pausable else _UnpausableItems
        source = kind()
        source._scan, source._items = scan, tuple(items)
        return source

    def open(self) -> Scan:
        """Say what will come.

        Raises:
            SourceError: It was not made from arrays.
        """
        self._stopped, self._left = False, None
        return self._known()

    def narrow(self, scan: Scan, chosen: Mapping[str, range]) -> None:
        """Play only the selected part from now on, as views of the arrays; `scan` is what is left."""
        whole = self._known()
        last: dict[str, int] = {}
        parts: list[Part] = []
        for part in self._parts:
            data = cut_frames(part.data, whole.stream(part.stream).frame_axes, chosen)
            if part.stream == MAIN:
                parts.append(_narrowed(replace(part, data=data), whole, chosen, scan.main.first))
                continue
            ids = moved_set(part.ids, whole.main, chosen, last.get(part.stream, BEFORE))
            last[part.stream] = int(ids[-1])
            parts.append(replace(part, data=data, ids=ids, first=int(ids[0])))
        self._left = (scan, tuple(parts))

    def items(self) -> Iterator[Item]:
        """Stream after stream, each set and each stream with its end; frames that were withheld as gaps."""
        played = self._played()
        for number, part in enumerate(played):
            for item in self._play(part):
                if self._stopped:
                    return
                yield item
            if part.stream in ("dark", "flat"):
                yield End(part.stream, part.set)
            if part.stream not in {later.stream for later in played[number + 1 :]}:
                yield End(part.stream)

    def _played(self) -> tuple[Part, ...]:
        return self._parts if self._left is None else self._left[1]

    def _play(self, part: Part) -> Iterator[Chunk | Gap]:
        axes = self._known().stream(part.stream).frame_axes
        bytes_each = max(1, part.data[:1].nbytes)
        step = self.frames or max(1, int(self.chunk // bytes_each))
        for start in range(0, len(part.ids), step):
            ids = part.ids[start : start + step]
            where = ids - part.first
            rising = bool((np.diff(where) == 1).all())
            data = part.data[where[0] : where[-1] + 1] if rising else part.data[where]
            coords = {name: values[ids] for name, values in self._known().coords.items()} if part.stream == MAIN else {}
            yield Chunk(data, axes, ids, coords=coords, stream=part.stream, set=part.set)
        absent = np.setdiff1d(np.arange(len(part.data), dtype=np.int64) + part.first, part.ids)
        for stretch in np.split(absent, np.flatnonzero(np.diff(absent) != 1) + 1):
            if len(stretch):
                yield Gap(0, int(stretch[0]), int(stretch[-1]), "withheld", "lost", part.stream)

    def read(self, where: Mapping[str, slice], stream: str = MAIN) -> Array:
        """One block of a stream, as a view of the array where possible.

        Raises:
            UnknownName: There is no such stream or axis.
        """
        described = self._known().stream(stream)
        if unknown := set(where) - set(described.axes):
            raise UnknownName(
                f"The stream '{stream}' has no axis '{min(unknown)}'.",
                field="where",
                value=sorted(where),
                expected="axes out of " + " ".join(described.axes),
            )
        parts = [part.data for part in self._played() if part.stream == stream]
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
        shaped = whole.reshape(*(described.size(label) for label in described.axes))
        return shaped[tuple(where.get(label, slice(None)) for label in described.axes)]

    def stop(self) -> None:
        """End `items` after the chunk in hand."""
        self._stopped = True

    def close(self) -> None:
        """Nothing to give back: the arrays belong to the caller."""

    def _known(self) -> Scan:
        if self._scan is None:
            raise SourceError(
                "The source 'memory' has no arrays.",
                field="source",
                value="memory",
                expected="a source made with MemorySource.of(array, axes=…)",
                next_move="In a job file, name a source that can be found again, such as hdf5.",
            )
        return self._scan if self._left is None else self._left[0]

    @model_serializer(mode="wrap")
    def _refuse_json(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        """Arrays in memory can not be written into a job file or sent to another process."""
        if self._scan is not None and info.mode == "json":
            raise SourceError(
                "Arrays in memory can not become part of a job file.",
                field="source",
                value="memory",
                next_move="Save the arrays and use the source 'hdf5', or run the job in this process.",
            )
        return handler(self)


class ItemSource(Source):
    """Plays a ready list of items, such as a recording with gaps and restarts; made with `MemorySource.playing`."""

    use: ClassVar[str] = "items"

    _scan: Scan | None = PrivateAttr(None)
    _items: tuple[Item, ...] = PrivateAttr(())
    _stopped: bool = PrivateAttr(False)

    def open(self) -> Scan:
        """Say what will come.

        Raises:
            SourceError: It was not made from a list.
        """
        self._stopped = False
        if self._scan is None:
            raise SourceError(
                "The source has no items.",
                field="source",
                value="items",
                next_move="Make it with MemorySource.playing(scan, items).",
            )
        return self._scan

    def items(self) -> Iterator[Item]:
        """The items, as they were given."""
        for item in self._items:
            if self._stopped:
                return
            yield item

    def stop(self) -> None:
        """End `items` after the one in hand."""
        self._stopped = True

    def close(self) -> None:
        """Nothing to give back."""


class _UnpausableItems(ItemSource):
    """A list that stands for a detector: its frames come whether anybody reads or not."""

    pausable: ClassVar[bool] = False


def _narrowed(part: Part, whole: Scan, chosen: Mapping[str, range], first: int) -> Part:
    """The selected frames of the main stream."""
    if not any(label in chosen for label in whole.main.arrival_axes):
        return part
    again = frames_of(whole.main, chosen)
    if again is None:
        along = chosen[whole.main.axes[0]]
        places = part.ids - part.first
        ids = part.ids[(places >= along.start) & (places < along.stop)]
        return replace(part, data=part.data[along.start : along.stop], ids=ids, first=first)
    place_of = {int(place): number for number, place in enumerate(again)}
    ids = np.array([place_of[p] for p in (part.ids - part.first).tolist() if p in place_of], np.int64)
    return replace(part, data=part.data[again], ids=ids, first=0)


def _scanned(labels: list[str]) -> int:
    count = len(labels)
    while count > 1 and labels[count - 1] in _FRAME:
        count -= 1
    return count if count < len(labels) else 1


def _stream(data: Array, labels: list[str], arrival: int, ids: Sequence[int] | Ids | None) -> Stream:
    if len(labels) != data.ndim or len(set(labels)) != len(labels) or not 1 <= arrival <= data.ndim:
        raise SourceError(
            f"An array of the shape {data.shape} needs {data.ndim} different labels.",
            field="axes",
            value=" ".join(labels),
            expected="one label per dimension",
        )
    sorted_ = ids is None or bool((np.diff(as_ids(ids)) > 0).all())
    stream = Stream(tuple(labels), dict(zip(labels, data.shape, strict=True)), data.dtype.name, arrival)
    return stream if sorted_ else replace(stream, order="any")


def _sets(
    name: str, sets: Array | Sequence[Array], frame_axes: tuple[str, ...], ids: Sequence[Sequence[int] | Ids] | None
) -> tuple[Stream, list[Part]]:
    """Stream and parts of dark or flat frames; without ids, the sets lead up to the first frame."""
    arrays = [sets] if isinstance(sets, np.ndarray) else list(sets)
    total = sum(len(array) for array in arrays)
    parts: list[Part] = []
    first = -total
    for number, array in enumerate(arrays):
        own = as_ids(ids[number]) if ids else np.arange(first, first + len(array), dtype=np.int64)
        parts.append(Part(array, own, int(own[0]), name, number))
        first += len(array)
    axes = ("frame", *frame_axes)
    sizes = dict(zip(axes, (total, *arrays[0].shape[1:]), strict=True))
    return Stream(axes, sizes, arrays[0].dtype.name, first=parts[0].first), parts


def _check_coords(coords: Mapping[str, Array], frames: int) -> None:
    for name, values in coords.items():
        if len(values) != frames:
            raise SourceError(
                f"The coordinate '{name}' does not fit the data.",
                field="coords",
                value=len(values),
                expected=f"{frames} values, one per frame",
            )
