"""Sink into a product of ptychodus: object, probe, positions and errors of one reconstruction, each by a sink of its own.

Layout: that of ptychodus 1.7 (`ptychodus.api.io.save_product`): ``object`` (layer y x), ``probe`` (basis mode v u),
``probe_position_indexes``, ``probe_position_x_m``, ``probe_position_y_m``, ``loss_epochs``, ``loss_values``, and attributes of the file.
What is firstlight's own lies in the group ``firstlight``, which ptychodus leaves alone.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Scan, Stream
from firstlight.core.errors import SinkError
from firstlight.core.units import Nanometre, Quantity, factor

from ..hdf5.handles import File, Group
from ..hdf5.parts import Part, file_of_another
from ..hdf5.target import Storage, Target
from ..hdf5.writing import FileSink, Writing

Role = Literal["object", "probe", "positions", "error"]
_DEPTH: dict[Role, int] = {"object": 3, "probe": 4}
"""Dimensions that ptychodus' arrays have; ours get leading ones of length 1."""
_LEADING = ("basis", "layer", "mode")
OWN = "firstlight"


class PtychodusSink(FileSink):
    """Writes a reconstruction as a product of ptychodus. The sink of the object makes the file; others of the same path add to it."""

    use: ClassVar[str] = "ptychodus"

    role: Role = "object"
    """What of the reconstruction this output is."""
    pixel: Annotated[Nanometre, Field(gt=0)] | None = None
    """Of the object; default: what the run makes it."""

    def writing(self, path: Path, scan: Scan) -> Writing:
        """Create the file, or open the one that the object's sink made.

        Raises:
            SinkError: It exists, can not be created, the object's sink has not made it, or nobody knows the object's pixel.
        """
        if self.pixel is not None:
            scan = replace(scan, calibration={**scan.calibration, "pixel": Quantity(self.pixel, "nm")})
        if "pixel" not in scan.calibration and self.role == "object":
            raise SinkError(
                "A product of ptychodus states how large a pixel of the object is, and nobody knows.",
                field="pixel",
                value=None,
                expected="energy, distance and the detector's pixel, or the pixel of the object",
                next_move="Give the sink a pixel, such as '12 nm', or write another format.",
            )
        if self.role == "object":
            file = self.create(path)
            file.create_group(OWN)
        else:
            taken = f"{OWN}/{self.role}_record"
            file = file_of_another(path, self.role, "object", self.use, head=OWN, taken=taken)
        return _Part(path, file, scan, Storage(self.compression), self.role)


class _Part(Part):
    """One array and what describes it."""

    def __init__(self, path: Path, file: File, scan: Scan, storage: Storage, role: Role) -> None:
        super().__init__(path, file, scan, storage, role)
        self.role: Role = role
        self._stream = _deep(scan.main, _DEPTH.get(role, 0))

    @property
    def beside(self) -> Group:
        """The group of what is our own."""
        return self.file[OWN]

    def begin(self, record: dict[str, Any]) -> None:
        """Write the head of the file, and what is known of the beam; say that this part is not complete."""
        self.not_complete(record)
        if self.role == "object":
            known = self.scan.calibration
            energy = known["energy"].to("keV") * 1e3 if "energy" in known else np.nan
            self.file.attrs.update(
                {
                    "name": self.scan.name,
                    "comments": "reconstructed by firstlight",
                    "detector_object_distance_m": known["distance"].to("m") if "distance" in known else np.nan,
                    "photon_energy_eV": energy,
                    "probe_energy_eV": energy,  # its name before ptychodus 1.7
                }
            )
        if all(self._stream.sizes.get(label) for label in self._stream.axes):
            self.made = self.make(None)

    def make(self, chunk: Chunk | None) -> Target:
        """The array, as ptychodus has it; the mask of what came goes with what is ours."""
        group = self.file if self.role in _DEPTH else self.beside
        made = Target(group, self._stream, chunk, self.storage, name=self.role, mask=f"{self.role}_covered")
        if self.role in _DEPTH and "pixel" in self.scan.calibration:
            pixel = self.scan.calibration["pixel"].to("m")
            made.data.attrs.update({"pixel_height_m": pixel, "pixel_width_m": pixel})
        if self.role == "object":
            # known when the positions are: until then the middle of the object is called zero
            made.data.attrs.update({"center_x_m": 0.0, "center_y_m": 0.0})
            self.file["object_layer_spacing_m"] = np.zeros(made.data.shape[0] - 1)
        self.file.flush()
        return made

    def write(self, chunk: Chunk) -> None:
        """Write and flush one chunk; see `Writing.write`."""
        missing = len(self._stream.axes) - len(self.scan.main.axes)
        if missing > 0:
            data = chunk.data.reshape((len(chunk), *(1,) * missing, *chunk.data.shape[1:]))
            chunk = chunk.with_data(data, self._stream.axes)
        super().write(chunk)

    def end(self, record: dict[str, Any], *, complete: bool) -> None:
        """Write positions and errors as ptychodus has them, and the final record."""
        if self.made is not None and self.role == "positions":
            self._place(np.asarray(self.made.data[()], np.float64))
        if self.made is not None and self.role == "error":
            values = np.asarray(self.made.data[()], np.float64)
            self.file["loss_epochs"], self.file["loss_values"] = np.arange(len(values)), values
        super().end(record, complete=complete)

    def _place(self, places: Array) -> None:
        """Positions in metre, and with them the middle of the object: its first pixel is that of the first window."""
        dimension, size = factor(self.scan.main.unit or "px")
        made, pixel = self.file["object"], float(self.file["object"].attrs["pixel_height_m"])
        metres = places * (pixel if dimension == "pixels" else size)
        self.file["probe_position_indexes"] = np.arange(len(metres))
        self.file["probe_position_y_m"], self.file["probe_position_x_m"] = metres.T
        if "probe" not in self.file or not len(metres):
            return
        # of the first window, whose own middle is (N − 1)/2 pixels away, as ptychodus counts
        first = np.rint(metres / pixel).min(axis=0) * pixel
        middle = first + (np.array(made.shape[-2:]) - self.file["probe"].shape[-2:]) / 2 * pixel
        made.attrs.update({"center_y_m": middle[0], "center_x_m": middle[1]})


def _deep(stream: Stream, depth: int) -> Stream:
    """The stream with leading axes of length 1, so that it has so many in all."""
    missing = depth - len(stream.axes)
    if missing <= 0:
        return stream
    spare = [label for label in _LEADING if label not in stream.axes][:missing]
    return replace(stream, axes=(*spare, *stream.axes), sizes={**dict.fromkeys(spare, 1), **stream.sizes})
