"""Sink for Zarr version 3."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import PrivateAttr

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import MAIN, Chunk, Gap, Scan
from firstlight.core.errors import FirstlightError, SinkError
from firstlight.core.sink import Sink

from ..recorded.disk import disk_error
from ..recorded.mapped import check_epoch, check_shape, merged_angles, places_of
from ..recorded.place import boxes, missing_ranges, runs, volume
from ..recorded.sidecar import angle_list, describe, finished
from ..recorded.times import Times
from .ngff import halved, levels, multiscales
from .stores import is_url, said, store_at

Compression = Literal["none", "blosc", "zstd"]
_SLAB = 64 * 2**20
"""Bytes of a level that are held to make the next."""
_COVERED = "covered"
_RECEIVED = "received"


class ZarrSink(Sink):
    """Writes one output as Zarr 3 with OME-NGFF 0.5, into a folder or to ``s3://bucket/path``; viewers get a pyramid.

    Array ``0`` is the result; ``covered`` tells what of it is there, also while it is written and after a crash; ``1``,
    ``2`` … are made at the end, each with half the pixels, and ``received``: when each frame came. The record stands in
    the attribute ``firstlight``.
    """

    use: ClassVar[str] = "zarr"

    path: str
    """A folder such as ``volume.zarr``, or ``s3://bucket/volume.zarr`` (needs the extra s3)."""
    chunks: tuple[int, ...] | None = None
    """Shape of a storage chunk over all axes; default: single frames in tiles of at most 512 pixels."""
    compression: Compression = "blosc"
    """Lossless compression: none, blosc (fast) or zstd (smaller)."""
    pyramid: bool = True
    """Make smaller versions for viewers."""
    endpoint: str | None = None
    """Address of an S3 server other than Amazon's, such as ``https://s3.facility.org``."""
    overwrite: bool = False
    """Replace a result that exists already."""

    _written: Any = PrivateAttr(None)

    def open(self, scan: Scan, record: dict[str, Any]) -> None:
        """Make the group, the array and its mask, and write the record.

        Raises:
            SinkError: There is something already, or it can not be written.
            MissingExtra: The libraries for Zarr or S3 are not installed.
        """
        self._written = None
        _check_lengths(scan)
        with _clear(self.path, "make the group"):
            store = store_at(self.path, self.endpoint, read_only=False)
            shape = tuple(scan.main.sizes.get(label) or 0 for label in scan.main.axes)
            self._written = _Group(self, self._cleared(store, _head(scan, record, shape)), scan)

    @property
    def resumable(self) -> bool:
        """True, also after a kill: a storage chunk is a file or an object, which is replaced whole or not at all."""
        return True

    def resume(self, scan: Scan, record: dict[str, Any], done: Ids) -> None:
        """Go on in what an interrupted run left.

        Raises:
            SinkError: It is not there.
        """
        with _clear(self.path, "go on in the group"):
            import zarr

            root: Any = zarr.open_group(store_at(self.path, self.endpoint, read_only=False), mode="r+")
            self._sweep()
            root.attrs.put(_head(scan, record, root["0"].shape))
            self._written = _Group(self, root, scan, done)

    def _sweep(self) -> None:
        """Remove what a kill left of files that had not got their names."""
        if not is_url(self.path):
            for torn in Path(self.path).expanduser().rglob("*.partial"):
                torn.unlink()

    def _cleared(self, store: Any, head: dict[str, Any]) -> Any:
        """A new group, or the old one without what was in it: that is marked as not there before it goes."""
        import zarr

        try:
            old = zarr.open_group(store, mode="r")
        except FileNotFoundError:
            local = None if is_url(self.path) else Path(self.path).expanduser()
            if local is not None and local.exists() and (not local.is_dir() or any(local.iterdir())):
                raise _there(self.path, "something that is no Zarr group") from None
            return zarr.create_group(store, attributes=head)
        if not self.overwrite or "firstlight" not in old.attrs:
            raise _there(self.path, "a Zarr group" if "firstlight" in old.attrs else "a group of another program")
        self._sweep()
        root = zarr.open_group(store, mode="r+")
        if _COVERED in root:
            mask: Any = root[_COVERED]
            mask[...] = 0
        for name in sorted(root, key=lambda name: name == _COVERED):
            del root[name]
        root.attrs.put(head)
        return root

    def write(self, chunk: Chunk) -> None:
        """Write frames to the places that their ids name.

        Raises:
            SinkError: The store is full or gone, or a frame does not fit.
        """
        if self._written is None:
            raise SinkError("The group is not open.", field="path", value=self.path, next_move="Call open() first.")
        check_epoch(chunk, MAIN)
        if len(chunk):
            with _clear(self.path, f"write frames {chunk.ids.min()} to {chunk.ids.max()}"):
                self._written.write(chunk)

    def miss(self, gap: Gap) -> None:
        """Note frames that will not come."""
        if self._written is not None:
            self._written.gaps.append(gap)

    def close(self, record: dict[str, Any], *, complete: bool) -> None:
        """Make the pyramid, say what is missing and write the final record; harmless when called twice.

        Raises:
            SinkError: The store is full or gone; what was written before stays.
        """
        written, self._written = self._written, None
        if written is not None:
            with _clear(self.path, "finish the group"):
                written.end(record, complete=complete)

    def location(self) -> str:
        """The path or address."""
        return self.path


class _Group:
    """A group that is being written; used by one writer thread."""

    def __init__(self, sink: ZarrSink, root: Any, scan: Scan, done: Ids | None = None) -> None:
        self.sink, self.root, self.scan, self.stream = sink, root, scan, scan.main
        stream = scan.main
        lengths = [stream.sizes.get(label) for label in stream.axes]
        self.growing = bool(lengths) and lengths[0] is None
        self.shape = tuple(length or 0 for length in lengths) if done is None else tuple(root["0"].shape)
        self.scanned = self.shape[: max(stream.arrival, 1)]
        self.begun: Any = root.attrs["firstlight"]
        self.gaps: list[Gap] = []
        self.times = Times()
        self.angles = angle_list(scan, stream, self.shape[0] if self.shape else 0)
        self._seen: dict[int, set[tuple[tuple[int, int], ...]]] = {}
        if done is None:
            # the mask first: an array without one counts as whole
            self.covered: Any = self._create(_COVERED, self.scanned or (1,), mask=True)
            self.array: Any = self._create("0", self.shape)
            return
        self.array, self.covered = self.root["0"], self.root[_COVERED]
        if _RECEIVED in self.root:
            self.times = Times.known(self.root[_RECEIVED][...])
        mask = np.zeros(prod(self.covered.shape), np.uint8)
        mask[done - stream.first] = 1
        self.covered[...] = mask.reshape(self.covered.shape)

    def _create(self, name: str, shape: tuple[int, ...], *, mask: bool = False) -> Any:
        from zarr.codecs import BloscCodec, ZstdCodec

        codec = {"none": None, "blosc": BloscCodec(cname="lz4"), "zstd": ZstdCodec(level=3)}[self.sink.compression]
        axes = self.stream.axes
        default = tuple(min(n, 512) or 1 if label in axes[-2:] else 1 for n, label in zip(shape, axes, strict=False))
        chunks = (4096,) * len(shape) if mask else self.sink.chunks if name == "0" and self.sink.chunks else default
        return self.root.create_array(
            name,
            shape=shape,
            dtype="uint8" if mask else self.stream.dtype,
            chunks=tuple(max(1, min(c, n) if n else c) for c, n in zip(chunks, shape, strict=True)),
            compressors=codec,
            fill_value=0,
            dimension_names=axes[: len(shape)] if axes else None,
            overwrite=True,
        )

    def write(self, chunk: Chunk) -> None:
        """Put frames at their places, and mark those that are whole."""
        stream = self.stream
        labels = stream.frame_axes if stream.arrival else stream.axes
        cuts = tuple(chunk.where.get(label, slice(None)) for label in labels)
        if not stream.arrival:
            self.array[cuts] = chunk.data[-1]
            rows = cuts[0].indices(self.shape[0])[:2] if cuts else (0, 1)
            for row in range(*rows):
                self._cover(np.array([row]), self.shape[1:], cuts[1:])
            return
        places = places_of(chunk.ids, stream, None if self.growing else prod(self.scanned))
        frame = self.shape[stream.arrival :]
        check_shape(chunk, cuts, frame)
        self._grow(int(places.max()) + 1)
        order = np.argsort(places, kind="stable")
        rising, data = places[order], chunk.data[order]
        for start, stop in runs(rising):
            done = start
            for box in boxes(int(rising[start]), int(rising[stop - 1]) + 1, self.scanned):
                count = volume(box)
                lengths = tuple(part.stop - part.start for part in box)
                self.array[(*box, *cuts)] = data[done : done + count].reshape(lengths + data.shape[1:])
                done += count
        self._cover(rising, frame, cuts)
        merged_angles(self.angles, chunk, places)
        self.times.note(places, chunk.received)

    def _grow(self, count: int) -> None:
        inner = prod(self.scanned[1:])
        lines = -(-count // inner)
        if not self.growing or lines <= self.scanned[0]:
            return
        self.scanned, self.shape = (lines, *self.scanned[1:]), (lines, *self.shape[1:])
        self.array.resize(self.shape)
        self.covered.resize(self.scanned)
        if self.angles is not None:
            self.angles = np.concatenate([self.angles, np.full(lines - len(self.angles), np.nan)])

    def _cover(self, places: Ids, frame: tuple[int, ...], cuts: tuple[slice, ...]) -> None:
        """Mark positions once all of their parts came."""
        bounds = tuple(cut.indices(size)[:2] for cut, size in zip(cuts, frame, strict=True))
        whole: list[int] = []
        for place in places.tolist():
            seen = self._seen.setdefault(place, set())
            seen.add(bounds)
            if sum(prod(stop - start for start, stop in each) for each in seen) >= prod(frame):
                whole.append(place)
                del self._seen[place]
        for start, stop in runs(np.array(whole, np.int64)):
            for box in boxes(whole[start], whole[stop - 1] + 1, self.covered.shape):
                self.covered[box] = 1

    def end(self, record: dict[str, Any], *, complete: bool) -> None:
        """The pyramid, the angles and the final record."""
        there = np.asarray(self.covered[...], bool).ravel()
        missing = missing_ranges(there) + (self.stream.first if self.stream.arrival else 0)
        if self.angles is not None:
            made = self.root.create_array(
                "angle", shape=self.angles.shape, dtype="float64", dimension_names=("angle",), overwrite=True
            )
            made[...] = self.angles
            made.attrs["units"] = "deg"
        if self.stream.arrival:
            self._tell_times()
        if (
            self.sink.pyramid
            and prod(self.shape)
            and len(self.shape) >= 2
            and np.dtype(self.stream.dtype).kind in "iuf"
        ):
            self._pyramid()
        self.root.attrs["firstlight"] = finished(
            self.begun, record, missing=missing, gaps=self.gaps, angles=None, complete=complete
        )

    def _tell_times(self) -> None:
        labels = self.stream.axes[: len(self.scanned)]
        made = self.root.create_array(
            _RECEIVED, shape=self.scanned, dtype="float64", dimension_names=labels, overwrite=True, fill_value=np.nan
        )
        made[...] = self.times.first(prod(self.scanned)).reshape(self.scanned)
        made.attrs["units"] = "s"

    def _pyramid(self) -> None:
        """Each level from the one before, slab by slab."""
        axes = self.stream.axes
        shapes = levels(self.shape, axes)
        below: Any = self.array
        for number, shape in enumerate(shapes[1:], 1):
            above = self._create(str(number), shape)
            step = 2 if shape[0] != below.shape[0] else 1
            line = max(1, prod(below.shape[1:]) * below.dtype.itemsize)
            slab = max(1, _SLAB // (line * step)) * step
            for start in range(0, below.shape[0], slab):
                block: Array = halved(np.asarray(below[start : start + slab]), axes)
                above[start // step : start // step + len(block)] = block
            below = above
        self.root.attrs["ome"] = multiscales(self.scan, shapes)


def _head(scan: Scan, record: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    """The attributes of a group that is not finished."""
    return {"firstlight": describe(scan, record), "ome": multiscales(scan, [shape])}


class _clear:  # noqa: N801 (used like a function)
    """Turn what stores raise into an error that names the place."""

    def __init__(self, path: str, doing: str) -> None:
        self.path, self.doing = path, doing

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None or isinstance(error, FirstlightError) or not isinstance(error, Exception):
            return
        if isinstance(error, OSError) and not is_url(self.path):
            raise disk_error(_nearest(Path(self.path).expanduser()), self.doing, 0, error) from error
        raise SinkError(
            f"Could not {self.doing} ({said(error)}).",
            field="path",
            value=self.path,
            next_move="Check the address and your permission to write there; what was written before stays.",
        ) from error


def _nearest(path: Path) -> Path:
    """The path, or the first folder above it that exists, as a place on a disk."""
    while not path.parent.exists():
        path = path.parent
    return path


def _check_lengths(scan: Scan) -> None:
    stream = scan.main
    unknown = [label for label in stream.axes[1 if stream.arrival else 0 :] if not stream.sizes.get(label)]
    if unknown or np.dtype(stream.dtype).kind not in "biufc":
        raise SinkError(
            "Only the length of the first axis may be open, and values must be numbers.",
            field="axes",
            value=" ".join(unknown) or stream.dtype,
            expected="known lengths of the other axes",
            next_move="Give it in the source.",
        )


def _there(path: str, what: str) -> SinkError:
    return SinkError(
        f"There is {what} already.",
        field="path",
        value=path,
        expected="a place where there is nothing yet",
        next_move="Choose another path, or set overwrite to true (on the command line: --set sink.overwrite=true); only what firstlight wrote is replaced.",
    )
