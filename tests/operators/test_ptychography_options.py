"""Options of the ptychographic solver: positions that are refined, a second algorithm, constraints, what is new first."""

import numpy as np
import pytest

from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.core.errors import StepFailed
from firstlight.kernels.ptycho.constraints import (
    clamp_magnitude,
    off_center,
    smooth_variation,
    soften,
    support,
    variation,
)
from firstlight.kernels.ptycho.phantom import simulate
from firstlight.operators.ptychography.canvas import Canvas
from firstlight.operators.ptychography.engines import Batched, Descending
from firstlight.operators.ptychography.known import Known
from firstlight.operators.ptychography.ptychography import Ptychography

TRUTH = simulate(window=32, scan=(9, 9), step=4, photons=1e6)
FRAMES = np.fft.fftshift(TRUTH.counts, axes=(1, 2))
PLACES = TRUTH.corners.astype(np.float64)
FOCUS = {"probe_defocus": 0.0}


def solved(step, frames=FRAMES, places=PLACES, order=None):
    """The result of a step over frames that come in an order, and its state."""
    sizes = {"position": len(frames), "row": frames.shape[1], "col": frames.shape[2]}
    positions = Stream(("position", "yx"), {"position": len(frames), "yx": 2}, "float64", unit="px")
    state = step.empty(Scan({MAIN: Stream(tuple(sizes), sizes, str(frames.dtype)), "positions": positions}))
    ids = np.arange(len(frames)) if order is None else order
    for start in range(0, len(ids), 20):
        some = ids[start : start + 20]
        chunk = Chunk(frames[some], ("row", "col"), some, coords={"positions": places[some]})
        step.add(state, step.digest(chunk))
    step.advance(state, step.rounds)
    return (step.result(state) if state.errors else {}), state


def test_positions_are_refined_and_given_out():
    off = np.random.default_rng(2).uniform(-1.5, 1.5, PLACES.shape)
    off -= off.mean(axis=0)
    plain, _ = solved(Ptychography(algorithm="rpie", iterations=60), places=PLACES + off)
    step = Ptychography(algorithm="rpie", iterations=60, refine_positions="gradient")
    found, _ = solved(step, places=PLACES + off)

    def apart(places):
        left = places - PLACES
        return np.sqrt(((left - left.mean(axis=0)) ** 2).sum(axis=1).mean())

    np.testing.assert_allclose(plain["positions"], PLACES + off)
    assert apart(plain["positions"]) > 1
    assert apart(found["positions"]) < 0.15
    assert found["error"][-1] < 0.3 * plain["error"][-1]


def test_positions_are_refined_while_frames_arrive():
    off = np.random.default_rng(2).uniform(-1, 1, PLACES.shape)
    off -= off.mean(axis=0)
    step = Ptychography(algorithm="rpie", iterations=0, refine_positions="gradient")
    _, state = solved(step, frames=FRAMES[:27], places=(PLACES + off)[:27])
    for start in range(27, 81, 9):
        some = np.arange(start, start + 9)
        chunk = Chunk(FRAMES[some], ("row", "col"), some, coords={"positions": (PLACES + off)[some]})
        step.add(state, step.digest(chunk))
        step.advance(state, 10)
    step.advance(state, 30)
    left = step.result(state)["positions"] - PLACES
    assert np.sqrt(((left - left.mean(axis=0)) ** 2).sum(axis=1).mean()) < 0.15


def test_annealing_depends_on_the_seed_alone():
    step = Ptychography(iterations=8, refine_positions="annealing", refine_after=2, **FOCUS)
    one, _ = solved(step)
    other, _ = solved(step, order=np.random.default_rng(1).permutation(len(FRAMES)))
    # the canvas grew otherwise, and so did the rounding of places on it
    np.testing.assert_allclose(one["positions"], other["positions"], atol=1e-9)
    assert np.abs(one["positions"] - PLACES).max() > 0


def test_between_pixels_is_refused_in_the_near_field():
    with pytest.raises(StepFailed, match="far field only"):
        solved(Ptychography(regime="near", subpixel=True, energy=9.0, distance=1.0, pixel=100.0))


def test_a_second_algorithm_takes_over():
    step = Ptychography(algorithm="epie", algorithm2="ml", switch_after=0.5, iterations=20, **FOCUS)
    found, state = solved(step)
    assert isinstance(state.engine, Descending)
    alone, other = solved(step.model_copy(update={"algorithm2": None}))
    assert isinstance(other.engine, Batched)
    np.testing.assert_array_equal(found["error"][:10], alone["error"][:10])
    assert found["error"][-1] < found["error"][10]


def test_the_shares_of_the_modes_are_given_out():
    found, _ = solved(Ptychography(modes=3, iterations=10, **FOCUS))
    assert found["shares"].shape == (3,)
    assert found["shares"].sum() == pytest.approx(1)
    assert (np.diff(found["shares"]) <= 0).all()


def test_a_clamped_object_keeps_to_its_limits():
    step = Ptychography(iterations=10, least_magnitude=0.85, largest_magnitude=1.05, **FOCUS)
    _, state = solved(step)
    seen = np.abs(state.canvas.image[state.canvas.covered(state.patterns.corners)])
    assert seen.min() > 0.8499
    assert seen.max() < 1.0501


def test_frames_that_have_just_come_are_visited_first():
    step = Ptychography(iterations=30, new_first=3)
    _, state = solved(step, frames=FRAMES[:60], places=PLACES[:60])
    before, probe = state.canvas.image.copy(), state.probe.copy()
    chunk = Chunk(FRAMES[60:], ("row", "col"), np.arange(60, 81), coords={"positions": PLACES[60:]})
    step.add(state, step.digest(chunk))
    plain = step.model_copy(update={"new_first": 0})
    rounds = len(state.errors)
    step.advance(state, 1)
    with_new = state.errors[-1]
    # the same state again, without
    _, other = solved(plain, frames=FRAMES[:60], places=PLACES[:60])
    np.testing.assert_array_equal(other.canvas.image, before)
    np.testing.assert_array_equal(other.probe, probe)
    plain.add(other, plain.digest(chunk))
    plain.advance(other, 1)
    assert len(state.errors) == len(other.errors) == rounds + 1
    assert with_new < 0.8 * other.errors[-1]


# ---- constraints -----------------------------------------------------------------------------------------------------


def test_clamping_leaves_the_phase():
    image = np.array([[0.5j, 2.0, 1 - 1j]])
    clamp_magnitude(image, 1.0, 1.2)
    np.testing.assert_allclose(np.abs(image), [[1.0, 1.2, 1.2]])
    np.testing.assert_allclose(np.angle(image), [[np.pi / 2, 0, -np.pi / 4]])


def test_softening_is_the_proximal_step_of_the_sum_of_magnitudes():
    image = np.array([[1.0 + 0.3j, 1.0 - 0.3j, 1.01, 0.99]])
    soften(image, 0.1)
    np.testing.assert_allclose(image, [[1.0 + 0.2j, 1.0 - 0.2j, 1.0, 1.0]], atol=1e-12)


def test_smoothing_is_the_proximal_step_of_the_total_variation():
    """No image nearby has a lower ``½ Σ|O' − O|² + w Σ|∇O'|``; a step of height h and width n shrinks by 2 w / n."""
    rng = np.random.default_rng(0)
    given = (rng.standard_normal((12, 12)) + 1j * rng.standard_normal((12, 12))).astype(np.complex128)
    found, weight = given.copy(), 0.3
    smooth_variation(found, weight, 400)

    def objective(image):
        return 0.5 * (np.abs(image - given) ** 2).sum() + weight * variation(image)

    least = objective(found)
    assert least < 0.8 * objective(given)
    for length in (1e-1, 1e-2):
        for _ in range(20):
            other = rng.standard_normal((12, 12)) + 1j * rng.standard_normal((12, 12))
            assert objective(found + length * other) > least
    step = np.zeros((6, 20), np.complex128)
    step[:, 10:] = 1
    smooth_variation(step, 0.5, 400)
    np.testing.assert_allclose(step[:, :10], 0.05, atol=2e-3)
    np.testing.assert_allclose(step[:, 10:], 0.95, atol=2e-3)


def test_the_support_is_a_disk_and_the_middle_is_found():
    probe = np.ones((1, 16, 16), np.complex64)
    support(probe, 0.5)
    assert np.count_nonzero(probe) == pytest.approx(np.pi * 4**2, rel=0.1)
    y, x = np.mgrid[:16, :16] - 8
    beam = np.exp(-(y**2 + x**2) / 8.0)[None].astype(np.complex64)
    assert off_center(beam) == (0, 0)
    assert off_center(np.roll(beam, (5, -3), axis=(1, 2))) == (5, -3)


def test_a_probe_is_moved_to_the_middle_and_its_windows_with_it():
    """Patterns stay as they are."""
    y, x = np.mgrid[:16, :16] - 8
    probe = np.roll(np.exp(-(y**2 + x**2) / 4.0), (3, -2), axis=(0, 1))[None].astype(np.complex64)
    canvas, places = Canvas((16, 16)), np.array([[0, 0], [4, 7]])
    canvas.reach(places)
    rng = np.random.default_rng(0)
    canvas.image[...] = np.exp(1j * rng.random(canvas.image.shape))

    def patterns(probe):
        windows = [canvas.image[r : r + 16, c : c + 16] for r, c in canvas.corners(places)]
        return np.abs(np.fft.fft2(np.stack(windows) * probe))

    before = patterns(probe)
    moved = Known(0.0, 0.0, None, None, True).apply(canvas, canvas.covered(places), probe)
    assert off_center(moved) == (0, 0)
    # what is wrapped around the edge is faint, not dark
    np.testing.assert_allclose(patterns(moved), before, atol=1e-3 * before.max())


def test_a_scan_with_a_centred_probe_goes_on():
    truth = simulate(window=48, scan=(7, 7), step=5)
    frames, places = np.fft.fftshift(truth.counts, axes=(1, 2)), truth.corners.astype(np.float64)
    step = Ptychography(iterations=15, center_probe=True, probe_defocus="auto")
    found, state = solved(step, frames, places)
    plain, _ = solved(step.model_copy(update={"center_probe": False}), frames, places)
    assert max(np.abs(off_center(state.probe))) <= 1
    assert found["error"][-1] < 1.5 * plain["error"][-1]
