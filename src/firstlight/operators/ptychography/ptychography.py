"""Ptychography while the scan runs, and afterwards."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Scan, Stream
from firstlight.core.errors import ChangeRefused, StepFailed
from firstlight.core.held import Held
from firstlight.core.solver import Solver
from firstlight.core.units import KeV, Metre, Micrometre, Nanometre, Quantity, factor
from firstlight.kernels.ptycho.frames import Estimate, Frames, Spread
from firstlight.kernels.ptycho.propagate import FarField, NearField, Propagator, fresnel_transfer

from .canvas import Canvas
from .engines import Algorithm, Engine, Round, engine_of
from .focus import curved, find_curvature
from .optics import Optics
from .patterns import Patterns, ZeroFrequency, amplitudes_of, has_corner_zero
from .start import defocused, illumination_from_mean, probe_from_mean, with_modes

FIRST_IMAGE = 16
"""Frames before the first round: fewer do not overlap enough to say anything."""
ENOUGH = 128
"""Frames that tell the defocus of the probe."""


@dataclass(slots=True)
class Reconstruction:
    """What a reconstruction has come to."""

    patterns: Patterns
    canvas: Canvas
    optics: Optics
    unit: str
    """Of the positions."""
    engine: Engine
    probe: Array | None = None
    """Shape (mode, v, u); None before the first round."""
    enough: int = 0
    """Frames that tell the defocus: some, or all of a small scan."""
    focused: bool = False
    """True once the defocus is known, or nobody asks for it."""
    corner_zero: bool | None = None
    errors: list[float] = field(default_factory=list[float])
    """Σ(|Ψ| − √I)² / ΣI of each round."""


class Ptychography(Solver[Reconstruction]):
    """Reconstruct object and probe from diffraction patterns at many positions.

    Frames are photon counts, in the far field or in the near field; positions are those of the probe on the sample, y and
    x, in any unit of length or in pixels of the object. It iterates while frames arrive, on all that have come, and
    `iterations` times after the last one.

    Pixels that are negative, NaN or at the largest value of their type do not count. The image grows with the scan.
    Outputs: the complex `object` and its `phase` (in radian, about zero) and `amplitude`; the `probe`; the `error` of each
    round, Σ(|Ψ| − √I)² / ΣI.
    """

    use: ClassVar[str] = "ptychography"
    signature: ClassVar[Any] = (
        "[position] row col, [position] yx -> object: y x, phase: y x, amplitude: y x, probe: mode v u, error: iteration"
    )
    arguments: ClassVar[tuple[str, ...]] = ("frames", "positions")
    cites: ClassVar[tuple[str, ...]] = ("10.1016/j.ultramic.2009.05.012",)

    algorithm: Algorithm = "epie"
    """`epie`, `rpie` (regularised PIE), `dm` (difference map), `raar`, `lsq` (LSQ-ML) or `ml` (conjugate gradients)."""
    iterations: Annotated[int, Field(ge=0, le=100_000)] = 100
    """Rounds over all frames after the last one has come."""
    regime: Literal["far", "near"] = "far"
    """`far`: the detector sees the Fourier transform; `near`: a propagated image (Fresnel)."""
    modes: Annotated[int, Field(ge=1, le=20)] = 1
    """Incoherent modes of the probe."""
    probe: Path | None = None
    """File (.npy, complex, shape (v, u) or (mode, v, u)) with the probe to start from; default: from the mean pattern."""
    probe_defocus: Micrometre | Literal["auto"] = "auto"
    """Distance by which the first probe is propagated down the beam; `auto` finds it (far field, probe not from a file)."""
    probe_after: Annotated[int, Field(ge=0)] = 2
    """Rounds in which the probe stays as it is."""
    object_step: Annotated[float, Field(gt=0, le=2)] = 0.9
    """Length of the steps of the object (epie, rpie, lsq)."""
    probe_step: Annotated[float, Field(gt=0, le=2)] = 0.9
    """Length of the steps of the probe (epie, rpie)."""
    batch: Annotated[int, Field(ge=1)] | None = None
    """Positions whose steps are taken together (epie, rpie: 8; lsq: 32)."""
    noise: Literal["gaussian", "poisson"] = "poisson"
    """What lsq and ml take for the noise: `poisson` of the counts, `gaussian` of the amplitudes."""
    zero_frequency: ZeroFrequency = "auto"
    """Where the far field's zero frequency is: `center` of the frame, its first pixel (`corner`), or found (`auto`)."""
    energy: Annotated[KeV, Field(gt=0)] | None = None
    """Of a photon; default: the scan's."""
    distance: Annotated[Metre, Field(gt=0)] | None = None
    """From the sample to the detector; default: the scan's."""
    source_distance: Annotated[Metre, Field(gt=0)] | None = None
    """From the focus to the sample, for the magnification of the near field; default: the scan's, or a parallel beam."""
    detector_pixel: Annotated[Micrometre, Field(gt=0)] | None = None
    """Pixel of the detector; default: the scan's."""
    pixel: Annotated[Nanometre, Field(gt=0)] | None = None
    """Pixel of the object; default: what wavelength, distance and detector make it."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the random order of the positions."""
    threads: Annotated[int, Field(ge=0, le=256)] = 0
    """Threads that work at once; 0: one for each core. The result does not depend on it."""

    @property
    def rounds(self) -> int:
        """Rounds after the last frame."""
        return self.iterations

    def sizes(self, known: Mapping[str, int | None], scan: Scan) -> dict[str, int | None]:
        """The object is as large as the scan makes it."""
        frame = scan.main.sizes
        return {
            "y": None,
            "x": None,
            "mode": self.modes,
            "v": frame.get("row"),
            "u": frame.get("col"),
            "iteration": None,
        }

    def after(self, scan: Scan) -> dict[str, Stream]:
        """Object and probe are complex."""
        complex_ones, phases = ("object", "probe"), ("phase",)
        return {
            name: replace(
                stream,
                dtype="complex64" if name in complex_ones else "float64" if name == "error" else "float32",
                unit="rad" if name in phases else None,
            )
            for name, stream in super().after(scan).items()
        }

    def calibration(self, scan: Scan) -> Mapping[str, Quantity]:
        """Lengths in the image are those of the object's pixel, where it is square and known."""
        kept = {name: value for name, value in scan.calibration.items() if name != "pixel"}
        row, col = scan.main.sizes.get("row"), scan.main.sizes.get("col")
        found = None if row is None or col is None else self._optics(scan, (row, col)).pixel
        if found is None or not np.isclose(*found):
            return kept
        return {**kept, "pixel": Quantity(found[0] * 1e9, "nm")}

    def empty(self, scan: Scan) -> Reconstruction:
        """Nothing has come.

        Raises:
            StepFailed: The unit of the positions needs a pixel size that nobody knows.
        """
        rows, cols = scan.main.size("row"), scan.main.size("col")
        unit = scan.streams["positions"].unit if "positions" in scan.streams else None
        known = self.probe_defocus != "auto" or self.probe is not None or self.regime == "near"
        found = Reconstruction(
            Patterns((rows, cols)), Canvas((rows, cols)), self._optics(scan, (rows, cols)), unit or "px", self._engine()
        )
        found.focused, found.enough = known, min(ENOUGH, 3 * (scan.main.frames or ENOUGH) // 4)
        if factor(found.unit)[0] != "pixels":
            found.optics.require("pixel")
        if self.regime == "near":
            found.optics.require("wavelength", "distance", "pixel")
        return found

    def digest(self, chunk: Chunk) -> Chunk:
        """Square roots of the counts: done by the threads that bring the frames."""
        return chunk.with_data(amplitudes_of(chunk.data), chunk.axes)

    def add(self, state: Reconstruction, chunk: Chunk, *held: Held) -> None:
        """Keep the frames, with the windows that their positions mean."""
        if chunk.epoch > state.patterns.epoch:
            # the detector began again: another scan, seen through the same probe
            state.patterns = Patterns(state.patterns.window, epoch=chunk.epoch)
            state.canvas = Canvas(state.patterns.window)
            state.engine, state.errors = self._engine(), []
        if chunk.epoch < state.patterns.epoch:
            return
        places = np.asarray(chunk.coords["positions"], np.float64)
        state.patterns.add(chunk.ids, self._cornered(state, chunk.data), places / self._pixel(state))
        state.canvas.reach(state.patterns.corners[-len(chunk) :])

    def advance(self, state: Reconstruction, rounds: int) -> None:
        """Go over all frames so many times, in an order that the seed and the number of the round decide."""
        patterns = state.patterns
        if (len(patterns) < FIRST_IMAGE and not rounds) or not len(patterns):
            return
        if state.probe is None:
            state.probe = self._first_probe(state)
        order = patterns.by_id()
        power = float((patterns.amplitudes.astype(np.float64) ** 2).sum())
        workers = self.threads or os.cpu_count() or 1
        corners = state.canvas.corners(patterns.corners[order])
        frames = Frames(_in_order(patterns.amplitudes, order), corners, patterns.valid)
        with ThreadPoolExecutor(workers) as pool:
            if not state.focused and len(patterns) >= state.enough:
                self._focus(state, frames, pool.map, workers)
            for _ in range(rounds):
                number = len(state.errors)
                random = np.random.default_rng((self.seed, number))
                given = Round(frames, self._propagator(state), pool.map, workers, number >= self.probe_after, random)
                estimate = Estimate(state.canvas.image, state.probe)
                state.errors.append(state.engine.round(estimate, given) / power)

    def ready(self, state: Reconstruction) -> bool:
        """True after the first round."""
        return bool(state.errors)

    def result(self, state: Reconstruction) -> dict[str, Array]:
        """Object, phase, amplitude, probe and errors as they are now, where windows were; NaN where no light has been."""
        seen = state.canvas.covered(state.patterns.corners)
        image, lit = state.canvas.image[seen].copy(), self._lit(state)[seen]
        mean = image[lit].sum() if lit.any() else 1.0
        image *= np.exp(-1j * np.angle(mean)).astype(image.dtype)
        dark = np.float32(np.nan)
        return {
            "object": image,
            "phase": np.where(lit, np.angle(image), dark),
            "amplitude": np.where(lit, np.abs(image), dark),
            "probe": np.array(state.probe),
            "error": np.asarray(state.errors),
        }

    def adapt(self, state: Reconstruction, old: Any) -> Reconstruction:
        """Go on with another algorithm, other steps or more rounds; what frames mean can not change.

        Raises:
            ChangeRefused: A parameter that decides what frames and positions mean differs.
        """
        fixed = (
            "regime",
            "modes",
            "zero_frequency",
            "energy",
            "distance",
            "source_distance",
            "detector_pixel",
            "pixel",
        )
        changed = [name for name in fixed if getattr(self, name) != getattr(old, name)]
        if changed:
            raise ChangeRefused(
                f"{', '.join(changed)} can not change while frames are in hand.",
                field=changed[0],
                value=getattr(self, changed[0], None),
                next_move="Stop the run and start it with the new values.",
            )
        state.engine = self._engine()
        return state

    # ---- parts of the above ------------------------------------------------------------------------------------------

    def _engine(self) -> Engine:
        return engine_of(
            self.algorithm,
            object_step=self.object_step,
            probe_step=self.probe_step,
            batch=self.batch,
            noise=self.noise,
        )

    def _optics(self, scan: Scan, window: tuple[int, int]) -> Optics:
        return Optics.of(
            scan,
            window,
            near=self.regime == "near",
            energy=self.energy,
            distance=self.distance,
            source_distance=self.source_distance,
            detector_pixel=None if self.detector_pixel is None else self.detector_pixel * 1e-6,
            pixel=None if self.pixel is None else self.pixel * 1e-9,
        )

    def _pixel(self, state: Reconstruction) -> Array:
        """Height and width of a pixel of the object, in the unit of the positions."""
        dimension, size = factor(state.unit)
        if dimension == "pixels" or state.optics.pixel is None:
            return np.ones(2)
        return np.asarray(state.optics.pixel) / size

    def _propagator(self, state: Reconstruction) -> Propagator:
        if self.regime == "far":
            return FarField()
        wavelength, distance = state.optics.require("wavelength", "distance")
        pixel = state.optics.pixel or (1.0, 1.0)
        return NearField(fresnel_transfer(state.patterns.window, wavelength=wavelength, distance=distance, pixel=pixel))

    def _cornered(self, state: Reconstruction, amplitudes: Array) -> Array:
        """Amplitudes with the zero frequency at the corner, where the far field's transforms have it."""
        if self.regime == "near":
            return amplitudes
        if state.corner_zero is None:
            found = has_corner_zero(np.nan_to_num(amplitudes**2).mean(axis=0))
            state.corner_zero = found if self.zero_frequency == "auto" else self.zero_frequency == "corner"
        return amplitudes if state.corner_zero else np.fft.ifftshift(amplitudes, axes=(-2, -1))

    def _first_probe(self, state: Reconstruction) -> Array:
        patterns = state.patterns
        amplitudes = patterns.amplitudes[patterns.by_id()]
        power = float((amplitudes.astype(np.float64) ** 2).sum() / len(patterns))
        if self.probe is not None:
            first = _read_probe(self.probe, patterns.window)
        else:
            first = (illumination_from_mean if self.regime == "near" else probe_from_mean)(amplitudes, patterns.valid)
        if self.probe_defocus and self.probe_defocus != "auto":
            (wavelength,) = state.optics.require("wavelength")
            state.optics.require("pixel")
            pixel = state.optics.pixel or (1.0, 1.0)
            first = defocused(first, wavelength=wavelength, distance=self.probe_defocus * 1e-6, pixel=pixel)
        return with_modes(first, self.modes, power)

    def _focus(self, state: Reconstruction, frames: Frames, spread: Spread, workers: int) -> None:
        """Find the defocus, and begin again with it."""
        first = self._first_probe(state)
        found = find_curvature(first, frames, state.canvas.image.shape, spread, workers)
        state.probe, state.focused = curved(first, found), True
        state.canvas.image[...] = 1
        state.engine, state.errors = self._engine(), []

    def _lit(self, state: Reconstruction) -> Array:
        """Where the light of the probe has been: more than a hundredth of the strongest."""
        light = np.zeros(state.canvas.image.shape, np.float32)
        if state.probe is None:
            return light > 0
        power = (np.abs(state.probe) ** 2).sum(axis=0)
        rows, cols = power.shape
        for row, col in state.canvas.corners(state.patterns.corners):
            light[row : row + rows, col : col + cols] += power
        return light > 0.01 * light.max(initial=0.0)


def _in_order(amplitudes: Array, order: Array) -> Array:
    """The frames by id; no copy if they came so."""
    return amplitudes if bool((np.diff(order) == 1).all()) else amplitudes[order]


def _read_probe(path: Path, window: tuple[int, int]) -> Array:
    """A probe from a file.

    Raises:
        StepFailed: It can not be read, or has another shape.
    """
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise StepFailed(
            f"The probe can not be read: {error}", field="probe", value=str(path), expected="an .npy file"
        ) from error
    if found.ndim not in (2, 3) or found.shape[-2:] != window or found.dtype.kind not in "cf":
        raise StepFailed(
            "The probe does not fit the frames.",
            field="probe",
            value=f"{found.dtype} {found.shape}",
            expected=f"complex, shape {window} or (mode, {window[0]}, {window[1]})",
        )
    return found.astype(np.complex64)
