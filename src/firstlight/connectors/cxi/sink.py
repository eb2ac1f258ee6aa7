"""Sink into a CXI file: object, probe and positions of one reconstruction, each by a sink of its own.

Specification: Maia, Nature Methods 9, 854 (2012), cxidb.org; names of NXcxi_ptycho. The object is ``entry_1/image_1/data``, the
probe ``entry_1/instrument_1/source_1/illumination``, and ``entry_1/sample_1/geometry_1/translation`` is the motion of the sample in metre.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from firstlight.core.chunk import Chunk, Scan
from firstlight.core.units import factor

from ..hdf5.handles import File, Group
from ..hdf5.parts import Part, file_of_another
from ..hdf5.target import Storage, Target
from ..hdf5.writing import FileSink, Writing

Role = Literal["object", "probe", "positions"]
_PLACES: dict[Role, tuple[str, str]] = {
    "object": ("entry_1/image_1", "data"),
    "probe": ("entry_1/instrument_1/source_1", "illumination"),
    "positions": ("entry_1/sample_1/geometry_1", "positions"),
}
_CLASSES = {"entry_1": "NXentry", "instrument_1": "NXinstrument", "source_1": "NXsource", "sample_1": "NXsample"}
_JOULES = 1.602176634e-19
_HC = 1.98644586e-25
"""Planck's constant times the speed of light, in joule metre."""
VERSION = 160


class CxiSink(FileSink):
    """Writes a result of ptychography into a CXI file. The sink of the object makes the file; others of the same path add to it."""

    use: ClassVar[str] = "cxi"
    cites: ClassVar[tuple[str, ...]] = ("10.1038/nmeth.2110",)

    role: Role = "object"
    """What of the reconstruction this output is."""

    def writing(self, path: Path, scan: Scan) -> Writing:
        """Create the file, or open the one that the object's sink made.

        Raises:
            SinkError: It exists, can not be created, or the object's sink has not made it.
        """
        if self.role == "object":
            file = self.create(path)
        else:
            taken = "/".join(_PLACES[self.role])
            file = file_of_another(path, self.role, "object", self.use, head="entry_1", taken=taken)
        return _Part(path, file, scan, Storage(self.compression), self.role)


class _Part(Part):
    """One array and what describes it."""

    def __init__(self, path: Path, file: File, scan: Scan, storage: Storage, role: Role) -> None:
        super().__init__(path, file, scan, storage, _PLACES[role][1])
        self.role: Role = role

    @property
    def beside(self) -> Group:
        """The group of the array."""
        return self.file[_PLACES[self.role][0]]

    def begin(self, record: dict[str, Any]) -> None:
        """Write the head of the file, and what is known of the beam; say that this part is not complete."""
        group = _PLACES[self.role][0]
        if self.role == "object":
            self.file["cxi_version"], self.file["number_of_entries"] = VERSION, 1
            self.file.require_group("entry_1")["title"] = self.scan.name
            self.file["entry_1/definition"] = "NXcxi_ptycho"
            self.file["entry_1/program_name"] = "firstlight"
        self.file.require_group(group)
        for part, kind in _CLASSES.items():
            if f"/{part}" in f"/{group}":
                place = f"/{group}".partition(f"/{part}")[0] + f"/{part}"
                self.file[place].attrs["NX_class"] = kind
        self.not_complete(record)
        if self.role == "object":
            self._beam()
        stream = self.scan.main
        if all(stream.sizes.get(label) for label in stream.axes):
            self.made = self.make(None)

    def _beam(self) -> None:
        """Energy and wavelength; the pixel of the object."""
        known = self.scan.calibration
        if "energy" in known:
            joule = known["energy"].to("keV") * 1e3 * _JOULES
            self.file["entry_1/instrument_1/source_1/energy"] = joule
            self.file["entry_1/instrument_1/source_1/wavelength"] = _HC / joule
            self.file["entry_1/instrument_1/beam_1/energy"] = joule
        if "pixel" in known:
            for axis in "xy":
                self.beside[f"{axis}_pixel_size"] = known["pixel"].to("m")
        self.beside["data_space"], self.beside["is_fft_shifted"] = "real", np.uint8(0)

    def make(self, chunk: Chunk | None) -> Target:
        """The array; the mask of what came is called ``covered`` beside the object."""
        mask = "covered" if self.role == "object" else f"{self.name}_covered"
        made = Target(self.beside, self.scan.main, chunk, self.storage, name=self.name, mask=mask)
        if self.scan.main.unit:
            made.data.attrs["units"] = self.scan.main.unit
        self.file.flush()
        return made

    def end(self, record: dict[str, Any], *, complete: bool) -> None:
        """Write positions as CXI has them, and the final record."""
        if self.role == "positions" and self.made is not None:
            self._translate(self.made)
        super().end(record, complete=complete)

    def _translate(self, target: Target) -> None:
        """Motion of the sample, shape (position, 3): x, y, z in metre.

        CXI's x runs against columns and its y against rows, and so does the sample against the beam.
        """
        dimension, size = factor(self.scan.main.unit or "px")
        if dimension == "pixels":
            if "pixel" not in self.scan.calibration:
                return
            size = self.scan.calibration["pixel"].to("m")
        places = np.asarray(target.data[()], np.float64) * size
        moves = np.zeros((len(places), 3))
        moves[:, 0], moves[:, 1] = places[:, 1], places[:, 0]
        made = self.beside.create_dataset("translation", data=moves)
        made.attrs.update({"units": "m", "axes": "translation:x:y:z"})
