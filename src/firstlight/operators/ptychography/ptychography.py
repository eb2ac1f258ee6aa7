"""Ptychography while the scan runs, and afterwards."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
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
from firstlight.kernels.ptycho.modes import orthogonal
from firstlight.kernels.ptycho.positions import at
from firstlight.kernels.ptycho.propagate import FarField, NearField, Propagator, fresnel_transfer

from .begin import find_beginning
from .canvas import Canvas
from .engines import Algorithm, Batched, Engine, Round, engine_of
from .focus import curved
from .known import Known
from .optics import Optics
from .orientation import NAMES, Orientation, exchanges, oriented
from .patterns import Patterns, ZeroFrequency, amplitudes_of, has_corner_zero
from .reconstruction import Reconstruction
from .refine import Method, Refinement
from .start import defocused, illumination_from_mean, probe_from_mean, read_probe, with_modes

FIRST_IMAGE = 16
"""Frames before the first round: fewer do not overlap enough to say anything."""
ENOUGH = 128
"""Frames that tell the defocus of the probe."""


class Ptychography(Solver[Reconstruction]):
    """Reconstruct object and probe from diffraction patterns at many positions.

    Frames are photon counts, in the far field or in the near field; positions are those of the probe on the sample, y and
    x, in any unit of length or in pixels of the object. It iterates while frames arrive, on all that have come, and
    `iterations` times after the last one.

    Pixels that are negative, NaN or at the largest value of their type do not count. The image grows with the scan.
    Outputs: the complex `object` and its `phase` (in radian, about zero) and `amplitude`; the `probe`, as orthogonal modes,
    strongest first, and the `shares` of the power that they have; the `positions` in the order of the frames' ids, refined if
    asked; the `orientation` of the frames, a number from 0: identity, fliplr, flipud, rot180, transpose, rot90_ccw, rot90_cw,
    antitranspose; the `error` of each round, Σ(|Ψ| − √I)² / ΣI.
    """

    use: ClassVar[str] = "ptychography"
    signature: ClassVar[Any] = (
        "[position] row col, [position] yx -> object: y x, phase: y x, amplitude: y x, probe: mode v u, "
        "shares: mode, positions: point yx, orientation: , error: iteration"
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
    algorithm2: Algorithm | None = None
    """Algorithm that takes over after a part of the rounds; default: none."""
    switch_after: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Part of `iterations` after which `algorithm2` takes over."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Part of their velocity that object and probe keep (epie, rpie; mPIE: 0.5); 0: no momentum."""
    subpixel: bool = False
    """Windows lie between pixels, not on whole ones: finer and slower (far field)."""
    refine_positions: Method = "no"
    """Find where the probe really was: `gradient` (errors of a few pixels), `annealing` first (large errors), or `no`."""
    refine_after: Annotated[int, Field(ge=0)] = 5
    """Rounds before positions are refined."""
    refine_limit: Annotated[float, Field(gt=0, le=100)] = 5.0
    """Pixels of the object by which a position may be wrong."""
    variation: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Weight of the total variation, which smooths the object and keeps its edges, as a magnitude of the object; 0: off."""
    sparsity: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Deviations of the object from its mean below this become the mean, and others shrink by it (L1), each round; 0: off."""
    least_magnitude: Annotated[float, Field(ge=0)] | None = None
    """Magnitude of the object is clamped from below; default: not."""
    largest_magnitude: Annotated[float, Field(gt=0)] | None = None
    """Magnitude of the object is clamped from above; default: not."""
    probe_radius: Annotated[float, Field(gt=0, le=1.5)] | None = None
    """The probe is dark outside a disk of this part of half the window; default: it may be anywhere."""
    center_probe: bool = False
    """Keep the probe's light in the middle of its window."""
    new_first: Annotated[int, Field(ge=0, le=100)] = 2
    """Rounds over frames that have just come, alone, before one over all (epie, rpie, lsq)."""
    noise: Literal["gaussian", "poisson"] = "poisson"
    """What lsq and ml take for the noise: `poisson` of the counts, `gaussian` of the amplitudes."""
    orientation: Orientation | Literal["auto"] = "identity"
    """How frames are turned and mirrored before use (names as in `orient`); `auto`: the way in which they fit the positions best."""
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
            "point": None,
            "yx": 2,
        }

    def after(self, scan: Scan) -> dict[str, Stream]:
        """Object and probe are complex."""
        types = {"object": "complex64", "probe": "complex64", "phase": "float32", "amplitude": "float32"}
        positions = scan.streams["positions"].unit if "positions" in scan.streams else None
        units = {"phase": "rad", "positions": positions or "px"}
        return {
            name: replace(stream, dtype=types.get(name, "float64"), unit=units.get(name))
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
        known = not self._seeks_focus and self.orientation != "auto"
        found = Reconstruction(
            Patterns((rows, cols)), Canvas((rows, cols)), self._optics(scan, (rows, cols)), unit or "px", self._engine()
        )
        found.focused, found.enough = known, min(ENOUGH, 3 * (scan.main.frames or ENOUGH) // 4)
        if self.orientation != "auto":
            found.way = self.orientation
            if exchanges(found.way) and rows != cols:
                raise StepFailed(
                    "Only square frames can be turned here.",
                    field="orientation",
                    value=self.orientation,
                    expected=f"square frames, not {rows} × {cols}",
                    next_move="Put the steps `orient` and `crop` before this one.",
                )
        if factor(found.unit)[0] != "pixels":
            found.optics.require("pixel")
        if self.regime == "near":
            found.optics.require("wavelength", "distance", "pixel")
            self._refuse_between_pixels()
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
            state.engine, state.errors, state.visited = self._engine(), [], 0
        if chunk.epoch < state.patterns.epoch:
            return
        places = np.asarray(chunk.coords["positions"], np.float64)
        state.patterns.add(chunk.ids, self._cornered(state, chunk.data), places / state.pixel)
        state.canvas.reach(state.patterns.corners[-len(chunk) :])

    def advance(self, state: Reconstruction, rounds: int) -> None:
        """Go over all frames so many times, in an order that the seed and the number of the round decide."""
        patterns = state.patterns
        if (len(patterns) < FIRST_IMAGE and not rounds) or not len(patterns):
            return
        workers = self.threads or os.cpu_count() or 1
        with ThreadPoolExecutor(workers) as pool:
            given = self._given(state, pool.map, workers)
            self._probe_of(state, given)
            if not state.focused and len(patterns) >= state.enough:
                self._focus(state, given)
                given = self._given(state, pool.map, workers)
            if rounds:
                self._meet(state, given)
            power = given.frames.power
            for _ in range(rounds):
                state.errors.append(self._round(state, given) / power)

    def ready(self, state: Reconstruction) -> bool:
        """True after the first round."""
        return bool(state.errors)

    def result(self, state: Reconstruction) -> dict[str, Array]:
        """Object, phase, amplitude, probe and errors as they are now, where windows were; NaN where no light has been."""
        seen = state.canvas.covered(state.patterns.corners)
        image, lit = state.canvas.image[seen].copy(), state.lit[seen]
        mean = image[lit].sum() if lit.any() else 1.0
        image *= np.exp(-1j * np.angle(mean)).astype(image.dtype)
        dark = np.float32(np.nan)
        probe, shares = orthogonal(np.zeros((self.modes, 1, 1)) if state.probe is None else state.probe)
        return {
            "object": image,
            "phase": np.where(lit, np.angle(image), dark),
            "amplitude": np.where(lit, np.abs(image), dark),
            "probe": probe,
            "shares": shares,
            "positions": state.patterns.refined[state.patterns.by_id()] * state.pixel,
            "orientation": np.array(float(NAMES.index(state.way))),
            "error": np.asarray(state.errors),
        }

    def adapt(self, state: Reconstruction, old: Any) -> Reconstruction:
        """Go on with another algorithm, other steps or more rounds; what frames mean can not change.

        Raises:
            ChangeRefused: A parameter that decides what frames and positions mean differs.
        """
        fixed = (
            "regime",
            "orientation",
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
        state.engine = self._engine(self._second(len(state.errors)))
        return state

    # ---- parts of the above ------------------------------------------------------------------------------------------

    def _engine(self, second: bool = False) -> Engine:
        return engine_of(
            self.algorithm2 if second and self.algorithm2 else self.algorithm,
            object_step=self.object_step,
            probe_step=self.probe_step,
            batch=self.batch,
            noise=self.noise,
            momentum=self.momentum,
        )

    def _second(self, number: int) -> bool:
        """True if it is the second algorithm's turn."""
        return self.algorithm2 is not None and number >= self.switch_after * self.iterations

    def _refuse_between_pixels(self) -> None:
        for name in ("subpixel", "refine_positions"):
            if getattr(self, name) not in (False, "no"):
                raise StepFailed(
                    f"{name} works in the far field only: in the near field the detector would see the shift.",
                    field=name,
                    value=getattr(self, name),
                    next_move=f"Leave {name} out, or set regime to far.",
                )

    def _known(self) -> Known:
        low, high = self.least_magnitude, self.largest_magnitude
        limits = None if low is None and high is None else (low or 0.0, np.inf if high is None else high)
        return Known(self.variation, self.sparsity, limits, self.probe_radius, self.center_probe)

    def _given(self, state: Reconstruction, spread: Spread, workers: int) -> Round:
        """The frames in the order of their ids, in windows on whole pixels."""
        patterns, order = state.patterns, state.patterns.by_id()
        corners = state.canvas.corners(patterns.corners[order])
        frames = Frames(_in_order(patterns.amplitudes, order), corners, patterns.valid)
        return Round(frames, self._propagator(state), spread, workers, False, np.random.default_rng(self.seed))

    def _meet(self, state: Reconstruction, given: Round) -> None:
        """Go over frames that no round has seen, alone, so that they soon look like the rest; the probe is held."""
        patterns, new = state.patterns, len(state.patterns) - state.visited
        if not state.errors or not 0 < new < state.visited or not isinstance(state.engine, Batched):
            return
        fresh = np.flatnonzero(patterns.by_id() >= state.visited)
        estimate = Estimate(state.canvas.image, self._probe_of(state, given))
        for _ in range(self.new_first):
            state.engine.round(estimate, replace(self._placed(state, given), only=fresh))

    def _placed(self, state: Reconstruction, given: Round) -> Round:
        """The frames in the windows where they are now, between pixels if asked."""
        patterns, order = state.patterns, state.patterns.by_id()
        state.canvas.reach(patterns.corners)
        places = state.canvas.placed(patterns.refined[order])
        if self.subpixel or self.refine_positions != "no":
            return replace(given, frames=at(places, given.frames))
        return replace(given, frames=replace(given.frames, corners=np.rint(places).astype(np.int64)))

    def _round(self, state: Reconstruction, given: Round) -> float:
        """Go over all frames once; the error as it was before."""
        patterns, number = state.patterns, len(state.errors)
        if self._second(number) and not self._second(number - 1):
            state.engine = self._engine(second=True)
        given = replace(
            self._placed(state, given),
            random=np.random.default_rng((self.seed, number)),
            update_probe=number >= self.probe_after,
        )
        estimate = Estimate(state.canvas.image, self._probe_of(state, given))
        error = state.engine.round(estimate, given)
        state.visited = len(patterns)
        if self.refine_positions != "no" and number >= self.refine_after:
            order = patterns.by_id()
            by_id = Refinement(self.refine_positions, self.refine_limit).moves(
                patterns.moves[order], estimate, given, number / max(self.iterations, 1)
            )
            patterns.moves[order] = by_id
        state.probe = self._known().apply(state.canvas, state.canvas.covered(patterns.corners), estimate.probe)
        return error

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

    def _propagator(self, state: Reconstruction) -> Propagator:
        if self.regime == "far":
            return FarField()
        wavelength, distance = state.optics.require("wavelength", "distance")
        pixel = state.optics.pixel or (1.0, 1.0)
        return NearField(fresnel_transfer(state.patterns.window, wavelength=wavelength, distance=distance, pixel=pixel))

    def _cornered(self, state: Reconstruction, amplitudes: Array) -> Array:
        """Amplitudes with the zero frequency at the corner, where the far field's transforms have it."""
        if self.regime == "near":
            return oriented(amplitudes, state.way, corner=False)
        if state.corner_zero is None:
            found = has_corner_zero(np.nan_to_num(amplitudes**2).mean(axis=0))
            state.corner_zero = found if self.zero_frequency == "auto" else self.zero_frequency == "corner"
        if not state.corner_zero:
            amplitudes = np.fft.ifftshift(amplitudes, axes=(-2, -1))
        return oriented(amplitudes, state.way, corner=True)

    @property
    def _seeks_focus(self) -> bool:
        return self.probe_defocus == "auto" and self.probe is None and self.regime == "far"

    def _first_probe(self, state: Reconstruction, frames: Frames) -> Array:
        amplitudes, valid = frames.amplitudes, frames.valid
        power = frames.power / len(frames)
        if self.probe is not None:
            first = read_probe(self.probe, state.patterns.window)
        else:
            first = (illumination_from_mean if self.regime == "near" else probe_from_mean)(amplitudes, valid)
        if self.probe_defocus and self.probe_defocus != "auto":
            (wavelength,) = state.optics.require("wavelength")
            state.optics.require("pixel")
            pixel = state.optics.pixel or (1.0, 1.0)
            first = defocused(first, wavelength=wavelength, distance=self.probe_defocus * 1e-6, pixel=pixel)
        return with_modes(first, self.modes, power)

    def _probe_of(self, state: Reconstruction, given: Round) -> Array:
        if state.probe is None:
            state.probe = self._first_probe(state, given.frames)
        return state.probe

    def _focus(self, state: Reconstruction, given: Round) -> None:
        """Find orientation and defocus, whichever is asked for, and begin again with them."""
        found = find_beginning(
            given,
            state.canvas.image.shape,
            lambda frames: self._first_probe(state, frames),
            turns=self.orientation == "auto",
            curves=self._seeks_focus,
            far=self.regime == "far",
        )
        if self.orientation == "auto":
            state.way, patterns, corner = found.way, state.patterns, self.regime == "far"
            patterns.replace(
                oriented(patterns.amplitudes, found.way, corner=corner),
                oriented(patterns.valid, found.way, corner=corner),
            )
        first = self._first_probe(state, self._given(state, given.spread, given.workers).frames)
        state.probe, state.focused = curved(first, found.curvature), True
        state.canvas.image[...] = 1
        state.engine, state.errors, state.visited = self._engine(), [], 0


def _in_order(amplitudes: Array, order: Array) -> Array:
    """The frames by id; no copy if they came so."""
    return amplitudes if bool((np.diff(order) == 1).all()) else amplitudes[order]
