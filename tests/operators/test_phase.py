"""Phase retrieval from images of an independent propagator (see `propagation`): errors are relative, over the whole frame."""

import numpy as np
import pytest

import firstlight as fl
from firstlight.connectors.memory.source import MemorySource
from firstlight.connectors.phantom.source import PhantomSource
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import FirstlightError
from firstlight.core.units import Quantity
from firstlight.kernels.phase import wavelength
from firstlight.kernels.ramp import ramp_filter
from firstlight.operators.phase.bronnikov import bronnikov
from firstlight.operators.phase.ctf import ctf
from firstlight.operators.phase.ctf_multidistance import ctf_multidistance
from firstlight.operators.phase.paganin import paganin
from firstlight.operators.phase.paganin_generalised import paganin_generalised
from firstlight.operators.phase.quasi_particle import quasi_particle
from firstlight.operators.phase.tie import tie
from firstlight.operators.reconstruct.backproject_volume import backproject_volume

from .propagation import ENERGY, PIXEL, WAVELENGTH, error, image, pixels, thickness

FINE = thickness()
THICK = pixels(FINE)
DELTA, BETA = 4e-7, 4e-9
MU = 4 * np.pi * BETA / WAVELENGTH  # per um
OPTICS = {"energy": ENERGY, "pixel": PIXEL}


def around(values):
    return values - values.mean()


@pytest.mark.parametrize("step", [paganin, paganin_generalised])
@pytest.mark.parametrize(("distance", "limit"), [(10.0, 0.006), (30.0, 0.005), (100.0, 0.01)])
def test_paganin_recovers_the_attenuation_of_a_homogeneous_sample(step, distance, limit):
    seen = image(FINE, DELTA, BETA, distance)
    assert error(-np.log(seen[0]), MU * THICK) > 0.15  # fringes, without it
    found = step(seen, **OPTICS, distance=distance, delta=DELTA, beta=BETA)[0]
    assert error(found, MU * THICK) < limit
    inside = THICK > 60
    assert abs(found[inside].mean() / (MU * THICK[inside]).mean() - 1) < 2e-3


def test_outputs_are_attenuation_phase_and_thickness_in_their_units():
    seen = image(FINE, DELTA, BETA, 30.0)
    given = {**OPTICS, "distance": 30.0, "delta_beta": 100.0}
    attenuation = paganin(seen, **given)
    np.testing.assert_allclose(paganin(seen, **given, output="phase"), -50.0 * attenuation, rtol=1e-5)
    for material in ({"delta": DELTA}, {"beta": BETA}, {"delta": DELTA, "beta": BETA}):
        thick = paganin(seen, **given, **material, output="thickness")[0]
        assert error(thick, THICK * 1e-4) < 0.006  # cm
    phase = paganin(seen, **given, output="phase")[0]
    assert error(phase, -2 * np.pi / WAVELENGTH * DELTA * THICK) < 0.006
    assert (paganin(**given).unit(None), paganin(**given, output="phase").unit(None)) == (None, "rad")
    assert paganin(**given, beta=BETA, output="thickness").unit(None) == "cm"


def test_generalised_paganin_inverts_the_laplacian_between_pixels_exactly():
    rng = np.random.default_rng(0)
    contact = np.exp(-rng.random((24, 40)) / 10)
    laplacian = sum(np.roll(contact, n, axis) for n in (1, -1) for axis in (0, 1)) - 4 * contact
    strength = 20.0e3 * WAVELENGTH * 30.0 / (4 * np.pi) / PIXEL**2  # z delta / mu, over the pixel's area
    seen = (contact - strength * laplacian)[None]
    found = paganin_generalised(seen, **OPTICS, distance=20.0, delta_beta=30.0, gap=0)[0]
    np.testing.assert_allclose(found, -np.log(contact), atol=2e-5)


def test_paganin_of_a_sample_that_leaves_the_frame():
    """The sample is cut at the left: the padding makes no step, and nothing wraps round to the right."""
    seen, truth = image(FINE, DELTA, BETA, 30.0)[:, :, 60:], MU * THICK[:, 60:]
    found = paganin(seen, **OPTICS, distance=30.0, delta_beta=100.0)[0]
    assert error(found[:, 12:], truth[:, 12:]) < 0.01
    assert np.abs(found[:, -4:]).max() < 0.02 * truth.max()


def test_phase_of_a_transparent_sample():
    seen, truth = image(FINE, 1e-7, 0.0, 50.0), -2 * np.pi / WAVELENGTH * 1e-7 * THICK
    assert truth.min() < -1.4  # not weak
    found = tie(seen, **OPTICS, distance=50.0, delta_beta=1e6)[0]
    assert error(around(found), around(truth)) < 0.02
    projected = tie(seen, **OPTICS, distance=50.0, delta_beta=1e6, output="projected_delta")[0]
    np.testing.assert_allclose(projected, -found * WAVELENGTH / (2 * np.pi) * 1e-4, rtol=1e-5)
    delta = bronnikov(seen, distance=50.0, pixel=PIXEL, alpha=1e-7)[0]
    assert error(around(delta), around(1e-7 * THICK * 1e-4)) < 0.02


def test_bronnikov_with_the_alpha_of_the_sample_corrects_its_absorption():
    seen = image(FINE, 1e-8, 1e-10, 200.0)  # weak absorption, delta / beta = 100
    alpha = 1 / (100.0 * np.pi * WAVELENGTH * 200e3)
    found = bronnikov(seen, distance=200.0, pixel=PIXEL, alpha=alpha)[0]
    assert error(found, 1e-8 * THICK * 1e-4) < 0.02


@pytest.mark.parametrize("distance", [50.0, 800.0, 2000.0])
def test_ctf_near_and_far(distance):
    seen, truth = image(FINE, 1e-8, 1e-10, distance), -2 * np.pi / WAVELENGTH * 1e-8 * THICK
    found = ctf(seen, **OPTICS, distance=distance, delta_beta=100.0)[0]
    assert error(found, truth) < 0.012
    if distance > 1000:  # fringes that Paganin's near-field filter can not undo
        near = paganin(seen, **OPTICS, distance=distance, delta_beta=100.0, output="phase")[0]
        assert error(near, truth) > 2 * error(found, truth)


def test_ctf_of_several_distances():
    distances = (50.0, 200.0, 800.0, 2000.0)
    seen = np.stack([image(FINE, 1e-8, 1e-10, z) for z in distances], axis=1)
    truth = -2 * np.pi / WAVELENGTH * 1e-8 * THICK
    given = {**OPTICS, "distances": distances}
    assert error(ctf_multidistance(seen, **given, delta_beta=100.0)[0], truth) < 0.005
    # absorption unknown at every point: the slowest variations have the same contrast at every distance
    unknown = ctf_multidistance(seen, **given, regularisation=1e-8)[0]
    assert error(around(unknown), around(truth)) < 0.06


def test_noise_near_the_zeros_of_the_contrast_is_held_down_by_several_distances():
    rng = np.random.default_rng(1)
    distances = (200.0, 800.0, 2000.0)
    truth = -2 * np.pi / WAVELENGTH * 1e-8 * THICK
    noisy = [image(FINE, 1e-8, 1e-10, z) + rng.normal(0, 0.002, THICK.shape).astype(np.float32) for z in distances]
    one = ctf(noisy[2], **OPTICS, distance=2000.0, delta_beta=100.0)[0]
    together = ctf_multidistance(np.stack(noisy, 1), **OPTICS, distances=distances, delta_beta=100.0)[0]
    assert error(together, truth) < 0.7 * error(one, truth)


def test_quasi_particle_where_the_phase_is_not_weak():
    seen, truth = image(FINE, 2e-7, 0.0, 2000.0), -2 * np.pi / WAVELENGTH * 2e-7 * THICK
    assert truth.min() < -2.8
    given = {**OPTICS, "distance": 2000.0, "delta_beta": 1e5}
    left_out, filled = (quasi_particle(seen, **given, fill=fill)[0] for fill in (False, True))
    linear = ctf(seen, **given)[0]
    assert error(around(left_out), around(truth)) < min(0.1, error(around(linear), around(truth)))
    assert error(around(filled), around(truth)) < 0.12
    weak = image(FINE, 1e-8, 0.0, 2000.0)
    assert error(around(quasi_particle(weak, **given)[0]), around(truth / 20)) < 0.06


def test_the_wavelength_is_that_of_tables():
    assert wavelength(12.398419843) == pytest.approx(1e-4)  # 12.398 keV is 1 angstrom
    assert wavelength(8.04778) == pytest.approx(1.54059e-4, rel=1e-5)  # Cu K alpha 1


def test_units_of_any_kind_and_calibration_from_the_scan():
    step = fl.step("paganin", energy="25000 eV", distance="3 cm", pixel="1000 nm", delta_beta=100)
    assert (step.energy, step.distance, step.pixel) == pytest.approx((25.0, 30.0, 1.0))
    scan = Scan(
        {MAIN: Stream(("angle", "row", "col"), {"angle": 3, "row": 4, "col": 5}, "float32")},
        calibration={"pixel": Quantity(650, "nm"), "energy": Quantity(20000, "eV")},
    )
    found = paganin(distance=30.0, delta_beta=100.0).calibrated(scan)
    assert (found.energy, found.pixel, found.distance) == pytest.approx((20.0, 0.65, 30.0))
    assert paganin(pixel=2.0, distance=30.0, delta_beta=100.0).calibrated(scan).pixel == 2.0
    assert paganin(pixel=2.0, distance=30.0, delta_beta=100.0).calibration(scan)["pixel"].to("um") == 2.0


def test_pixels_without_a_value_count_as_open_beam():
    seen = image(FINE, DELTA, BETA, 30.0)
    broken = seen.copy()
    broken[0, 5, 5], broken[0, 9, 200] = np.nan, np.inf
    given = {**OPTICS, "distance": 30.0, "delta_beta": 100.0}
    np.testing.assert_allclose(paganin(broken, **given), paganin(seen, **given), atol=0.01)


def test_mistakes_are_named():
    frame = np.ones((1, 8, 8), np.float32)
    with pytest.raises(FirstlightError, match="distance"):
        paganin(frame, **OPTICS, delta_beta=100.0)
    with pytest.raises(FirstlightError, match="delta_beta"):
        paganin(frame, **OPTICS, distance=30.0)
    with pytest.raises(FirstlightError, match="contradict"):
        paganin(frame, **OPTICS, distance=30.0, delta_beta=90.0, delta=1e-7, beta=1e-9)
    with pytest.raises(FirstlightError, match="beta itself"):
        paganin(frame, **OPTICS, distance=30.0, delta_beta=90.0, output="thickness")
    with pytest.raises(FirstlightError, match="distances"):
        ctf_multidistance(frame[None], **OPTICS, distances=(1.0, 2.0))
    bare = Scan({MAIN: Stream(("angle", "row", "col"), {"angle": 3, "row": 4, "col": 5}, "float32")})
    with pytest.raises(FirstlightError, match="energy"):
        paganin(distance=30.0, delta_beta=100.0).calibrated(bare)


def test_slices_after_paganin_are_attenuation_per_centimetre():
    """The whole way: ellipsoid at every angle, propagated, retrieved, reconstructed."""
    angles = np.arange(0, 180, 3.0)
    rows, cols = 8, 96
    frames = []
    for angle in np.deg2rad(angles):
        x = 12 * np.cos(angle)  # a sphere off the axis, so long along rows that it is a cylinder here
        frames.append(image(thickness(rows, cols, [(20, 1e6, 20, x, 0)]), DELTA, BETA, 20.0)[0])
    run = fl.run(
        MemorySource.of(np.array(frames), angles=angles),
        [fl.step("paganin", **OPTICS, distance=20.0, delta_beta=100.0), fl.step("fbp")],
    )
    result = run.finished(timeout=100)["fbp"]
    place = np.arange(cols) - (cols - 1) / 2
    inside = np.hypot(place[None] - 12, place[:, None]) < 15
    assert result.data[4][inside].mean() == pytest.approx(MU * 1e4, rel=0.01)
    assert result.unit == "1/cm"


def test_phase_retrieval_in_front_of_live_slices():
    """Frame by frame, the same step serves slices while projections come in."""
    source = PhantomSource(columns=48, rows=8, angles=60, center=23.5, noise=False)
    steps = [fl.step("flat_field"), fl.step("paganin", energy=25.0, distance=0.01, pixel=1.0, delta_beta=1.0)]
    planes = [*steps, fl.step("live_slices", center=23.5, z=4, filter="hann")]
    live = fl.run(source, planes).finished(timeout=60)["live_slices.xy"].data
    whole = fl.run(source, [*steps, fl.step("fbp", center=23.5, filter="hann")]).finished(timeout=60)["fbp"].data[4]
    inside = np.hypot(*np.meshgrid(np.arange(48) - 23.5, np.arange(48) - 23.5)) < 20
    assert error(live[inside], whole[inside]) < 0.06


def test_the_workspace_is_that_of_padded_frames():
    sizes = {"angle": 3, "row": 1000, "col": 2000}
    scan = Scan({MAIN: Stream(tuple(sizes), sizes, "float32")})
    whole = tie(**OPTICS, distance=30.0).workspace(scan, 1)
    assert 1.0 < whole / (3 * 8 * 3000 * 2000 + 4 * 1000 * 4000) < 1.05
    near = paganin(**OPTICS, distance=30.0, delta_beta=100.0).workspace(scan, 1)  # reaches 56 pixels
    assert 1.0 < near / (3 * 8 * 1056 * 1028 + 4 * 1000 * 2056) < 1.1


@pytest.mark.parametrize("step", [ctf, tie, quasi_particle])
def test_the_ramp_filter_in_the_same_transform(step):
    """As phase retrieval and then the ramp filter, but at the rim, where one cuts off what the other goes on with."""
    seen = image(FINE, 1e-7, 1e-10, 50.0)
    given = {**OPTICS, "distance": 50.0, "delta_beta": 1e3}
    apart = ramp_filter(step(seen, **given), "hann")
    fused = step(seen, **given, ramp="hann")
    assert error(fused[..., 30:-30], apart[..., 30:-30]) < 1e-5
    assert np.abs(fused - apart).max() < 5e-3 * np.abs(apart).max()
    assert step(**given, ramp="hann").unit(None) == "rad/px"
    with pytest.raises(FirstlightError, match="would wrap"):
        step(seen, **given, ramp="hann", gap=10)


def test_fused_filters_in_front_of_a_laminography():
    seen = image(FINE, 1e-7, 1e-10, 50.0).repeat(6, 0)
    given = {**OPTICS, "distance": 50.0, "delta_beta": 1e3}
    place = {"angle": np.arange(6) * 60.0, "tilt": 30.0, "region_z": (90, 98, 4)}
    apart = backproject_volume(ctf(seen, **given)[None], **place, filter="hann")
    fused = backproject_volume(ctf(seen, **given, ramp="hann")[None], **place, filter="applied")
    assert error(fused[..., 60:-60, 60:-60], apart[..., 60:-60, 60:-60]) < 1e-3
    with pytest.raises(FirstlightError, match="weighted before"):
        backproject_volume(seen[None], **place, filter="applied", source_distance=10.0, pixel=1.0)
