"""How the detector is mounted, found from the data: phantoms that are turned and mirrored, and real near-field data."""

import h5py
import numpy as np
import pytest

from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.core.errors import ChangeRefused, StepFailed
from firstlight.core.units import Quantity
from firstlight.kernels.ptycho.phantom import simulate
from firstlight.kernels.ptycho.propagate import NearField, fresnel_transfer
from firstlight.operators.correct.orient import ORIENTATIONS
from firstlight.operators.ptychography.orientation import NAMES, oriented
from firstlight.operators.ptychography.ptychography import Ptychography

BACK = {"rot90_cw": "rot90_ccw", "rot90_ccw": "rot90_cw"}
"""What undoes an orientation, where it is not itself."""
NEAR = {"wavelength": 1e-10, "distance": 4e-3, "pixel": (1e-7, 1e-7)}


def solved(step, frames, places, calibration=None, order=None):
    sizes = {"position": len(frames), "row": frames.shape[1], "col": frames.shape[2]}
    positions = Stream(("position", "yx"), {"position": len(frames), "yx": 2}, "float64", unit="px")
    scan = Scan(
        {MAIN: Stream(tuple(sizes), sizes, str(frames.dtype)), "positions": positions}, calibration=calibration or {}
    )
    state = step.empty(scan)
    ids = np.arange(len(frames)) if order is None else order
    for some in np.array_split(ids, 5):
        step.add(state, step.digest(Chunk(frames[some], ("row", "col"), some, coords={"positions": places[some]})))
    step.complete(state)
    step.advance(state, step.rounds)
    return step.result(state), state


def test_names_mean_what_the_step_orient_means():
    frames = np.arange(24.0).reshape(2, 3, 4)
    for name in NAMES:
        np.testing.assert_array_equal(oriented(frames, name, corner=False), ORIENTATIONS[name](frames))


@pytest.mark.parametrize("size", [6, 7])
@pytest.mark.parametrize("name", NAMES)
def test_turning_keeps_the_zero_frequency(name, size):
    """A pattern that is turned is the transform of the wave that is turned about the same pixel."""
    rng = np.random.default_rng(0)
    wave = rng.standard_normal((size, size)) + 1j * rng.standard_normal((size, size))
    turned = oriented(wave, name, corner=True)
    np.testing.assert_allclose(oriented(np.fft.fft2(wave), name, corner=True), np.fft.fft2(turned), atol=1e-9)
    np.testing.assert_array_equal(oriented(turned, BACK.get(name, name), corner=True), wave)


@pytest.mark.parametrize("mounted", ["identity", "flipud", "rot90_cw"])
def test_the_near_field_tells_all_eight_apart(mounted, tmp_path):
    """Through a probe that is known."""
    transfer = fresnel_transfer((32, 32), **NEAR, dtype="complex128")
    truth = simulate(propagator=NearField(transfer), window=32, step=4, scan=(7, 7))
    frames = ORIENTATIONS[mounted](truth.counts)
    np.save(tmp_path / "probe.npy", truth.probe)
    step = Ptychography(
        regime="near",
        orientation="auto",
        iterations=1,
        energy=12.39841984,
        distance=4e-3,
        pixel=100.0,
        probe=tmp_path / "probe.npy",
    )
    found, _ = solved(step, frames, truth.corners.astype(float))
    assert NAMES[int(found["orientation"])] == BACK.get(mounted, mounted)


def test_the_far_field_tells_four_apart_whatever_the_order_of_arrival():
    truth = simulate(window=32, step=4, scan=(7, 7))
    frames = ORIENTATIONS["transpose"](truth.counts)
    step = Ptychography(orientation="auto", iterations=20)
    found, _ = solved(step, frames, truth.corners.astype(float))
    assert NAMES[int(found["orientation"])] == "transpose"
    straight, _ = solved(step.model_copy(update={"orientation": "identity"}), frames, truth.corners.astype(float))
    locked, _ = solved(step.model_copy(update={"orientation": "transpose"}), frames, truth.corners.astype(float))
    assert found["error"][-1] < 0.5 * straight["error"][-1]
    np.testing.assert_allclose(found["error"], locked["error"], rtol=1e-3)
    demand_lockable(step, again_from(step, frames, truth.corners.astype(float)))
    shuffled = np.random.default_rng(0).permutation(len(frames))
    again, _ = solved(step, frames, truth.corners.astype(float), order=shuffled)
    np.testing.assert_allclose(again["object"], found["object"], rtol=1e-4, atol=1e-5)


def again_from(step, frames, places):
    return solved(step.model_copy(update={"iterations": 1}), frames, places)[1]


def demand_lockable(step, state):
    """While frames are in hand only what was found can be set: it is kept, and not looked for again."""
    locked = step.model_copy(update={"orientation": "transpose"})
    rounds = len(state.errors)
    assert locked.adapt(state, step) is state
    locked.advance(state, 2)
    assert len(state.errors) == rounds + 2, "it goes on where it was"
    for wrong, before in (("fliplr", step), ("auto", locked)):
        with pytest.raises(ChangeRefused, match="orientation"):
            step.model_copy(update={"orientation": wrong}).adapt(state, before)


def test_frames_that_are_not_square_are_not_turned():
    frames, places = np.ones((4, 8, 10)), np.zeros((4, 2))
    with pytest.raises(StepFailed, match="square"):
        solved(Ptychography(orientation="transpose"), frames, places)


@pytest.mark.slow
def test_near_field_data_of_petra_iii_fit_in_one_way_only(data_folder):
    """P25: the seven other ways stay at 0.0225 (an independent ePIE in numpy says so)."""
    path = data_folder / "ptychography" / "PETRAIII_P25_Near_Field_Ptycho.cxi"
    if not path.is_file():
        pytest.skip(f"no real data: {path.name} is not in {path.parent}")
    with h5py.File(path) as file:
        frames = file["entry_1/instrument_1/detector_1/data"][()]
        metres = file["entry_1/sample_1/geometry_1/translation"][()]
    pixel = 55e-6 * 3.65e-3 / (3.65e-3 + 1.12)
    places = metres[:, [1, 0]] / pixel
    known = {"energy": Quantity(12.658, "keV"), "distance": Quantity(1.12, "m"), "pixel": Quantity(55.0, "um")}
    step = Ptychography(regime="near", orientation="auto", iterations=25, source_distance=3.65e-3)
    found, _ = solved(step, ORIENTATIONS["rot90_cw"](frames), places, known)
    assert NAMES[int(found["orientation"])] == "rot90_ccw"
    assert found["error"][-1] < 0.01
