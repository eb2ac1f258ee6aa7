"""Sink for HDF5 and NeXus files: written while data arrive, whole at every moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from firstlight.core.arrays import Ids
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.errors import SinkError

from ..recorded.times import Times
from .create import reopen_file
from .files import is_group
from .handles import File, Group
from .nexus import axis_of, begin_entry, data_group, describe_data, end_entry, fit_axis, put_angles
from .target import Storage, Target, whole_bytes
from .undo import forget, keep, undo
from .writing import FileSink, Writing

_RECEIVED = "received"


class Hdf5Sink(FileSink):
    """Writes one output into an HDF5 file that NeXus readers understand.

    The attributes ``default`` and ``signal`` lead to the array. ``covered`` tells what of it is there, also while it is
    written and after a crash. ``received`` tells, at the end, when each frame came. What came after a restart of the detector
    goes into groups of its own (``epoch_1`` …).
    """

    use: ClassVar[str] = "hdf5"

    chunks: tuple[int, ...] | None = None
    """Shape of a storage chunk over all axes; default: none where all lengths are known, else whole frames.

    With compression, chunks that are filled in several writes move in the file: a writer killed just then may leave a
    file that does not open. The default avoids that. An index of chunks grows by a node for each 64: a writer killed
    between the two writes of that moment leaves one that can not be read, which reading says. With `swmr`, or where all
    lengths are known and nothing is compressed, there is no such moment.
    """
    swmr: bool = False
    """Let readers follow through HDF5's single-writer mode. A killed writer leaves a mark in the file, which ``--resume``
    (and HDF5's tool ``h5clear -s``) takes away."""

    @property
    def resumable(self) -> bool:
        """Always: frames have their places."""
        return True

    @property
    def survives_a_kill(self) -> bool:
        """True where every block has its place from the start: a killed writer can not harm such a file.

        One that is killed while it adds the last record leaves a file that only ``--resume`` opens again.
        """
        return self.compression == "none" and self.chunks is None

    def reopened(self, path: Path, scan: Scan, done: Ids) -> Writing:
        """The file of an interrupted run.

        Raises:
            OSError: It can not be opened.
            SinkError: It does not hold what this run writes.
        """
        undo(path)
        file, killed = reopen_file(path, latest=self.swmr)
        try:
            entry = _Entry(path, file, scan, Storage(self.compression, self.chunks, self.swmr))
            entry.keep()
            entry.again(done, killed=killed)
            forget(path)
        except BaseException:
            file.close()
            raise
        return entry

    def writing(self, path: Path, scan: Scan) -> Writing:
        """Create the file.

        Raises:
            SinkError: It exists, or can not be created.
        """
        file = self.create(path, latest=self.swmr)
        return _Entry(path, file, scan, Storage(self.compression, self.chunks, self.swmr))


class _Entry(Writing):
    """A NeXus entry with one array for each epoch."""

    def __init__(self, path: Path, file: File, scan: Scan, storage: Storage) -> None:
        super().__init__(path, file, scan, storage)
        self.targets: dict[int, Target] = {}
        self._times: dict[int, Times] = {}

    def begin(self, record: dict[str, Any]) -> None:
        """Write the head, and create the array of the first epoch if its shape is known."""
        begin_entry(self.file, self.scan, record)
        if self._known():
            self._make(0, None)

    def again(self, done: Ids, *, killed: bool) -> None:
        """Go on in the array that is there; what was not finished is written anew.

        Raises:
            SinkError: It is another array, or grew in SWMR mode when its writer was killed: the file then does not know its end.
        """
        entry: Group = self.file["entry"]
        for name in ("missing", "missing_reason", "end_time"):
            if name in entry:
                del entry[name]
        if _RECEIVED in entry["data"]:
            self._times[0] = Times.known(entry["data"][_RECEIVED][...])
            del entry["data"][_RECEIVED]
        self.targets[0] = Target(entry["data"], self.scan.main, None, self.storage)
        if killed and self.targets[0].growing:
            raise SinkError(
                "The array grew when its writer was killed in SWMR mode: the file can be read, but not written on.",
                field="path",
                value=str(self.path),
                next_move="Run the job without --resume, and with 'overwrite: true' if the file is to be replaced.",
            )
        self.targets[0].restore(done)
        self._follow()

    def keep(self) -> None:
        """Copy what the file is, where its frames lie in one piece."""
        entry: Group = self.file["entry"]
        groups = [group for group in entry.values() if is_group(group) and "covered" in group]
        keep(self.path, self.file, [group[name] for group in groups for name in ("data", "covered")])

    def _known(self) -> bool:
        """True if nothing but the length of the first arrival axis is open."""
        stream = self.scan.main
        return all(stream.sizes.get(label) for label in (stream.axes[1:] if stream.arrival else stream.axes))

    def target(self, chunk: Chunk) -> Target:
        """The array of the chunk's epoch."""
        return self.targets.get(chunk.epoch) or self._make(chunk.epoch, chunk)

    def _make(self, epoch: int, chunk: Chunk | None) -> Target:
        if self.storage.swmr and self.targets:
            raise SinkError(
                "The detector started again, and a file in SWMR mode can not take a second array.",
                field="swmr",
                value=True,
                next_move="Set swmr to false to keep what comes after a restart of the detector in the same file.",
            )
        stream = self.scan.main
        settled = stream.frames is not None and self.storage.compression == "none" and self._known()
        self.take_space("make room for all frames", whole_bytes(stream) if settled else 0)
        made = self.targets[epoch] = Target(data_group(self.file["entry"], epoch), stream, chunk, self.storage)
        describe_data(made, self.scan, swmr=self.storage.swmr)
        self._follow()
        return made

    def _follow(self) -> None:
        """From here on readers may follow, where they are to."""
        self.file.flush()
        if self.storage.swmr:
            self.file.swmr_mode = True

    def prepare(self, target: Target, chunk: Chunk) -> None:
        """Write the angles of the frames, and make the axis of a growing array as long as it will be."""
        axis = axis_of(target)
        if axis is None:
            return
        longer = target.growing and fit_axis(axis, target, self.scan, target.lines(chunk))
        put_angles(axis, target, chunk)
        (self.file if longer and not self.storage.swmr else axis).flush()

    def note(self, target: Target, chunk: Chunk | None) -> None:
        """Note when frames came; after a failed write, make the axis as short as the array."""
        axis = axis_of(target)
        if axis is not None and target.growing:
            fit_axis(axis, target, self.scan, target.scanned[0])
        if chunk is not None and target.stream.arrival_axes not in ((), ("frame",)):
            self._times.setdefault(chunk.epoch, Times()).note(chunk.ids - target.stream.first, chunk.received)

    def flush(self, target: Target) -> None:
        """Hand what was written to the operating system."""
        if not self.storage.swmr:
            self.file.flush()
            return
        target.flush()

    def end(self, record: dict[str, Any], *, complete: bool) -> None:
        """Write what is missing, and the final record."""
        if self.storage.swmr:
            self._leave_swmr()
        for epoch, times in self._times.items():
            target = self.targets[epoch]
            self.take_space("write when frames came", 8 * target.frames)
            made = target.group.create_dataset(_RECEIVED, data=times.first(target.frames).reshape(target.scanned))
            made.attrs.update({"units": "s", "description": "Unix time at which the frame came; NaN: it did not"})
        end_entry(self.file["entry"], self.targets, self.gaps, record, complete=complete)

    def _leave_swmr(self) -> None:
        """Open the file again in the ordinary way: in SWMR mode no dataset can be added."""
        import h5py

        self.file.close()
        self.file = h5py.File(self.path, "r+", libver="latest", locking=False)
        for epoch, target in self.targets.items():
            target.reopen(self.file["entry/data" if epoch == 0 else f"entry/epoch_{epoch}"])
