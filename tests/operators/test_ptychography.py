"""The solver: positions of any unit, frames in any order, while they arrive and afterwards; phantom and real star."""

import bz2
import io

import numpy as np
import pytest

import firstlight as fl
from firstlight.connectors.memory.source import MemorySource
from firstlight.core.chunk import MAIN, Chunk, End, Scan, Stream
from firstlight.core.errors import ChangeRefused, StepFailed
from firstlight.core.units import Quantity
from firstlight.kernels.ptycho.phantom import simulate
from firstlight.operators.ptychography.canvas import Canvas
from firstlight.operators.ptychography.ptychography import Ptychography

TRUTH = simulate(window=32, scan=(9, 9), step=4, photons=1e6)
FRAMES = np.fft.fftshift(TRUTH.counts, axes=(1, 2))
PLACES = TRUTH.corners.astype(np.float64)
FOCUS = {"probe_defocus": 0.0}


def source(frames=FRAMES, places=PLACES, unit="px", calibration=None, **given):
    made = MemorySource.of(
        frames,
        "position row col",
        arrival=1,
        streams={"positions": (places, "position yx")},
        calibration=calibration,
        **given,
    )
    made._scan.streams["positions"] = Stream(
        ("position", "yx"), {"position": len(places), "yx": 2}, "float64", unit=unit
    )
    return made


def results(given, *steps, runner="local"):
    run = fl.run(given, list(steps), runner=runner)
    return run.finished()


def solved(step, frames=FRAMES, places=PLACES, unit="px", order=None, calibration=None):
    sizes = {"position": len(frames), "row": frames.shape[1], "col": frames.shape[2]}
    positions = Stream(("position", "yx"), {"position": len(frames), "yx": 2}, "float64", unit=unit)
    scan = Scan(
        {MAIN: Stream(tuple(sizes), sizes, str(frames.dtype)), "positions": positions}, calibration=calibration or {}
    )
    state = step.empty(scan)
    ids = np.arange(len(frames)) if order is None else order
    for start in range(0, len(ids), 10):
        some = ids[start : start + 10]
        chunk = Chunk(frames[some], ("row", "col"), some, coords={"positions": places[some]})
        step.add(state, step.digest(chunk))
    step.complete(state)
    step.advance(state, step.rounds)
    return step.result(state), state


@pytest.mark.parametrize("algorithm", ["epie", "rpie", "dm", "raar", "lsq", "ml"])
def test_every_algorithm_comes_down_to_the_noise(algorithm):
    noise = ((np.sqrt(TRUTH.expected) - np.sqrt(TRUTH.counts)) ** 2).sum() / TRUTH.counts.sum()
    found, _ = solved(Ptychography(algorithm=algorithm, iterations=60))
    assert found["error"][-1] < 3 * noise
    assert found["error"][0] > 10 * noise


def test_the_local_runner_gives_what_the_naive_one_gives():
    step = Ptychography(iterations=5, **FOCUS)
    naive, local = (results(source(), step, runner=name) for name in ("naive", "local"))
    np.testing.assert_array_equal(naive["ptychography.object"].data, local["ptychography.object"].data)
    assert len(local["ptychography.error"].data) == 5


def test_positions_in_metre_are_positions_in_pixels():
    """Far field: a pixel of the object is λ z / (N p)."""
    known = {"energy": Quantity(9.0, "keV"), "distance": Quantity(2.0, "m"), "pixel": Quantity(75.0, "um")}
    pixel = 1.239841984e-9 / 9.0 * 2.0 / (32 * 75e-6)
    step = Ptychography(iterations=3, **FOCUS)
    pixels, _ = solved(step)
    metres, state = solved(step, places=PLACES * pixel, unit="m", calibration=known)
    assert state.optics.pixel == pytest.approx((pixel, pixel))
    np.testing.assert_array_equal(pixels["object"], metres["object"])


def test_positions_that_lie_within_a_pixel_are_refused():
    """Metres taken for micrometres."""
    with pytest.raises(StepFailed, match=r"All 81 positions lie within one pixel.*unit"):
        solved(Ptychography(iterations=1, **FOCUS), places=PLACES * 1e-6)
    few, _ = solved(Ptychography(iterations=1, **FOCUS), frames=FRAMES[:9], places=PLACES[:9] * 1e-6)
    assert np.isfinite(few["error"]).all()


def test_lengths_without_a_pixel_are_refused_before_the_first_frame():
    with pytest.raises(StepFailed, match="pixel"):
        solved(Ptychography(), unit="um")


def test_the_zero_frequency_is_found_in_the_middle_and_at_the_corner():
    step = Ptychography(iterations=3, **FOCUS)
    middle, _ = solved(step)
    corner, _ = solved(step, frames=TRUTH.counts)
    np.testing.assert_array_equal(middle["object"], corner["object"])


def test_masked_pixels_do_not_count():
    """Detectors set them to the largest integer."""
    frames = FRAMES.astype(np.uint16)
    frames[:, 10, 12] = 65535
    found, state = solved(Ptychography(iterations=40, **FOCUS), frames=frames)
    clean, _ = solved(Ptychography(iterations=40, **FOCUS))
    assert not state.patterns.valid.all()
    assert found["error"][-1] < 1.2 * clean["error"][-1]


def test_an_image_grows_and_keeps_what_it_has():
    canvas = Canvas((4, 4))
    canvas.reach(np.array([[0, 0]]))
    first = canvas.corners(np.array([[0, 0]]))[0]
    canvas.image[first[0], first[1]] = 5
    canvas.reach(np.array([[-300, 200]]))
    first, far = canvas.corners(np.array([[0, 0], [-300, 200]]))
    assert canvas.image[tuple(first)] == 5
    assert (far >= 0).all()
    assert (far + 4 <= canvas.image.shape).all()


def test_a_second_scan_starts_anew_through_the_same_probe():
    step = Ptychography(iterations=2, **FOCUS)
    _, state = solved(step)
    probe = state.probe.copy()
    chunk = Chunk(FRAMES[:20], ("row", "col"), np.arange(20), epoch=1, coords={"positions": PLACES[:20] + 500})
    step.add(state, step.digest(chunk))
    assert len(state.patterns) == 20
    assert not state.errors
    np.testing.assert_array_equal(state.probe, probe)
    step.advance(state, 1)
    assert np.isfinite(state.errors[0])


def test_another_algorithm_goes_on_from_what_there_is():
    step = Ptychography(iterations=10, **FOCUS)
    _, state = solved(step)
    before = state.errors[-1]
    other = step.model_copy(update={"algorithm": "ml", "iterations": 5})
    state = other.adapt(state, step)
    other.advance(state, 5)
    assert state.errors[-1] < before
    with pytest.raises(ChangeRefused, match="modes"):
        step.model_copy(update={"modes": 2}).adapt(state, step)


def test_a_run_that_streams_ends_as_good_as_one_afterwards():
    """A detector that can not be paused: rounds are done in the time that it leaves."""
    scan = source().open()
    chunks = [Chunk(FRAMES[s : s + 9], ("row", "col"), np.arange(s, s + 9), coords={}) for s in range(0, 81, 9)]
    places = [Chunk(PLACES[s : s + 9], ("yx",), np.arange(s, s + 9), stream="positions") for s in range(0, 81, 9)]
    items = [item for pair in zip(chunks, places, strict=True) for item in pair]
    live = MemorySource.playing(scan, [*items, End()], pausable=False)
    step = Ptychography(iterations=30, **FOCUS)
    streamed = results(live, step)["ptychography.error"].data
    alone, _ = solved(step)
    assert streamed[-1] < 1.1 * alone["error"][-1]


@pytest.mark.parametrize("ends", [33, 169])
def test_tens_of_frames_show_an_image_where_nobody_knows_the_probe_nor_how_many_will_come(ends):
    """A row of 13 after the other: after two and a half the object is seen, and the focus that was guessed is the right one."""
    truth, step = simulate(window=48, scan=(13, 13), step=5, seed=4), Ptychography(iterations=10)
    sizes = {"position": None, "row": 48, "col": 48}
    places = Stream(("position", "yx"), {"position": None, "yx": 2}, "float64", unit="px")
    state = step.empty(Scan({MAIN: Stream(tuple(sizes), sizes, "float32"), "positions": places}))

    def come(first, last):
        some = np.arange(first, last)
        given = {"positions": truth.corners[some].astype(np.float64)}
        step.add(state, step.digest(Chunk(truth.counts[some], ("row", "col"), some, coords=given)))
        step.advance(state, 2)

    come(0, 20)
    assert not step.ready(state), "too few to find the focus"
    come(20, 33)
    phase, seen = step.result(state)["phase"], state.canvas.covered(state.patterns.corners)
    off = state.canvas.corners(truth.corners[:1])[0] - truth.corners[0]
    true = np.angle(truth.image)[tuple(slice(s.start - o, s.stop - o) for s, o in zip(seen, off, strict=True))]
    lit = np.isfinite(phase)
    assert np.corrcoef(phase[lit], true[lit])[0, 1] > 0.5
    assert not state.focused
    assert 80 < state.guessed[0].curvature < 160, "12 rad at the edge of an aperture of 0.35"
    for first in range(33, ends, 17):
        come(first, first + 17)
    step.complete(state)
    step.advance(state, 10)
    noise = ((np.sqrt(truth.expected) - np.sqrt(truth.counts))[:ends] ** 2).sum() / truth.counts[:ends].sum()
    assert state.focused
    assert state.errors[-1] < (2 if ends == 169 else 12) * noise


@pytest.mark.slow
def test_a_siemens_star_of_aps_from_nothing_but_frames_and_positions(data_folder):
    """Velociprobe data (tike), no probe given: its defocus is found, and ePIE comes below 0.019 within 20 passes."""
    path = data_folder / "ptychography" / "siemens-star-small.npz.bz2"
    if not path.is_file():
        pytest.skip(f"no real data: {path.name} is not in {path.parent}")
    with bz2.open(path) as file:
        found = np.load(io.BytesIO(file.read()), allow_pickle=False)
    frames, places = found["data"][0], found["scan"][0].astype(np.float64)
    star, state = solved(Ptychography(iterations=20), frames=frames, places=places)
    assert star["error"][-1] < 0.019
    assert state.corner_zero
