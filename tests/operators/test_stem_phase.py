"""Phase, field and rotation that `dpc` and `ssb` find, against the truth of a simulated scan (exact diffraction)."""

import numpy as np
import pytest

from firstlight.connectors.phantom.source_stem import PhantomStemSource
from firstlight.core.chunk import Chunk
from firstlight.core.errors import ChangeRefused, FirstlightError
from firstlight.kernels.fields import curl, divergence, find_rotation, in_scan, integrated
from firstlight.operators.stem.center_of_mass import center_of_mass
from firstlight.operators.stem.dpc import Dpc
from firstlight.operators.stem.ssb import Ssb

from .scenes import relative_rms

EXACT = {"noise": False, "dose": 1e6}


def folded(fold, source):
    scan = source.open()
    fold = fold.calibrated(scan)
    state = fold.empty(scan)
    for item in source.items():
        if isinstance(item, Chunk):
            fold.add(state, fold.digest(item))
    return fold, state


def about_zero(values):
    return values - values.mean()


@pytest.mark.parametrize("given", [{}, {"rotation": 30.0, "flip": True}, {"defocus": 20.0}])
def test_the_centre_of_mass_is_the_gradient_under_the_probe(given):
    source = PhantomStemSource(**EXACT, **given)
    truth = source.truth()
    frames = source.read({})
    row, col = center_of_mass(frames.reshape(-1, *frames.shape[2:]))
    assert relative_rms(row.reshape(32, 32), truth.shift_row) < 0.004
    assert relative_rms(col.reshape(32, 32), truth.shift_col) < 0.004


def test_integrated_centre_of_mass_is_the_blurred_phase():
    source = PhantomStemSource(**EXACT)
    truth = source.truth()
    fold, state = folded(Dpc(periodic=True, rotation=0.0), source)
    outputs = fold.result(state)
    assert relative_rms(outputs["phase"], about_zero(truth.seen)) < 0.001
    # the probe blurs: the phase itself is further away
    assert 0.05 < relative_rms(outputs["phase"], about_zero(truth.phase)) < 0.2
    assert fold.after(source.scan())["phase"].unit == "rad"
    free = fold.model_copy(update={"periodic": False})
    assert relative_rms(free.result(state)["phase"], about_zero(truth.seen)) < 0.1


def test_electrons_are_counted_and_the_error_is_that_of_the_dose():
    source = PhantomStemSource(strength=0.3, dose=2e5)
    truth = source.truth()
    phase = folded(Dpc(periodic=True, rotation=0.0), source)
    assert relative_rms(phase[0].result(phase[1])["phase"], about_zero(truth.seen)) < 0.06
    bands = folded(Ssb(), source)
    assert relative_rms(bands[0].result(bands[1])["phase"], about_zero(truth.phase)) < 0.12


@pytest.mark.parametrize(("rotation", "flip"), [(0.0, False), (25.0, False), (-70.0, True)])
def test_rotation_and_flip_are_found_by_least_curl(rotation, flip):
    source = PhantomStemSource(strength=0.4, rotation=rotation, flip=flip, **EXACT)
    fold, state = folded(Dpc(), source)
    found = fold.findings(state)
    assert found["dpc.flip"] is flip
    assert found["dpc.rotation"] == pytest.approx(rotation, abs=0.5)
    outputs = fold.result(state)
    inner = (slice(2, -2), slice(2, -2))
    assert outputs["curl"][inner].std() < 0.02 * outputs["divergence"][inner].std()


@pytest.mark.parametrize("given", [{}, {"defocus": 20.0}, {"defocus": -12.0, "spherical": 1.0}])
def test_side_bands_recover_the_phase(given):
    source = PhantomStemSource(**EXACT, **given)
    truth = about_zero(source.truth().phase)
    fold, state = folded(Ssb(**given), source)
    assert relative_rms(fold.result(state)["phase"], truth) < 0.01
    assert fold.coverage(state) == 1.0


def test_aberrations_are_corrected_while_it_runs():
    source = PhantomStemSource(defocus=20.0, **EXACT)
    truth = about_zero(source.truth().phase)
    fold, state = folded(Ssb(), source)
    assert relative_rms(fold.result(state)["phase"], truth) > 0.2
    better = fold.model_copy(update={"defocus": 20.0})
    assert relative_rms(better.result(better.adapt(state, fold))["phase"], truth) < 0.01
    with pytest.raises(ChangeRefused):
        fold.model_copy(update={"aperture": 5.0}).adapt(state, fold)


def test_side_bands_with_a_turned_and_flipped_detector():
    # turned by a right angle the scan still covers one period of the object, so nothing wraps wrongly
    source = PhantomStemSource(rotation=90.0, flip=True, **EXACT)
    fold, state = folded(Ssb(rotation=90.0, flip=True), source)
    assert relative_rms(fold.result(state)["phase"], about_zero(source.truth().phase)) < 0.01


def test_part_of_a_scan_shows_what_has_come():
    source = PhantomStemSource(**EXACT)
    scan = source.open()
    fold = Dpc(rotation=0.0)
    state = fold.empty(scan)
    frames = source.read({"scan_y": slice(0, 8)}).reshape(-1, 48, 48)
    fold.add(state, fold.digest(Chunk(frames, ("row", "col"), np.arange(256))))
    field = fold.result(state)["field_x"]
    assert np.isfinite(field[:8]).all()
    assert np.isnan(field[8:]).all()
    assert fold.coverage(state) == 0.25


def test_a_side_band_step_without_calibration_says_what_is_missing():
    source = PhantomStemSource()
    scan = source.open()
    bare = type(scan)(scan.streams)
    with pytest.raises(FirstlightError, match="needs energy"):
        Ssb().empty(bare)


def test_fields_of_known_potentials():
    y, x = np.mgrid[0:40, 0:50] / 1.0
    potential = np.cos(2 * np.pi * y / 40) * np.sin(2 * np.pi * 2 * x / 50)
    down = -2 * np.pi / 40 * np.sin(2 * np.pi * y / 40) * np.sin(2 * np.pi * 2 * x / 50)
    right = 4 * np.pi / 50 * np.cos(2 * np.pi * y / 40) * np.cos(2 * np.pi * 2 * x / 50)
    np.testing.assert_allclose(integrated(down, right, periodic=True), potential, atol=1e-12)
    assert np.abs(curl(down, right)[1:-1, 1:-1]).max() < 0.02 * np.abs(divergence(down, right)).max()
    laplace = -((2 * np.pi / 40) ** 2 + (4 * np.pi / 50) ** 2) * potential
    np.testing.assert_allclose(divergence(down, right)[2:-2, 2:-2], laplace[2:-2, 2:-2], atol=1e-3)
    # shifts that a detector turned by 40 degree, with rows that run backwards, would show
    turn = np.deg2rad(40.0)
    row, col = -(np.cos(turn) * down + np.sin(turn) * right), -np.sin(turn) * down + np.cos(turn) * right
    assert find_rotation(row, col) == (pytest.approx(40.0, abs=0.1), True)
    back = in_scan(row, col, 40.0, flip=True)
    np.testing.assert_allclose(back, (down, right), atol=1e-12)
