"""Differential phase contrast: field, divergence, curl and integrated centre of mass of a 4-D scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array, bring_last
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.fold import Fold
from firstlight.core.held import Held
from firstlight.core.one_pass import Sums, Wanted
from firstlight.core.units import Degree, Pixels
from firstlight.kernels.electron_optics import wavelength
from firstlight.kernels.fields import curl, divergence, find_rotation, in_scan, integrated
from firstlight.kernels.mask_products import frame_sums

from .center_of_mass import inside, prepared, shifts
from .scan_map import ScanMap

SHIFTED = ("shift",)
"""Axis of a chunk whose frames are centres of mass."""


@dataclass(slots=True)
class Shifts:
    """Centres of mass so far, and what turns them into phases."""

    map: ScanMap
    scale: tuple[float, float]
    """Phase per scan step, along scan_y and scan_x, for a shift of one pixel."""


class Dpc(Fold[Shifts]):
    """Map the deflection of the beam and integrate it to a phase: DPC, divergence, curl and iCOM, while it is scanned.

    The centre of mass of each pattern is turned into the scan's directions; its divergence and curl are taken per scan
    step, and the phase is the potential whose gradient is closest to it. Points that have not come are NaN in the fields
    and count as no deflection in the phase. With energy, detector angle and scan step known the phase is in radian.
    """

    use: ClassVar[str] = "dpc"
    signature: ClassVar[Any] = (
        "[*] row col -> phase: scan_y scan_x, field_y: scan_y scan_x, field_x: scan_y scan_x, magnitude: scan_y scan_x,"
        " divergence: scan_y scan_x, curl: scan_y scan_x"
    )
    cites: ClassVar[tuple[str, ...]] = ("10.1016/j.ultramic.2015.10.011",)
    sentence: ClassVar[str] = "The phase was integrated from the centre of mass of the diffraction patterns."

    center: tuple[float, float] | None = None
    """Row and column of the optical axis in pixel from 0. Default: the middle of the frame."""
    radius: Annotated[Pixels, Field(gt=0)] | None = None
    """Pixels further than this from `center` are left out. Default: none are."""
    rotation: Annotated[Degree, Field(ge=-360, le=360)] | None = None
    """Angle by which the detector is turned against the scan. Default: found, with `flip`, by least curl."""
    flip: bool = False
    """The detector's rows run against the scan's lines. Only used if `rotation` is given."""
    descan: bool = True
    """Take the mean deflection away."""
    high_pass: Annotated[float, Field(ge=0)] = 0.0
    """Phases slower than so many periods over the scan are left out."""
    periodic: bool = False
    """The sample goes on at the opposite border of the scan; otherwise it is mirrored there."""

    def unit(self, scan: Scan) -> str | None:
        """That of the fields: pixels of the detector."""
        return "px"

    def units(self, scan: Scan) -> dict[str, str | None]:
        """The phase is in radian where the scan is calibrated."""
        return {"phase": "px" if phase_scale(scan) is None else "rad"}

    def empty(self, scan: Scan) -> Shifts:
        """The state before the first frame."""
        return Shifts(ScanMap.empty(scan, (2,), self.use), phase_scale(scan) or (1.0, 1.0))

    def wanted(self, size: tuple[int, int]) -> Wanted:
        """First moments."""
        return Wanted(moments=inside(size, self.center, self.radius))

    def digest(self, chunk: Chunk) -> Chunk:
        """The centres of mass."""
        if chunk.axes == SHIFTED:
            return chunk
        frames, _ = bring_last(chunk.data, chunk.axes, ("row", "col"))
        size = (frames.shape[1], frames.shape[2])
        moments = frame_sums(frames, moments=prepared(size, self.center, self.radius)).moments
        return self._digested(chunk, moments, size)

    def digest_sums(self, chunk: Chunk, sums: Sums) -> Chunk:
        """The centres of mass, of moments that are known."""
        return self._digested(chunk, sums.moments, (chunk.data.shape[1], chunk.data.shape[2]))

    def _digested(self, chunk: Chunk, moments: Array | None, size: tuple[int, int]) -> Chunk:
        return chunk.with_data(np.stack(shifts(moments, size, self.center), axis=1), SHIFTED)

    def digests_like(self, other: Any) -> bool:
        """True if the same pixels count."""
        return isinstance(other, Dpc) and (self.center, self.radius) == (other.center, other.radius)

    def add(self, state: Shifts, chunk: Chunk, *held: Held) -> None:
        """Put the centres of mass of a chunk to their places."""
        found = self.digest(chunk)
        state.map.take(found.ids, found.data)

    def ready(self, state: Shifts) -> bool:
        """True once a frame has come."""
        return bool(state.map.covered.any())

    def coverage(self, state: Shifts) -> float:
        """The share of the scan that has come."""
        return state.map.share

    def _turned(self, state: Shifts) -> tuple[float, bool]:
        if self.rotation is not None:
            return self.rotation, self.flip
        row, col = self._measured(state)
        return find_rotation(row, col)

    def _measured(self, state: Shifts) -> tuple[Array, Array]:
        """Shifts along rows and columns of the detector; 0 where none has come."""
        covered = state.map.covered
        found = np.zeros_like(state.map.values)
        if covered.any():
            found[covered] = state.map.values[covered]
            if self.descan:
                found[covered] -= found[covered].mean(axis=0)
        return found[:, 0].reshape(state.map.shape), found[:, 1].reshape(state.map.shape)

    def result(self, state: Shifts) -> dict[str, Array]:
        """Maps of shape (scan_y, scan_x), float32."""
        rotation, flip = self._turned(state)
        y, x = in_scan(*self._measured(state), rotation, flip=flip)
        phase = integrated(y * state.scale[0], x * state.scale[1], periodic=self.periodic, low=self.high_pass)
        missing = ~state.map.covered.reshape(state.map.shape)
        fields = {
            "field_y": y,
            "field_x": x,
            "magnitude": np.hypot(y, x),
            "divergence": divergence(y, x),
            "curl": curl(y, x),
        }
        hidden = {name: np.where(missing, np.nan, values) for name, values in fields.items()}
        return {name: values.astype(np.float32) for name, values in {"phase": phase, **hidden}.items()}

    def findings(self, state: Shifts) -> dict[str, Any]:
        """Rotation and flip."""
        rotation, flip = self._turned(state)
        return {f"{self.use}.rotation": rotation, f"{self.use}.flip": flip}

    def adapt(self, state: Shifts, old: Any) -> Shifts:
        """Another direction needs no frame again; another centre does."""
        return state if self.digests_like(old) else super().adapt(state, old)

    def merge(self, state: Shifts, other: Shifts) -> Shifts:
        """Both maps."""
        return Shifts(state.map.merged(other.map), state.scale)

    def save(self, state: Shifts) -> dict[str, Any]:
        """The state as arrays."""
        return {"values": state.map.values.copy(), "covered": state.map.covered.copy()}

    def load(self, saved: dict[str, Any], scan: Scan) -> Shifts:
        """The state that `save` wrote."""
        state = self.empty(scan)
        state.map.values[:], state.map.covered[:] = saved["values"], saved["covered"]
        return state


def phase_scale(scan: Scan) -> tuple[float, float] | None:
    """Phase per scan step in radian for a shift of one pixel: 2π/λ · angle of a pixel · step; None if not known."""
    known = scan.calibration
    if any(name not in known for name in ("energy", "detector_angle", "step_y", "step_x")):
        return None
    per_metre = 2 * np.pi * known["detector_angle"].to("rad") / wavelength(known["energy"].to("keV"))
    return per_metre * known["step_y"].to("m"), per_metre * known["step_x"].to("m")
