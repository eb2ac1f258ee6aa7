"""What to say about a file that no source recognises: what it holds, and the options that would name it."""

from __future__ import annotations

from pathlib import Path

from firstlight.connectors.hdf5.files import open_file, walk
from firstlight.core.errors import SourceError

_MOST = 500
"""Datasets that are looked at."""
_SHOWN = 4
_PLAIN = (".raw", ".bin", ".dat", ".vol", ".img")
_HDF5 = b"\x89HDF\r\n\x1a\n"


def read_at_all(path: Path) -> None:
    """Say it where a file is no scan that anybody could recognise: empty, cut short, or not ours to read.

    Raises:
        SourceError: It is one of these.
    """
    try:
        with path.open("rb") as file:
            head = file.read(len(_HDF5))
    except OSError as error:
        raise SourceError(
            f"The file can not be read: {error.strerror}.", field="path", value=str(path), next_move="Ask its owner."
        ) from error
    if not head:
        raise SourceError(
            "The file is empty.", field="path", value=str(path), next_move="Copy it again from where it was written."
        )
    if head == _HDF5:
        open_file(path).close()


def unrecognised(path: Path) -> SourceError:
    """The error for it."""
    return SourceError(
        f"No source recognises this {'folder' if path.is_dir() else 'file'}.",
        field="path",
        value=str(path),
        expected="a scan in a layout that 'firstlight list sources' shows, such as Data Exchange, NXtomo or TIFF",
        next_move=_next_move(path),
    )


def _next_move(path: Path) -> str:
    if path.is_dir():
        inner = sorted(each.name + ("/" if each.is_dir() else "") for each in path.iterdir())
        held = ", ".join(inner[:_SHOWN]) + (" …" if len(inner) > _SHOWN else "")
        return f"It holds {held or 'nothing'}: name the scan itself, or the folder of its images."
    if path.suffix.lower() in _PLAIN:
        return (
            "Plain numbers are read with --set source.use=raw --set 'source.shape=[ANGLES, ROWS, COLUMNS]'"
            " --set source.dtype=uint16 (and source.offset, source.byteorder)."
        )
    with path.open("rb") as file:
        if file.read(len(_HDF5)) != _HDF5:
            return "Convert it, or name the source with --set source.use=NAME if one of them reads it."
    return _of_hdf5(path)


def _of_hdf5(path: Path) -> str:
    with open_file(path) as file:
        found = [(name, each) for (name, each), _ in zip(walk(file), range(_MOST), strict=False)]
        frames = sorted(
            ((each.size, name, each.shape) for name, each in found if each.ndim == 3 and len(each) > 1), reverse=True
        )
        if not frames:
            return (
                f"It holds {len(found)} datasets, and none of them has several images: name the file with the frames."
            )
        count = {length for _, _, shape in frames for length in shape}
        angles = [name for name, each in found if each.ndim == 1 and each.dtype.kind == "f" and len(each) in count]
    held = ", ".join(f"{name} {' × '.join(map(str, shape))}" for _, name, shape in frames[:_SHOWN])
    _, name, _ = frames[0]
    more = f" --set source.angles={angles[0]}" if angles else " --angles 0:180"
    return (
        f"It holds {held}. Say what they are, such as --set source.use=hdf5 --set source.dataset={name}"
        f" --set 'source.axes=angle row col'{more} (and source.darks, source.flats)."
    )
