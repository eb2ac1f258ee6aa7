"""Source over a raw recording of Gatan's K2 IS camera: a description and eight files, one of each sector."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import ClassVar

from firstlight.core.errors import SourceError

from ..recorded.frames import Recording
from ..recorded.scanned import ScannedSource
from . import wire
from .sectors import SectorFrames, Sectors
from .tags import read_numbers

_log = logging.getLogger(__name__)
_LONGEST = 2**28
"""Bytes of the longest description that is believed."""


class K2ISSource(ScannedSource):
    """Plays a raw recording of a Gatan K2 IS camera (``.gtg`` and ``…1.bin`` to ``…8.bin``), mapped from the disk.

    It begins with the first frame that all sectors have whole and that was taken with the shutter on; of a scan (STEMx) with the frame
    before it, since the flag is set one frame late. A frame of which a sector lost a block is missing.
    """

    use: ClassVar[str] = "k2is"

    shutter: bool = True
    """Leave out the frames before the shutter was on; False: begin with the first whole frame."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for a description of such a recording, and for one of its sectors."""
        try:
            if path.suffix.lower() == ".gtg":
                return True
            with path.open("rb") as file:
                return path.suffix.lower() == ".bin" and file.read(4) == wire.SYNC.to_bytes(4, "big")
        except OSError:
            return False

    def load(self) -> Recording:
        """Read the description, map the sectors and find their first frame.

        Raises:
            SourceError: A file is missing or of another kind, the sectors do not belong together, or the scan does not fit.
        """
        path = self.path.expanduser()
        name = path.stem if path.suffix.lower() == ".gtg" else re.sub(r"\d+$", "", path.stem)
        try:
            scan = read_scan(path.with_name(name + ".gtg"))
            sectors = Sectors(_files(path.parent, name))
            begin = self._begin(sectors, scan is not None)
        except (OSError, ValueError) as error:
            raise SourceError(
                f"The recording can not be read ({error}).",
                field="path",
                value=str(path),
                expected="the .gtg file of a K2 IS recording, with its eight .bin files beside it",
            ) from error
        count = len(sectors.counts) - begin
        if self.scan_y is not None and self.scan_x is not None and self.sync_offset >= 0:
            # The camera runs on after a scan: what comes then belongs to no point.
            count = min(count, self.scan_y * self.scan_x + self.sync_offset)
        frames = SectorFrames(sectors, slice(begin, begin + count))
        lost = {number: each.lost for number, each in enumerate(sectors.sectors, 1) if each.lost}
        if lost:
            told = ", ".join(f"sector {number} lost {count}" for number, count in lost.items())
            _log.warning("%s: blocks are missing (%s); frames that lack one count as lost.", path, told)
        metadata = {f"blocks_lost_sector_{number}": str(count) for number, count in lost.items()}
        metadata["whole_frames_before"] = str(begin)
        return self.scanned(frames, scan, metadata=metadata, there=frames.there)

    def _begin(self, sectors: Sectors, scan: bool) -> int:
        """The first frame that is played, of those that all sectors have."""
        if not self.shutter:
            return 0
        first = sectors.exposed()
        if first < 0:
            raise ValueError("no frame was taken with the shutter on; give shutter: false to play all")
        return max(0, first - 1) if scan else first


def _files(folder: Path, name: str) -> list[Path]:
    """The sectors, from left to right."""
    pattern = re.compile(re.escape(name) + r"(\d{1,3})\.bin", re.IGNORECASE)
    found = sorted((int(known[1]), each) for each in folder.iterdir() if (known := pattern.fullmatch(each.name)))
    if len(found) != wire.SECTORS:
        raise ValueError(f"there are {len(found)} files {name}*.bin, not {wire.SECTORS}")
    return [each for _, each in found]


def read_scan(path: Path) -> tuple[int, int] | None:
    """Lines and points of the scan that a description tells; None if it is of no scan, or missing.

    Raises:
        OSError: It can not be read.
        ValueError: It is none.
    """
    if not path.is_file():
        _log.warning("%s is missing: the recording is played as if it were no scan.", path)
        return None
    with path.open("rb") as file:
        data = file.read(_LONGEST + 1)
    if len(data) > _LONGEST:
        raise ValueError(f"{path.name} has more than {_LONGEST} byte")
    try:
        told = read_numbers(data)
    except ValueError as error:
        raise ValueError(f"{path.name} has no readable tags: {error}") from error
    lines, points = told.get("SI Dimensions.Size Y"), told.get("SI Dimensions.Size X")
    if lines is None or points is None:
        return None
    if not all(float(each).is_integer() and 0 < each <= 2**24 for each in (lines, points)):
        raise ValueError(f"{path.name} tells a scan of {lines} x {points} points")
    return int(lines), int(points)
