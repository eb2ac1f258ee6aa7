"""Source over TIFF files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from firstlight.core.errors import SourceError

from ..recorded.angles import given_angles
from ..recorded.frames import Recording
from ..recorded.listing import listed
from ..recorded.source import RecordedSource
from ..recorded.stack import Order, Stack, beside, stack_recording
from .pages import ENDINGS, is_tiff, own_pixel, read_pages


class TiffSource(RecordedSource):
    """Plays TIFF files: a folder of pages, or one file with many (BigTIFF too); projections or sinograms.

    Pages that lie in one piece and without compression are mapped from the disk, not decoded. Files of a folder are
    counted as people do: ``img_9`` comes before ``img_10``.
    """

    use: ClassVar[str] = "tiff"
    cites: ClassVar[tuple[str, ...]] = ()

    pattern: str | None = None
    """Names of the files in a folder that count, such as ``scan_*.tif``; default: all TIFF files."""
    order: Order = "projection"
    """What a page is: a projection (row col), or the sinogram of one row (angle col)."""
    darks: Path | None = None
    """Dark frames: a file, a folder, or a pattern such as ``dark_*.tif`` beside the data."""
    flats: Path | None = None
    """Flat frames, likewise."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for a TIFF file, and for a folder that holds some."""
        try:
            return is_tiff(listed(path, ENDINGS, None, "path")[0])
        except SourceError:
            return False

    @classmethod
    def infer(cls, path: Path, given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """What order the pages have, by their number and names; and which files of a folder are darks and flats.

        Args:
            path: The file or folder.
            given: Parameters that the user gave.

        Returns:
            Parameters, and what was assumed, in words.
        """
        if path.is_dir() and not given.keys() & {"pattern", "darks", "flats"}:
            found, told = _kinds(path)
            if found:
                return found, told
        if "order" in given:
            return {}, []
        files = listed(path, ENDINGS, given.get("pattern"), "path")
        if all("sino" in file.name.lower() for file in files):
            return {"order": "sinogram"}, [f"{files[0].name} holds sinograms, by its name (order: sinogram)"]
        if len(files) == 1 and read_pages(path, None, "path").shape[0] == 1:
            return {"order": "sinogram"}, ["one page is the sinogram of one row (order: sinogram)"]
        return {}, []

    def load(self) -> Recording:
        """Find the pages, and read the first.

        Raises:
            SourceError: There are none, or they are no grey images of one shape and type.
        """
        reader = read_pages(self.path, self.pattern, "path")
        images = {
            name: read_pages(beside(self.path, path), None, field)
            for name, field, path in (("dark", "darks", self.darks), ("flat", "flats", self.flats))
            if path is not None
        }
        found = {"pixel": own_pixel(self.path, self.pattern)}
        return stack_recording(
            Stack(reader, self.order, self._angles, images, self.path.stem, self.known(found)),
        )

    def _angles(self, count: int) -> Any:
        if self.angles is None:
            return None
        return given_angles(self.angles, count, beside=self.path, unit=self.angle_unit)


def _kinds(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Darks and flats among the files of a folder, by their names."""
    names = [file.name.lower() for file in listed(folder, ENDINGS, None, "path")]
    words = {"darks": ("dark",), "flats": ("flat", "white", "ref", "open")}
    found: dict[str, Any] = {}
    for field, starts in words.items():
        start = next((word for word in starts if any(name.startswith(word) for name in names)), None)
        if start is not None:
            found[field] = str(folder / f"{start}*")
    rest = [name for name in names if not name.startswith(tuple(word for each in words.values() for word in each))]
    common = rest[0] if rest else ""
    while common and not all(name.startswith(common) for name in rest):
        common = common[:-1]
    common = common.rstrip("0123456789")
    if not found or not rest or not common:
        return {}, []
    told = [f"{field} are the files {Path(where).name}" for field, where in found.items()]
    return {**found, "pattern": f"{common}*"}, [*told, f"projections are the files {common}*"]
