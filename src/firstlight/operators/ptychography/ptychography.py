"""Ptychography while the scan runs, and afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Scan, Stream
from firstlight.core.held import Held
from firstlight.core.solver import Solver
from firstlight.core.units import Bytes, KeV, Metre, Micrometre, Nanometre, Quantity, factor
from firstlight.kernels.ptycho.frames import Spread
from firstlight.kernels.ptycho.order import Order

from .beam import last_probe, library_of, optics_of, seeks_focus
from .canvas import Canvas
from .engine_inputs import write_engine_inputs
from .engines import Algorithm
from .halves import agreement_of_halves
from .orientation import Orientation, oriented
from .outputs import SIGNATURE, TYPES, UNITS, outputs_of
from .patterns import Patterns, ZeroFrequency, has_corner_zero, kept_as, kept_type
from .reconstruction import Reconstruction
from .refine import Method
from .refusals import refuse_contradictions, refuse_one_place, refuse_other_meaning, refuse_wild_places
from .rounds import Rounds, new_engine
from .window import Window

FIRST_IMAGE = 16
"""Frames before the first round, unless there are no more: fewer do not overlap enough to say anything."""
FIRST_LOOK = 24
"""The same where orientation or defocus is not known: so many frames suggest it."""
ENOUGH = 128
"""Frames that tell it."""


class Ptychography(Solver[Reconstruction]):
    """Reconstruct object and probe from diffraction patterns at many positions.

    Frames are photon counts, in the far field or in the near field; positions are those of the probe on the sample, y and
    x, in any unit of length or in pixels of the object. It iterates while frames arrive, on all that have come, and
    `iterations` times after the last one.

    Pixels that are negative, NaN or at the largest value of their type do not count. The image grows with the scan.
    Outputs: the complex `object` and its `phase` (in radian, about zero) and `amplitude`, and its `layers` one by one (slices
    from the side of the light, or incoherent states); `coverage`, the photons that fell on each of its pixels; the `probe`, as
    orthogonal modes, strongest first, the `shares` of the power that they have, and their power `spectrum` on the detector; the
    `positions` in the order of the frames' ids, refined if asked; the last `pattern`, the `background` in counts of
    each frame (zero where there is none), and row and column of the `middle` of the part of the frames that is used; the `orientation` of the frames, a number from 0: identity, fliplr, flipud,
    rot180, transpose, rot90_ccw, rot90_cw, antitranspose; the `error` of each round,
    Σ(|Ψ| − √I)² / ΣI (dm, raar: of up to 64 frames), and its `r_factor`, Σ||Ψ| − √I| / Σ√I of up to 64 frames, the `times` at which it ended (seconds since 1970) and its number of `points`; the `agreement` of two half sets if asked: their
    Fourier ring correlation, ring by ring from frequency 0, each as wide as one period in the shorter side of the object.
    """

    use: ClassVar[str] = "ptychography"
    signature: ClassVar[Any] = SIGNATURE
    arguments: ClassVar[tuple[str, ...]] = ("frames", "positions")
    clocks: ClassVar[frozenset[str]] = frozenset({"times"})
    cites: ClassVar[tuple[str, ...]] = ("10.1016/j.ultramic.2009.05.012",)

    algorithm: Algorithm = "epie"
    """`epie`, `rpie` (regularised PIE), `dm` (difference map), `raar`, `lsq` (LSQ-ML) or `ml` (conjugate gradients)."""
    iterations: Annotated[int, Field(ge=0, le=100_000)] = 100
    """Rounds over all frames after the last one has come."""
    regime: Literal["far", "near"] = "far"
    """`far`: the detector sees the Fourier transform; `near`: a propagated image (Fresnel)."""
    modes: Annotated[int, Field(ge=1, le=20)] = 1
    """Incoherent modes of the probe."""
    variations: Annotated[int, Field(ge=0, le=10)] = 0
    """Shapes by which the probe may differ from frame to frame (orthogonal probe relaxation): 1 is mostly its intensity."""
    object_modes: Annotated[int, Field(ge=1, le=10)] = 1
    """Incoherent states of the object, for samples that change within a frame."""
    slices: Annotated[int, Field(ge=1, le=50)] = 1
    """Slices of a thick object, with free space between them (epie, rpie, lsq, ml)."""
    slice_gap: Annotated[Micrometre, Field(gt=0)] | None = None
    """From one slice to the next, down the beam."""
    upsampling: Annotated[int, Field(ge=1, le=8)] = 1
    """Fine pixels along each side of one of the detector's, where those are too coarse for the probe (far field)."""
    first_object: Literal["empty", "deflection", "network"] = "empty"
    """What the object begins as: nothing, what the deflection of the light says (differential phase contrast), or what a network
    predicts."""
    network: Annotated[str, Field(max_length=120)] | None = None
    """Name of that network; default: the one chosen by `firstlight model set`."""
    probe: Path | None = None
    """File with the probe to start from: .npy of shape (v, u) or (mode, v, u), or HDF5, such as the probe that the last scan
    left; default: from the mean pattern."""
    probe_orientation: Orientation = "identity"
    """How the probe of that file is turned and mirrored (names as in `orient`): other programs have the axes the other way round."""
    outer_zone: Annotated[Nanometre, Field(gt=0)] | None = None
    """Outermost zone of a zone plate: the probe begins as its focus, defocused by `probe_defocus`."""
    zone_plate_diameter: Annotated[Micrometre, Field(gt=0)] | None = None
    """Of the zone plate; needed with a central stop."""
    central_stop: Annotated[Micrometre, Field(ge=0)] = 0.0
    """Diameter of the zone plate's central stop."""
    probe_defocus: Micrometre | Literal["auto"] = "auto"
    """Distance by which the first probe is propagated down the beam; `auto` finds it (far field, probe from the
    mean pattern)."""
    probe_after: Annotated[int, Field(ge=0)] = 2
    """Rounds in which the probe stays as it is."""
    object_after: Annotated[int, Field(ge=0)] = 0
    """Rounds in which the object stays as it is."""
    object_step: Annotated[float, Field(gt=0, le=2)] = 0.9
    """Length of the steps of the object (epie, rpie, lsq)."""
    probe_step: Annotated[float, Field(gt=0, le=2)] = 0.9
    """Length of the steps of the probe (epie, rpie)."""
    batch: Annotated[int, Field(ge=1)] | None = None
    """Positions whose steps are taken together (epie, rpie: 8; lsq: 32)."""
    order: Order = "random"
    """Of the positions in a round (epie, rpie, lsq): `random`; `near` or `spread`: those of a batch are neighbours, or far apart;
    `sequence`."""
    algorithm2: Algorithm | None = None
    """Algorithm that takes over after a part of the rounds; default: none."""
    switch_after: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Part of `iterations` after which `algorithm2` takes over."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Part of their velocity that object and probe keep (epie, rpie; mPIE: 0.5); 0: no momentum."""
    subpixel: bool = False
    """Windows lie between pixels, not on whole ones: finer and slower (far field)."""
    refine_positions: Method = "no"
    """Find where the probe really was: `gradient` (errors of a few pixels), `annealing` first (large errors),
    `affine` (one rotation, scale and shear for all), or `no`."""
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
    least_phase: Annotated[float, Field(ge=-3.2, le=3.2)] | None = None
    """Phase of the object in radian, about its mean, is clamped from below; default: not."""
    largest_phase: Annotated[float, Field(ge=-3.2, le=3.2)] | None = None
    """Phase of the object in radian, about its mean, is clamped from above; default: not."""
    probe_radius: Annotated[float, Field(gt=0, le=1.5)] | None = None
    """The probe is dark outside a disk of this part of half the window; default: it may be anywhere."""
    center_probe: bool = False
    """Keep the probe's light in the middle of its window."""
    new_first: Annotated[int, Field(ge=0, le=100)] = 2
    """Rounds over frames that have just come, alone, before one over all (epie, rpie, lsq)."""
    noise: Literal["gaussian", "poisson"] = "poisson"
    """What lsq and ml take for the noise: `poisson` of the counts, `gaussian` of the amplitudes."""
    crop: tuple[Annotated[int, Field(ge=8)], Annotated[int, Field(ge=8)]] | None = None
    """Rows and columns of the frames that are used; default: all."""
    crop_middle: tuple[int, int] | Literal["auto"] = "auto"
    """Row and column of the frame around which they are used; `auto`: the middle of the bright spot in the first 64 frames."""
    saturation: Annotated[float, Field(gt=0)] | None = None
    """Pixels with this count or more do not count, in any frame; default: those at the largest value of their type."""
    background: Annotated[float, Field(ge=0)] | Literal["no", "auto"] = "no"
    """Counts of each pixel in each frame that come through neither probe nor object; `auto` finds them, smooth but not even, if they
    explain anything; `no`: none."""
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
    precision: Literal["single", "double"] = "single"
    """Of object, probe and amplitudes while they are fitted."""
    repeatable: bool = False
    """After the last frame begin anew: what comes out is what the recorded scan gives, to the last bit, whatever the timing. What
    was found while frames came is then shown only."""
    half_sets: bool = False
    """At the end, fit both halves of the frames alone: their `agreement` tells the resolution."""
    memory: Annotated[Bytes, Field(gt=0)] = 4.0 * 2**30
    """Frames that take more than this go to a file on disk; their number has no limit."""
    scratch: Path | None = None
    """Folder for that file; default: the system's for temporary files."""
    inputs_folder: Path | None = None
    """Folder into which, at the end, goes what engines worked on, for a comparison with other programs: amplitudes and windows, as
    holoptycho writes them; default: nowhere."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$")] = "auto"
    """Where engines work: `cpu`, `cuda`, `cuda:1` (needs CuPy: firstlight[gpu]); `auto`: the run's device if it names one, else the
    processor."""
    threads: Annotated[int, Field(ge=0, le=256)] = 0
    """Threads that work at once; 0: one for each core. The result does not depend on it."""

    @property
    def rounds(self) -> int:
        """Rounds after the last frame."""
        return self.iterations

    def sizes(self, known: Mapping[str, int | None], scan: Scan) -> dict[str, int | None]:
        """The object is as large as the scan makes it."""
        frame = scan.main.sizes
        rows, cols = self.crop or (frame.get("row"), frame.get("col"))
        fine = {"v": rows, "u": cols}
        return {
            "y": None,
            "x": None,
            "layer": max(self.slices, self.object_modes),
            "mode": self.modes,
            **{axis: None if size is None else size * self.upsampling for axis, size in fine.items()},
            "iteration": None,
            "point": None,
            "ring": None,
            "line": rows,
            "pixel": cols,
            "yx": 2,
        }

    def after(self, scan: Scan) -> dict[str, Stream]:
        """Object and probe are complex."""
        positions = scan.streams["positions"].unit if "positions" in scan.streams else None
        units = {**UNITS, "positions": positions or "px"}
        return {
            name: replace(stream, dtype=TYPES.get(name, "float64"), unit=units.get(name))
            for name, stream in super().after(scan).items()
        }

    def calibration(self, scan: Scan) -> Mapping[str, Quantity]:
        """Lengths in the image are those of the object's pixel, where it is square and known."""
        kept = {name: value for name, value in scan.calibration.items() if name != "pixel"}
        row, col = self.crop or (scan.main.sizes.get("row"), scan.main.sizes.get("col"))
        optics = None if row is None or col is None else optics_of(self, scan, (row, col))
        found = None if optics is None else optics.pixel
        if row is None or optics is None or found is None or not np.isclose(*found):
            return kept
        if self.regime == "far" and optics.wavelength is not None:  # a pixel of the detector: λ / (N · pixel)
            kept["detector_angle"] = Quantity(optics.wavelength / (row * found[0]) * 1e3, "mrad")
        return {**kept, "pixel": Quantity(found[0] * 1e9, "nm")}

    def empty(self, scan: Scan) -> Reconstruction:
        """Nothing has come.

        Raises:
            StepFailed: The unit of the positions needs a pixel size that nobody knows, or parameters contradict each other.
        """
        rows, cols = self.crop or (scan.main.size("row"), scan.main.size("col"))
        unit = scan.streams["positions"].unit if "positions" in scan.streams else None
        kept = self._kept(scan.main.dtype)
        patterns = Patterns((rows, cols), kept, self.memory, self.scratch, shapes=self.variations)
        layers, window = max(self.slices, self.object_modes), (rows * self.upsampling, cols * self.upsampling)
        canvas = Canvas(window, self.complex_type, layers, self.object_modes > 1)
        optics = optics_of(self, scan, (rows, cols))
        found = Reconstruction(patterns, canvas, optics, unit or "px", new_engine(self))
        found.enough = min(ENOUGH, 3 * (scan.main.frames or ENOUGH) // 4)
        found.window = self._window()
        refuse_contradictions(self, found)
        library_of(self)
        if factor(found.unit)[0] != "pixels":
            found.optics.require("pixel")
        self._unknown(found)
        return found

    def _window(self) -> Window | None:
        if self.crop is None:
            return None
        return Window(self.crop, None if self.crop_middle == "auto" else self.crop_middle)

    def _unknown(self, state: Reconstruction) -> None:
        """Orientation and focus are not known yet, where they are asked for."""
        state.focused = not seeks_focus(self) and self.orientation != "auto"
        state.way = "identity" if self.orientation == "auto" else self.orientation

    def digest(self, chunk: Chunk) -> Chunk:
        """Frames as they are kept: done by the threads that bring them."""
        kept = self._kept(str(chunk.data.dtype))
        return chunk.with_data(kept_as(chunk.data, kept, self.saturation), chunk.axes)

    def add(self, state: Reconstruction, chunk: Chunk, *held: Held) -> None:
        """Keep the frames, with the windows that their positions mean."""
        if chunk.epoch > state.patterns.epoch:
            # the detector began again: another scan, seen through the same probe
            state.patterns = state.patterns.again(chunk.epoch)
            state.canvas, state.window = state.canvas.again(), self._window()
            state.restart(new_engine(self))
        if chunk.epoch < state.patterns.epoch:
            return
        for cut in [chunk] if state.window is None else state.window.take(chunk):
            self._keep(state, cut)

    def _keep(self, state: Reconstruction, chunk: Chunk) -> None:
        places = np.asarray(chunk.coords["positions"], np.float64)
        refuse_wild_places(state, chunk.ids, places)
        state.patterns.add(chunk.ids, self._cornered(state, chunk.data), places / state.pixel)
        state.canvas.reach(state.patterns.corners[-len(chunk) :])

    def complete(self, state: Reconstruction) -> None:
        """Refuse a probe that has not moved (`StepFailed`); forget what was found while frames came, if the timing must not show."""
        for cut in () if state.window is None else state.window.flush():
            self._keep(state, cut)
        refuse_one_place(state)
        patterns, state.ended = state.patterns, True
        state.enough = min(state.enough, len(patterns))
        if not self.repeatable or not len(patterns):
            return
        if self.orientation == "auto":
            state.see("identity", far=self.regime == "far")
        patterns.forget()
        state.canvas = state.canvas.again()
        state.canvas.reach(patterns.corners)
        state.restart(new_engine(self))
        state.probe, state.guessed = None, []
        self._unknown(state)

    def advance(self, state: Reconstruction, rounds: int) -> None:
        """Go over all frames so many times, in an order that the seed and the number of the round decide."""
        if len(state.patterns) < (1 if state.ended else FIRST_IMAGE if state.focused else FIRST_LOOK):
            return
        with self._at_work(state) as work:
            work.go(rounds)

    def conclude(self, state: Reconstruction) -> None:
        """Write what the engines worked on, and fit both halves of the frames alone, if that is asked for."""
        if self.inputs_folder is not None:
            write_engine_inputs(self.inputs_folder, state)
        if self.half_sets and state.errors:
            with self._at_work(state) as work:
                state.agreement = agreement_of_halves(work)

    @contextmanager
    def _at_work(self, state: Reconstruction) -> Iterator[Rounds]:
        """On the threads of the processor, and on its device if the step has one."""
        library, workers = library_of(self), self.threads or os.cpu_count() or 1
        with ThreadPoolExecutor(workers) as pool, library.at_work():
            # one thread feeds a device: what it is asked to do it does side by side anyway
            here: Spread = map if library.on_device else pool.map
            yield Rounds(self, state, here, 1 if library.on_device else workers, library)

    def ready(self, state: Reconstruction) -> bool:
        """True after the first round."""
        return bool(state.errors)

    def result(self, state: Reconstruction) -> dict[str, Array]:
        """All outputs as they are now, where windows were; NaN where no light has been."""
        return outputs_of(self, state)

    def adapt(self, state: Reconstruction, old: Any) -> Reconstruction:
        """Go on with another algorithm, other steps or more rounds; what frames mean can not change, but be locked as it was found.

        Raises:
            ChangeRefused: A parameter that decides what frames and positions mean differs.
        """
        refuse_other_meaning(self, old, state)
        if self.orientation != old.orientation:
            state.guessed = []
        refuse_contradictions(self, state)
        state.engine = new_engine(self, second=self.is_second(len(state.errors)))
        return state

    def after_scan(self, shown: Mapping[str, Array], folder: Path) -> Ptychography:
        """Begin with the probe that the last scan has found, unless what comes out shall not depend on the timing."""
        return self if self.repeatable else self.model_copy(update=last_probe(self, shown, folder))

    # ---- parts of the above ------------------------------------------------------------------------------------------

    @property
    def real_type(self) -> str:
        """Of amplitudes."""
        return "float64" if self.precision == "double" else "float32"

    @property
    def complex_type(self) -> str:
        """Of object and probe."""
        return "complex128" if self.precision == "double" else "complex64"

    def is_second(self, number: int) -> bool:
        """True if it is the second algorithm's turn in a round."""
        return self.algorithm2 is not None and number >= self.switch_after * self.iterations

    def _kept(self, dtype: str) -> str:
        return kept_type(dtype, double=self.precision == "double", marked=self.saturation is not None)

    def _cornered(self, state: Reconstruction, frames: Array) -> Array:
        """Frames with the zero frequency at the corner, where the far field's transforms have it."""
        if self.regime == "near":
            return oriented(frames, state.way, corner=False)
        if state.corner_zero is None:
            mean = (np.nan_to_num(frames).astype(np.float64) ** (1 if frames.dtype.kind == "u" else 2)).mean(axis=0)
            found = has_corner_zero(mean)
            state.corner_zero = found if self.zero_frequency == "auto" else self.zero_frequency == "corner"
        if not state.corner_zero:
            frames = np.fft.ifftshift(frames, axes=(-2, -1))
        return oriented(frames, state.way, corner=True)
