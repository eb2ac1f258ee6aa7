"""What the solver can recover beside one object and one probe, from frames and positions alone, against known truth."""

import h5py
import numpy as np
import pytest

from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.core.errors import StepFailed
from firstlight.kernels.correlation import shell_correlation
from firstlight.kernels.ptycho.phantom import siemens_star, simulate, texture
from firstlight.kernels.ptycho.propagate import FarField, NearField, fresnel_transfer
from firstlight.kernels.ptycho.samples import Slices, States
from firstlight.kernels.ptycho.subpixel import shifted
from firstlight.kernels.ptycho.upsampled import binned
from firstlight.kernels.ptycho.waves import exit_waves
from firstlight.operators.ptychography.ptychography import Ptychography

FAR = FarField()
WAVES = {"energy": 12.39841984, "pixel": 10.0}
"""1 Å; 10 nm: with lengths of 1e-16 m² in a pixel's square, 30 of them are 30 um."""


def solved(step, counts, places):
    """The results, of frames with the zero frequency at the corner, and the state."""
    sizes = {"position": len(counts), "row": counts.shape[1], "col": counts.shape[2]}
    positions = Stream(("position", "yx"), {"position": len(counts), "yx": 2}, "float64", unit="px")
    state = step.empty(Scan({MAIN: Stream(tuple(sizes), sizes, str(counts.dtype)), "positions": positions}))
    ids = np.arange(len(counts))
    chunk = Chunk(counts, ("row", "col"), ids, coords={"positions": np.asarray(places, np.float64)})
    step.add(state, step.digest(chunk))
    step.complete(state)
    step.advance(state, step.rounds)
    step.conclude(state)
    return step.result(state), state


def measured(expected, seed=3):
    """Photons, and the error that the truth has with them."""
    counts = np.random.default_rng(seed).poisson(expected)
    return counts.astype(np.uint16), ((np.sqrt(expected) - np.sqrt(counts)) ** 2).sum() / counts.sum()


@pytest.mark.slow
def test_two_slices_are_recovered():
    base, rng = simulate(window=48, scan=(10, 10), step=3, seed=1), np.random.default_rng(2)
    size = base.image.shape[0]
    gap = NearField(fresnel_transfer((48, 48), wavelength=1.0, distance=30.0, pixel=(1.0, 1.0), dtype="complex128"))
    blots = np.exp(0.8j * (texture(size, 6, rng) > 0.5))
    image = np.stack([np.exp(0.8j * siemens_star(size, spokes=12)), blots])
    waves = Slices(gap).through(image, base.probe[None], base.corners).waves
    counts, noise = measured((np.abs(FAR.forward(waves)) ** 2).sum(axis=1))
    step = Ptychography(algorithm="rpie", iterations=100, slices=2, slice_gap=30.0, batch=4, **WAVES)
    thick, state = solved(step, counts, base.corners)
    thin, _ = solved(step.model_copy(update={"slices": 1}), counts, base.corners)
    assert thick["error"][-1] < 1.5 * noise < 0.2 * thin["error"][-1]
    assert thick["layers"].shape == (2, *thick["object"].shape)
    top, left = state.canvas.corners(base.corners[:1])[0] - base.corners[0]
    rows, cols = slice(30, size - 30), slice(30, size - 30)
    for layer, true in zip(state.canvas.stack, image, strict=True):
        found = np.angle(layer[top + 30 : top + size - 30, left + 30 : left + size - 30] * np.exp(-0.4j))
        level = found - found.mean()
        assert np.corrcoef(level.ravel(), np.angle(true[rows, cols]).ravel())[0, 1] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["rpie", "lsq"])
def test_two_slices_whose_positions_are_wrong_are_recovered_with_them(algorithm):
    base, rng = simulate(window=48, scan=(10, 10), step=3, seed=1, fractional=True), np.random.default_rng(2)
    size = base.image.shape[0]
    sample = Slices(NearField(fresnel_transfer((48, 48), wavelength=1.0, distance=30.0, pixel=(1.0, 1.0))))
    image = np.stack([np.exp(0.8j * siemens_star(size, spokes=12)), np.exp(1.2j * texture(size, 6, rng))])
    waves = sample.through(image, shifted(base.probe, base.places - base.corners), base.corners).waves
    counts, noise = measured((np.abs(FAR.forward(waves)) ** 2).sum(axis=1))
    told = base.places + rng.uniform(-1, 1, base.places.shape)
    step = Ptychography(algorithm=algorithm, iterations=80, slices=2, slice_gap=30.0, subpixel=True, **WAVES)
    held, _ = solved(step, counts, told)
    found, _ = solved(step.model_copy(update={"refine_positions": "gradient"}), counts, told)
    left, before = ((places - base.places) for places in (found["positions"], told))
    spread = [np.sqrt(((off - off.mean(axis=0)) ** 2).sum(axis=1).mean()) for off in (left, before)]
    assert spread[0] < 0.05 < 0.7 < spread[1]
    assert found["error"][-1] < 1.3 * noise < 0.1 * held["error"][-1]


@pytest.mark.slow
def test_two_states_come_down_to_the_noise(tmp_path):
    base, rng = simulate(window=32, scan=(10, 10), step=3, seed=2), np.random.default_rng(5)
    size = base.image.shape[0]
    other = (1 - 0.3 * texture(size, 5, rng)) * np.exp(1.2j * texture(size, 7, rng))
    image = np.stack([base.image * np.sqrt(0.7), other * np.sqrt(0.3)])
    waves = States().through(image, base.probe[None], base.corners).waves
    counts, noise = measured((np.abs(FAR.forward(waves)) ** 2).sum(axis=1))
    np.save(tmp_path / "probe.npy", base.probe)
    step = Ptychography(
        algorithm="rpie",
        iterations=80,
        object_modes=2,
        probe=tmp_path / "probe.npy",
        probe_after=100,
        probe_defocus=0.0,
    )
    two, _ = solved(step, counts, base.corners)
    one, _ = solved(step.model_copy(update={"object_modes": 1}), counts, base.corners)
    assert two["error"][-1] < 1.2 * noise < 0.5 * one["error"][-1]
    assert two["layers"].shape[0] == 2


@pytest.mark.slow
def test_a_beam_whose_intensity_varies_comes_down_to_the_noise():
    base, rng = simulate(window=32, scan=(9, 9), step=4), np.random.default_rng(5)
    light = base.probe[0] * (1 + rng.normal(size=(81, 1, 1)) * 0.05)
    waves = exit_waves(base.image, light[:, None], base.corners, np.empty((81, 1, 32, 32), np.complex128))
    counts, noise = measured((np.abs(FAR.forward(waves)) ** 2).sum(axis=1))
    errors = [
        solved(Ptychography(iterations=40, variations=number), counts, base.corners)[0]["error"][-1]
        for number in (0, 1)
    ]
    assert errors[1] < 1.5 * noise < 0.5 * errors[0]


@pytest.mark.slow
def test_pixels_that_are_too_coarse():
    truth = simulate(window=64, scan=(12, 12), step=4)
    counts, noise = measured(binned(truth.expected, 2))
    fine, _ = solved(Ptychography(iterations=40, upsampling=2), counts, truth.corners)
    coarse, _ = solved(Ptychography(iterations=40), counts, truth.corners)
    assert fine["error"][-1] < 1.6 * noise < 0.1 * coarse["error"][-1]
    assert fine["probe"].shape == (1, 64, 64)


@pytest.mark.slow
def test_a_strong_phase_is_found_sooner_from_the_deflection_of_the_light():
    truth = simulate(window=64, scan=(14, 14), step=4)
    y, x = np.mgrid[: truth.image.shape[0], : truth.image.shape[1]] - truth.image.shape[0] / 2
    image = np.exp(6j * np.exp(-(y**2 + x**2) / 20**2))
    waves = exit_waves(image, truth.probe[None], truth.corners, np.empty((196, 1, 64, 64), np.complex128))
    counts, _ = measured((np.abs(FAR.forward(waves)) ** 2).sum(axis=1))
    errors = [
        solved(Ptychography(iterations=15, first_object=first), counts, truth.corners)[0]["error"][-1]
        for first in ("empty", "deflection")
    ]
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.slow
def test_one_map_takes_all_positions_to_where_they_were():
    truth = simulate(window=32, scan=(9, 9), step=4, fractional=True)
    middle = truth.places.mean(axis=0)
    told = middle + (truth.places - middle) @ np.linalg.inv([[1.02, 0.03], [-0.035, 0.985]]).T
    step = Ptychography(algorithm="rpie", iterations=50, refine_positions="affine")
    found, _ = solved(step, truth.counts, told)
    left = found["positions"] - truth.places
    assert np.sqrt(((left - left.mean(axis=0)) ** 2).sum(axis=1).mean()) < 0.05
    assert np.linalg.norm(told - truth.places, axis=1).mean() > 0.4


@pytest.mark.slow
def test_half_sets_agree_down_to_the_resolution_of_the_whole():
    """Their curve falls where that of the whole against the truth does, or before: they have half the photons."""
    truth = simulate(window=32, scan=(11, 11), step=3, photons=1e5)
    step = Ptychography(iterations=30, half_sets=True)
    found, _ = solved(step, truth.counts.astype(np.uint16), truth.corners)
    assert 1.0001 > found["agreement"][1:6].mean() > 0.9
    few = simulate(window=32, scan=(11, 11), step=3, photons=3e3)
    dim, _ = solved(step, few.counts.astype(np.uint16), few.corners)
    assert np.nanmean(dim["agreement"]) < np.nanmean(found["agreement"]) - 0.1
    assert len(found["r_factor"]) == len(found["error"])
    assert found["r_factor"][-1] < 0.7 * found["r_factor"][0]
    # the object takes some of the light
    assert 1 < found["spectrum"].sum() / (truth.counts.sum() / len(truth.counts)) < 1.2
    np.testing.assert_allclose(found["pattern"], np.fft.fftshift(truth.counts[-1]), rtol=1e-5)


def test_double_precision_goes_the_way_of_single():
    truth = simulate(window=32, scan=(9, 9), step=4)
    errors = {}
    for precision in ("single", "double"):
        step = Ptychography(iterations=8, precision=precision, probe_defocus=0.0)
        found, state = solved(step, truth.expected, truth.corners)
        errors[precision] = found["error"]
    assert state.canvas.stack.dtype == state.probe.dtype == np.complex128
    assert found["object"].dtype == np.complex64
    np.testing.assert_allclose(errors["single"], errors["double"], rtol=1e-3)


def test_the_probe_of_the_last_scan_begins_the_next(tmp_path):
    """From the file that a sink wrote, or any HDF5 file with a complex dataset of its size."""
    truth = simulate(window=32, scan=(9, 9), step=4)
    cold, _ = solved(Ptychography(iterations=15), truth.counts, truth.corners)
    path = tmp_path / "probe.h5"
    with h5py.File(path, "w") as file:
        file["entry/probe"] = cold["probe"]
        file["entry/object"] = cold["object"]
    warm, _ = solved(Ptychography(iterations=3, probe=path), truth.counts, truth.corners)
    assert warm["error"][-1] < 0.5 * cold["error"][2]
    other = simulate(window=48, scan=(3, 3))
    with pytest.raises(StepFailed, match="no complex dataset of 48"):
        solved(Ptychography(iterations=1, probe=path), other.counts, other.corners)


def test_a_zone_plate_makes_the_first_probe():
    truth = simulate(window=48, scan=(7, 7), step=5)
    given = {"outer_zone": 57.0, "zone_plate_diameter": 100.0, "central_stop": 28.0, "probe_defocus": 0.0}
    found, _ = solved(Ptychography(iterations=1, **given, **WAVES), truth.counts, truth.corners)
    light = np.fft.ifftshift(found["spectrum"])
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(48), np.fft.fftfreq(48)))
    # 1 / 2Δr in pixels of the object: 10 nm / 114 nm
    assert light[radius > 0.1].sum() < 0.02 * light.sum()
    assert light[radius < 0.02].sum() < 0.02 * light.sum()


@pytest.mark.slow
@pytest.mark.parametrize("order", ["near", "spread", "sequence"])
def test_any_order_comes_down_to_the_noise(order):
    truth = simulate(window=32, scan=(9, 9), step=4)
    noise = ((np.sqrt(truth.expected) - np.sqrt(truth.counts)) ** 2).sum() / truth.counts.sum()
    found, _ = solved(Ptychography(algorithm="lsq", iterations=50, order=order), truth.counts, truth.corners)
    assert found["error"][-1] < 3 * noise


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"slices": 2}, "slice_gap|wavelength"),
        ({"slices": 2, "slice_gap": 5.0, **WAVES, "algorithm": "dm"}, "for slices that projection has no closed form"),
        ({"slices": 2, "slice_gap": 5.0, **WAVES, "algorithm2": "raar"}, "algorithm2"),
        ({"object_modes": 2, "slices": 2, "slice_gap": 5.0, **WAVES}, "not possible together"),
        ({"outer_zone": 50.0, "central_stop": 10.0, **WAVES}, "zone_plate_diameter"),
        ({"regime": "near", "upsampling": 2, "energy": 9.0, "distance": 1.0, "pixel": 100.0}, "far field only"),
    ],
)
def test_what_does_not_go_together_is_refused_before_the_first_frame(given, says):
    truth = simulate(window=24, scan=(3, 3))
    with pytest.raises(StepFailed, match=says):
        solved(Ptychography(iterations=1, **given), truth.counts, truth.corners)


# ---- frames that do not fit into memory ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_frames_on_disk_give_the_image_of_frames_in_memory(dtype, tmp_path):
    truth = simulate(window=32, scan=(9, 9), step=4)
    counts, step = truth.counts.astype(dtype), Ptychography(iterations=3, probe_defocus=0.0)
    inside, state = solved(step, counts, truth.corners)
    assert not state.patterns.in_file
    small = step.model_copy(update={"memory": 50e3, "scratch": tmp_path})
    outside, other = solved(small, counts, truth.corners)
    assert other.patterns.in_file
    for name in ("object", "probe", "error"):
        np.testing.assert_array_equal(inside[name], outside[name])
    assert not list(tmp_path.iterdir()), "the file has no name"
    kept = state.patterns.stored()._kept
    assert kept.itemsize == (2 if dtype == "uint16" else 4), "counts stay counts"


def test_a_disk_without_room_is_told(monkeypatch, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    truth = simulate(window=32, scan=(5, 5))
    with pytest.raises(StepFailed, match="No space left on device"):
        solved(Ptychography(memory=1e3, scratch=tmp_path), truth.counts, truth.corners)


@pytest.mark.slow
def test_frc_resolution_of_the_phantom():
    """Against the truth, at 10⁶ photons a frame: two pixels."""
    truth = simulate(window=48, scan=(9, 9), step=5)
    found, state = solved(Ptychography(iterations=40), truth.counts, truth.corners)
    top, left = state.canvas.corners(truth.corners[:1])[0] - truth.corners[0]
    size = truth.image.shape[0]
    box = slice(28, size - 28)
    image = state.canvas.stack[0][top : top + size, left : left + size][box, box]
    curve = shell_correlation(np.angle(image / image.mean()), np.angle(truth.image[box, box]))
    assert curve.resolution("1/7") < 2.3
    assert found["error"][-1] < 0.01


# ---- the part of the frames that is used -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_the_middle_of_the_pattern_is_found_and_hot_pixels_do_not_count(dtype):
    """Frames in a larger detector, off its middle, with a hot pixel outside and one inside the pattern."""
    truth = simulate(window=32, scan=(9, 9), step=4)
    small = np.fft.fftshift(truth.counts, axes=(1, 2)).astype(dtype)
    wide = np.zeros((81, 60, 70), dtype)
    wide[:, 9:41, 26:58] = small
    wide[:, 50, 3] = 60_000
    wide[:, 30, 35] = 60_000
    step = Ptychography(iterations=4, crop=(32, 32), saturation=50_000, probe_defocus=0.0)
    found, state = solved(step, wide, truth.corners)
    np.testing.assert_allclose(found["middle"], [25, 42], atol=1)
    assert np.count_nonzero(~state.patterns.valid) == 1
    locked, other = solved(step.model_copy(update={"crop_middle": (25, 42)}), wide, truth.corners)
    assert other.patterns.window == (32, 32)
    np.testing.assert_array_equal(locked["middle"], [25, 42])
    given = small.astype(np.float32)
    given[:, 21, 9] = np.nan
    plain, _ = solved(Ptychography(iterations=4, probe_defocus=0.0), given, truth.corners)
    np.testing.assert_allclose(locked["error"], plain["error"], rtol=1e-4)
    with pytest.raises(StepFailed, match="leaves the frame"):
        solved(step.model_copy(update={"crop_middle": (5, 42)}), wide, truth.corners)


def test_fewer_frames_than_the_middle_asks_for_are_used_at_the_end():
    truth = simulate(window=32, scan=(5, 5), step=4)
    frames = np.pad(np.fft.fftshift(truth.counts, axes=(1, 2)), ((0, 0), (4, 4), (4, 4)))
    found, state = solved(Ptychography(iterations=2, crop=(32, 32), probe_defocus=0.0), frames, truth.corners)
    assert len(state.patterns) == 25
    np.testing.assert_allclose(found["middle"], [20, 20], atol=1)
