"""The patches that a network predicted, put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Scan, Stream
from firstlight.core.errors import ChangeRefused, StepFailed
from firstlight.core.fold import Fold
from firstlight.core.held import Held
from firstlight.core.units import Bytes, KeV, Metre, Micrometre, Nanometre, Quantity, factor
from firstlight.operators.ptychography.optics import Optics
from firstlight.operators.ptychography.orientation import Orientation, exchanges, oriented

from .models import chosen_model, find_model
from .mosaic import Mosaic
from .prediction import WindowName, leveled, network_with, normalization_of, weights_of
from .session import Device, Network

OUTPUTS = "object: y x, phase: y x, amplitude: y x, coverage: y x, spread: y x, corner: yx"
_TYPES = {"object": "complex64", "corner": "float64"}
_LIT = 0.01
"""Part of the largest coverage below which the image means nothing."""


class PatchMosaic(Fold[Mosaic]):
    """Put the patches that a network predicted (`network_patches`) together to one image.

    It is the second half of `ptychography_network`, for jobs that want the patches themselves as well: the network then runs once.
    Positions are those of the probe on the sample, y and x, in any unit of length or in pixels of the object. The phase of a patch is
    known up to a constant: overlaps of neighbours tell these constants (least squares over all pairs). Patches are put between pixels
    and weighted; the image depends on the frames' ids and positions alone, not on how they came.

    Outputs: the complex `object` and its `phase` (in radian, about zero) and `amplitude`; the `coverage`, which is the sum of
    the weights; the `corner`, position of the first pixel's upper left, y and x, as the network takes positions; and the `spread`, how
    far the patches that lie on a pixel differ: the root of the weighted mean of their squared distance.
    """

    use: ClassVar[str] = "patch_mosaic"
    signature: ClassVar[Any] = f"[position] part v u, [position] yx -> {OUTPUTS}"
    arguments: ClassVar[tuple[str, ...]] = ("patches", "positions")
    cites: ClassVar[tuple[str, ...]] = ("10.1063/5.0013065",)

    model: Annotated[str, Field(max_length=120)] | None = None
    """Name of the network, with its version (`name_v2`) or without: the newest; default: the one chosen by `firstlight model set`."""
    model_file: Path | None = None
    """ONNX file with the network, in place of a name."""
    probe: Path | None = None
    """File with the probe of this scan (``.npy``, or HDF5), for a network that can be told one; default: the one in its own file."""
    probe_orientation: Orientation = "identity"
    """How the probe of that file is turned and mirrored (names as in `orient`)."""
    device: Device = "cpu"
    """What runs the network: `cpu`, `cuda` or `tensorrt`, which need firstlight[learn-gpu]; of several GPUs one, such as `cuda:1`."""
    normalization: Annotated[float, Field(gt=0)] | Literal["frame"] | None = None
    """Counts by which frames are divided, or `frame`: by each frame's own mean; default: what the network's file says."""
    patch_orientation: Orientation = "identity"
    """How the network's patches are turned and mirrored."""
    signs: tuple[Literal[-1, 1], Literal[-1, 1]] = (1, 1)
    """By which positions are multiplied, y and x, where the network takes them the other way round."""
    window: WindowName = "auto"
    """Weight of the pixels of a patch: `probe`, the intensity of the probe that the network was trained with; `hann`, a bell;
    `flat`; `auto`: the probe's where the network holds it, else a bell."""
    inner: Annotated[int, Field(ge=1)] | None = None
    """Rows and columns around the middle of a patch that count; default: all."""
    subpixel: bool = True
    """Patches are put between pixels (cubic convolution); otherwise on the nearest."""
    energy: Annotated[KeV, Field(gt=0)] | None = None
    """Of a photon; default: the scan's."""
    distance: Annotated[Metre, Field(gt=0)] | None = None
    """From the sample to the detector; default: the scan's."""
    detector_pixel: Annotated[Micrometre, Field(gt=0)] | None = None
    """Pixel of the detector; default: the scan's."""
    pixel: Annotated[Nanometre, Field(gt=0)] | None = None
    """Pixel of the object; default: what wavelength, distance and detector make it."""
    memory: Annotated[Bytes, Field(gt=0)] = 4.0 * 2**30
    """Patches that take more than this go to a file on disk; their number has no limit."""
    scratch: Path | None = None
    """Folder for that file; default: the system's for temporary files."""

    _file: Path | None = PrivateAttr(None)

    def sizes(self, known: Mapping[str, int | None], scan: Scan) -> dict[str, int | None]:
        """The object is as large as the scan makes it."""
        return {"y": None, "x": None}

    def after(self, scan: Scan) -> dict[str, Stream]:
        """The object is complex."""
        units = {"phase": "rad", "corner": scan.streams["positions"].unit if "positions" in scan.streams else None}
        return {
            name: replace(stream, dtype=_TYPES.get(name, "float32"), unit=units.get(name))
            for name, stream in super().after(scan).items()
        }

    def calibration(self, scan: Scan) -> Mapping[str, Quantity]:
        """Lengths in the image are those of the object's pixel, where it is square and known."""
        kept = {name: value for name, value in scan.calibration.items() if name != "pixel"}
        window = self.window_of(scan)
        found = None if window is None else self._optics(scan, window).pixel
        if found is None or not np.isclose(*found):
            return kept
        return {**kept, "pixel": Quantity(found[0] * 1e9, "nm")}

    def empty(self, scan: Scan) -> Mosaic:
        """Nothing has come; the network is read and warmed up.

        Raises:
            StepFailed: The network does not fit, or the unit of the positions needs a pixel size that nobody knows.
        """
        network = self.network()
        self.check_window(scan, network)
        normalization_of(network, self.normalization)
        weights = weights_of(network, self.window, self.inner, self.patch_orientation)
        return Mosaic(weights, self._pixel(scan), self.memory, self.scratch)

    def digest(self, chunk: Chunk) -> Chunk:
        """Amplitude and phase as complex numbers, turned."""
        patches = (chunk.data[:, 0] * np.exp(1j * chunk.data[:, 1])).astype(np.complex64)
        return chunk.with_data(oriented(patches, self.patch_orientation, corner=False), chunk.axes[1:])

    def add(self, state: Mosaic, chunk: Chunk, *held: Held) -> None:
        """Keep the patches, with the places that their positions mean."""
        if chunk.epoch > state.epoch:
            state.restart(chunk.epoch)  # the detector began again: another scan
        if chunk.epoch < state.epoch:
            return
        places = np.asarray(chunk.coords["positions"], np.float64) * self.signs / state.pixel
        state.add(chunk.ids, chunk.data, places, subpixel=self.subpixel)

    def digests_like(self, other: Any) -> bool:
        """Only how patches are turned counts."""
        return self.patch_orientation == other.patch_orientation

    def ready(self, state: Mosaic) -> bool:
        """True after the first patch."""
        return len(state) > 0

    def result(self, state: Mosaic) -> dict[str, Array]:
        """All patches together; NaN where none has weight."""
        image, coverage, spread = state.together()
        lit = coverage > _LIT * coverage.max(initial=0.0)
        relative = normalization_of(self.network(), self.normalization) is None
        image, spread = leveled(image, spread, coverage * lit, relative=relative)
        dark = np.float32(np.nan)
        return {
            "object": image,
            "phase": np.where(lit, np.angle(image), dark),
            "amplitude": np.where(lit, np.abs(image), dark),
            "coverage": coverage,
            "spread": np.where(lit, spread, dark),
            "corner": state.first * state.pixel,
        }

    def refine(self, state: Mosaic) -> bool:
        """At the end, find the phases of all patches together: the image then depends on the frames and their ids alone."""
        return state.settle()

    def findings(self, state: Mosaic) -> dict[str, Any]:
        """Which network it was."""
        network = self.network()
        return {"model": network.path.stem, "patches": len(state)}

    def adapt(self, state: Mosaic, old: Any) -> Mosaic:
        """Go on with another placing; what patches mean can not change.

        Raises:
            ChangeRefused: A parameter that decides what frames and patches mean differs.
        """
        fixed = [name for name in type(self).model_fields if name != "subpixel"]
        changed = [name for name in fixed if getattr(self, name) != getattr(old, name)]
        if changed:
            raise ChangeRefused(
                f"{', '.join(changed)} can not change while patches are in hand.",
                field=changed[0],
                value=getattr(self, changed[0], None),
                next_move="Stop the run and start it with the new values.",
            )
        return state

    # ---- parts of the above, and of the step that makes the patches as well --------------------------------------------

    def network(self) -> Network:
        """The network, which stays the same while the step lives, even if another one is chosen meanwhile.

        Raises:
            UnknownName: There is no network of that name.
        """
        if self._file is None:
            self._file = self.model_file or (chosen_model() if self.model is None else find_model(self.model)).path
        return network_with(self._file, self.device, self.probe, self.probe_orientation)

    def window_of(self, scan: Scan) -> tuple[int, int] | None:
        """Rows and columns of a patch; None where the scan does not know them yet."""
        rows, cols = scan.main.sizes.get("v"), scan.main.sizes.get("u")
        return None if rows is None or cols is None else (rows, cols)

    def check_window(self, scan: Scan, network: Network) -> None:
        """Find patches that are not of this network.

        Raises:
            StepFailed: They have another size.
        """
        self.check_square(network)
        window = self.window_of(scan)
        if window != network.window:
            raise StepFailed(
                f"The patches are not those of the network '{network.path.stem}'.",
                field="patches",
                value=window,
                expected=f"{network.window[0]} × {network.window[1]}",
                next_move="Name the model of network_patches here too.",
            )

    def check_square(self, network: Network) -> None:
        """Find patches that can not be turned.

        Raises:
            StepFailed: They are not square.
        """
        if exchanges(self.patch_orientation) and network.window[0] != network.window[1]:
            raise StepFailed(
                "Only square patches can be turned.", field="patch_orientation", value=self.patch_orientation
            )

    def _optics(self, scan: Scan, window: tuple[int, int]) -> Optics:
        return Optics.of(
            scan,
            window,
            near=False,
            energy=self.energy,
            distance=self.distance,
            source_distance=None,
            detector_pixel=None if self.detector_pixel is None else self.detector_pixel * 1e-6,
            pixel=None if self.pixel is None else self.pixel * 1e-9,
        )

    def _pixel(self, scan: Scan) -> Array:
        """Height and width of a pixel of the object, in the unit of the positions."""
        unit = scan.streams["positions"].unit if "positions" in scan.streams else None
        dimension, size = factor(unit or "px")
        if dimension == "pixels":
            return np.ones(2)
        optics = self._optics(scan, self.window_of(scan) or self.network().window)
        optics.require("pixel")
        return np.asarray(optics.pixel) / size
