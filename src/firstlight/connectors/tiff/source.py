"""Source over TIFF files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError

from ..recorded.frames import Recording
from ..recorded.holes import present
from ..recorded.kinds import Kinds, in_folders, kinds_of
from ..recorded.listing import listed
from ..recorded.source import RecordedSource
from ..recorded.stack import IMAGES, Order, Stack, angles_of, beside, stack_recording
from .pages import ENDINGS, is_tiff, pages_of, read_pages
from .pixel import own_pixel
from .result import known_to_lack
from .tomcat import series


class TiffSource(RecordedSource):
    """Plays TIFF files: a folder of pages, one file with many, or a folder of such files (BigTIFF too); projections or sinograms.

    Pages that lie in one piece and without compression are mapped from the disk, not decoded. Files of a folder are
    counted as people do: ``img_9`` comes before ``img_10``.
    """

    use: ClassVar[str] = "tiff"
    cites: ClassVar[tuple[str, ...]] = ()

    pattern: str | None = None
    """Names of the files in a folder that count, such as ``scan_*.tif``, or ``scan_*.tif[20:1520]``, a part of these; default: all TIFF files."""
    order: Order = "projection"
    """What a page is: a projection (row col), or the sinogram of one row (angle col)."""
    darks: Path | None = None
    """Dark frames: a file, a folder, or a pattern such as ``dark_*.tif`` beside the data."""
    flats: Path | None = None
    """Flat frames, likewise."""
    darks_after: Path | None = None
    """Dark frames that were taken after the scan."""
    flats_after: Path | None = None
    """Flat frames that were taken after the scan: what lies between both sets is interpolated."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for a TIFF file, and for a folder that holds some, or folders of projections, darks and flats."""
        try:
            return is_tiff(listed(path, ENDINGS, None, "path")[0])
        except SourceError:
            return "path" in kinds_of(path, ENDINGS).parameters

    @classmethod
    def infer(cls, path: Path, given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """What order the pages have, by their number and names; and which files of a folder are darks and flats.

        Args:
            path: The file or folder.
            given: Parameters that the user gave.

        Returns:
            Parameters, and what was assumed, in words.
        """
        found: dict[str, Any] = {}
        told: list[str] = []
        if path.is_dir() and not given.keys() & {"pattern", *IMAGES}:
            found, told = _of_the_log(path, given)
            kinds = Kinds() if found else kinds_of(path, ENDINGS)
            found, told = {**found, **kinds.parameters}, [*told, *kinds.told]
        files = listed(Path(found.get("path", path)), ENDINGS, found.get("pattern", given.get("pattern")), "path")
        if "order" not in given and not found.keys() & {*IMAGES}:
            why = _sinograms(files)
            if why is not None:
                return {**found, "order": "sinogram"}, [*told, f"{why} (order: sinogram)"]
        if (there := present(files)) is not None and pages_of(files[:1], "path").shape[0] == 1:
            told.append(
                f"of {len(there)} projections {len(there) - len(files)} never came: their numbers have no files"
            )
        return found, told

    def load(self) -> Recording:
        """Find the pages, and read the first.

        Raises:
            SourceError: There are none, or they are no grey images of one shape and type.
        """
        folders = in_folders(self.path, ENDINGS)
        path = folders.pop("path", self.path)
        given = {**folders, **{name: told for name in IMAGES if (told := getattr(self, name)) is not None}}
        files = listed(path, ENDINGS, self.pattern, "path")
        reader = pages_of(files, "path")
        there = self._there(path, files, reader.shape[0])
        read = {IMAGES[name]: read_pages(beside(path, where), None, name) for name, where in given.items()}
        stack = Stack(
            reader,
            self.order,
            lambda count: angles_of(self.angles, count, beside=self.path, unit=self.angle_unit, there=there),
            images=read,
            there=there,
            name=self.path.stem,
            calibration=self.known({"pixel": own_pixel(files[0])}),
        )
        return stack_recording(stack)

    def _there(self, path: Path, files: Sequence[Path], pages: int) -> Array | None:
        """(image,) False for each that never came: by what the sink `tiff` left beside its files, or by their numbers.

        Raises:
            SourceError: The images are sinograms, and one is missing.
        """
        there = known_to_lack(path) if self.pattern is None else None
        if there is not None and pages in (len(there), int(there.sum())):
            if self.order == "sinogram":
                raise SourceError(
                    f"The result is not complete: {int((~there).sum())} of its {len(there)} sinograms were never written.",
                    field="path",
                    value=str(path),
                    next_move="Run the job that writes it again, with --resume.",
                )
            return there
        return present(files) if pages == len(files) else None


def _of_the_log(folder: Path, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What a log beside the images says, but for what the user said."""
    try:
        found, told = series(folder, listed(folder, ENDINGS, None, "path"))
    except SourceError:  # folders alone
        return {}, []
    return {name: value for name, value in found.items() if name not in given}, told


def _sinograms(files: Sequence[Path]) -> str | None:
    """Why these are sinograms, in words; None if they are not."""
    if all("sino" in file.name.lower() for file in files):
        return f"{files[0].name} holds sinograms, by its name"
    if len(files) == 1 and pages_of(files, "path").shape[0] == 1:
        return "one page is the sinogram of one row"
    return None
