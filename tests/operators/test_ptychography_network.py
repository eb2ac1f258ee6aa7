"""The network: patches of known content are put together exactly; what does not fit is refused; the one that ships sees."""

import bz2
import contextlib
import io
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import firstlight as fl
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.core.errors import FirstlightError, StepFailed, UnknownName
from firstlight.core.job import parse_job
from firstlight.kernels.ptycho.mosaic import between_pixels, neighbours, phase_offsets
from firstlight.kernels.ptycho.phantom import simulate, zone_plate_probe
from firstlight.operators.learn.models import chosen_model
from firstlight.operators.learn.ptychography_network import PtychographyNetwork
from firstlight.operators.learn.session import load_network
from firstlight.operators.ptychography.ptychography import Ptychography
from firstlight.testing.fold import final

pytest.importorskip("onnxruntime")
from .networks import write_network

SIZE = 16


@pytest.fixture
def network(tmp_path):
    """A network that gives back what the frame says."""
    return write_network(tmp_path / "known_v1.onnx", SIZE, {"normalization": "1"})


def scan_of(frames, count, unit="px", **calibration):
    sizes = {"position": count, "row": frames.shape[1], "col": frames.shape[2]}
    streams = {
        MAIN: Stream(tuple(sizes), sizes, str(frames.dtype)),
        "positions": Stream(("position", "yx"), {"position": count, "yx": 2}, "float64", unit=unit),
    }
    return Scan(streams, calibration=calibration)


def made_of(step, frames, places, pieces=None, **given):
    """All outputs for frames that come in some pieces."""
    state = step.empty(scan_of(frames, len(frames), **given))
    for ids in pieces or [np.arange(len(frames))]:
        step.add(state, step.digest(Chunk(frames[ids], ("row", "col"), ids, coords={"positions": places[ids]})))
    return final(step, state)


def smooth(rows, cols, seed=0):
    """An amplitude between 0.3 and 0.9, whose phase `2a − 1` the network gives with it."""
    y, x = np.mgrid[:rows, :cols]
    return 0.6 + 0.15 * np.sin(y / 9.0 + seed) + 0.15 * np.cos(x / 7.0 - y / 13.0)


def frames_of(field, corners):
    return np.stack([field[r : r + SIZE, c : c + SIZE] ** 2 for r, c in corners]).astype(np.float32)


def raster(rows, cols, step):
    return np.stack(np.meshgrid(np.arange(rows), np.arange(cols), indexing="ij"), -1).reshape(-1, 2) * step


def test_patches_of_one_image_give_that_image_whatever_the_window(network):
    field, corners = smooth(60, 60), raster(8, 8, 6)
    truth = field * np.exp(1j * (2 * field - 1))
    for window in ("hann", "flat"):
        found = made_of(PtychographyNetwork(model_file=network, window=window), frames_of(field, corners), corners)
        np.testing.assert_array_equal(found["corner"], corners.min(axis=0))
        lit = np.isfinite(found["phase"])
        wanted = truth[: lit.shape[0], : lit.shape[1]]
        turn = np.vdot(wanted[lit], found["object"][lit])
        np.testing.assert_allclose(found["object"][lit], (wanted * turn / abs(turn))[lit], atol=3e-6)
        assert lit.mean() > 0.9
        assert np.nanmax(found["spread"]) < 2e-3  # the root of single precision


def test_each_patch_may_have_a_phase_of_its_own(network, monkeypatch):
    field, corners = smooth(60, 60), raster(8, 8, 6)
    frames = frames_of(field, corners)
    step = PtychographyNetwork(model_file=network, window="hann")
    wanted, state = made_of(step, frames, corners), step.empty(scan_of(frames, len(frames)))
    turns = np.exp(1j * np.random.default_rng(3).uniform(-np.pi, np.pi, len(frames))).astype(np.complex64)
    digested = step.digest(Chunk(frames, ("row", "col"), np.arange(64), coords={"positions": corners}))
    step.add(state, digested.with_data(digested.data * turns[:, None, None], digested.axes))
    found = final(step, state)
    np.testing.assert_allclose(found["object"], wanted["object"], atol=1e-5)
    np.testing.assert_array_equal(np.isnan(found["phase"]), np.isnan(wanted["phase"]))


def test_offsets_are_the_least_squares_of_contradicting_pairs():
    pairs = np.array([[0, 1], [1, 2], [0, 2], [3, 4]])
    said = np.array([0.1, 0.2, 0.9, 0.4])  # of 0.1 + 0.2 and 0.9 around a triangle, 0.2 goes to each side
    found = phase_offsets(np.exp(1j * said), pairs, 6)
    differences = found[pairs[:, 0]] - found[pairs[:, 1]]
    np.testing.assert_allclose(differences, [0.3, 0.4, 0.7, 0.4], atol=1e-9)
    assert found[5] == 0


def test_neighbours_of_rasters_lines_and_places_that_coincide():
    for places in (
        raster(5, 7, 3.0),
        raster(1, 9, 2.0),
        np.zeros((4, 2)),
        np.array([[0, 0], [0, 0], [5, 1], [1, 5], [6, 6.0]]),
    ):
        pairs, count = neighbours(places), len(places)
        assert (pairs[:, 0] < pairs[:, 1]).all()
        reached, new = {0}, {0}
        while new:
            new = {int(b) for pair in pairs for a, b in (pair, pair[::-1]) if a in reached} - reached
            reached |= new
        assert reached == set(range(count))
        assert len(pairs) <= 3 * count
    assert len(neighbours(np.zeros((1, 2)))) == 0


def test_patches_between_pixels(network):
    """Fractional places: the image is the one that was sampled, to the error of the interpolation; the nearest pixel is worse."""
    y, x = np.mgrid[:SIZE, :SIZE]
    ramps = np.stack([y * 0.3 + x * 0.1, (y - x) ** 2 * 0.01]).astype(np.complex64)
    moved = between_pixels(ramps, np.array([[0.25, -0.5], [0.5, 0.125]]))
    inner = np.s_[3:-3, 3:-3]
    np.testing.assert_allclose(moved[0][inner], ((y - 0.25) * 0.3 + (x + 0.5) * 0.1)[inner], atol=1e-5)
    np.testing.assert_allclose(moved[1][inner], ((y - 0.5 - x + 0.125) ** 2 * 0.01)[inner], atol=1e-5)
    rng = np.random.default_rng(2)
    places = raster(8, 8, 6) + rng.uniform(-0.5, 0.5, (64, 2))
    places -= np.rint(places).min(axis=0)

    def field(y, x):
        return 0.6 + 0.15 * np.sin(y / 3) + 0.15 * np.cos(x / 3 - y / 4)

    frames = np.stack([field(y + r, x + c) ** 2 for r, c in places]).astype(np.float32)
    error = {}
    for subpixel in (True, False):
        step = PtychographyNetwork(model_file=network, subpixel=subpixel)
        found = made_of(step, frames, places)
        truth = field(*np.mgrid[: found["phase"].shape[0], : found["phase"].shape[1]])
        error[subpixel] = np.nanstd(found["amplitude"] - truth)
    assert error[True] < 2e-3
    assert error[True] < error[False] / 4


def test_neither_order_nor_timing_show(network):
    field, corners = smooth(60, 60), raster(8, 8, 6) + 0.3
    frames = frames_of(field, np.rint(corners).astype(int))
    step, rng = PtychographyNetwork(model_file=network), np.random.default_rng(0)
    wanted = made_of(step, frames, corners)
    for seed in range(2):
        ids = rng.permutation(64)
        found = made_of(step, frames, corners, np.split(ids, np.sort(rng.integers(1, 63, 5 + 9 * seed))))
        for name, values in wanted.items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_patches_are_laid_on_as_they_come_and_the_end_is_that_of_all_at_once(network):
    """Each has a phase of its own; the scan goes up, down and left of where it began, so that the image must grow."""
    field, corners = smooth(80, 80), raster(12, 12, 5)
    frames, rng = frames_of(field, corners), np.random.default_rng(4)
    step = PtychographyNetwork(model_file=network, window="hann")
    turns = np.exp(1j * rng.uniform(-np.pi, np.pi, len(frames))).astype(np.complex64)

    def state_after(pieces, *, looked):
        state = step.empty(scan_of(frames, len(frames)))
        for ids in pieces:
            chunk = step.digest(Chunk(frames[ids], ("row", "col"), ids, coords={"positions": corners[ids]}))
            step.add(state, chunk.with_data(chunk.data * turns[ids, None, None], chunk.axes))
            if looked:
                step.result(state)
        return state

    order = np.argsort(np.hypot(*(corners - 30).T), kind="stable")  # from the middle outwards
    live = state_after(np.split(order, np.arange(7, 144, 9)), looked=True)
    shown, wanted = step.result(live), final(step, state_after([np.arange(144)], looked=False))
    lit = np.isfinite(wanted["phase"])
    np.testing.assert_array_equal(np.isfinite(shown["phase"]), lit)
    turn = np.vdot(shown["object"][lit], wanted["object"][lit])
    np.testing.assert_allclose((shown["object"] * turn / abs(turn))[lit], wanted["object"][lit], atol=1e-4)
    for name, values in final(step, live).items():
        np.testing.assert_array_equal(values, wanted[name], err_msg=name)


def test_a_second_scan_begins_anew(network):
    field, corners = smooth(60, 60), raster(4, 4, 6)
    frames = frames_of(field, corners)
    step = PtychographyNetwork(model_file=network)
    state = step.empty(scan_of(frames, 16))
    for epoch, ids in ((0, np.arange(9)), (1, np.arange(16)), (0, np.arange(9, 16))):
        coords = {"positions": corners[ids].astype(float)}
        step.add(state, step.digest(Chunk(frames[ids], ("row", "col"), ids, epoch=epoch, coords=coords)))
    np.testing.assert_array_equal(final(step, state)["object"], made_of(step, frames, corners)["object"])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "takes frames of 16 × 16 pixels, and these have 20 × 24"),
        ({"crop": (8, 16)}, "16 × 16 pixels, and these have 8 × 16"),
        ({"crop": (16, 16), "window": "probe"}, "does not hold its probe"),
        ({"crop": (16, 16), "inner": 17}, "at most 16"),
        ({"crop": (16, 16), "device": "tensorrt"}, "can not use tensorrt here"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_first_frame(network, options, text):
    frames = np.ones((3, 20, 24), np.float32)
    with pytest.raises(FirstlightError, match=text):
        PtychographyNetwork(model_file=network, **options).empty(scan_of(frames, 3))


def test_a_place_that_is_none_and_a_window_outside(network):
    frames = np.ones((2, 20, 24), np.float32)
    step = PtychographyNetwork(model_file=network, crop=(16, 16))
    for place, text in ((np.nan, "no number"), (1e9, "too far apart")):
        with pytest.raises(StepFailed, match=text):
            made_of(step, frames, np.array([[0, 0], [place, 0]]))
    with pytest.raises(StepFailed, match="leaves the frame"):
        made_of(step.model_copy(update={"crop_middle": (4, 12)}), frames, np.zeros((2, 2)))


def test_files_that_are_no_such_network(tmp_path, network):
    whole = network.read_bytes()
    cut = tmp_path / "cut_v1.onnx"
    cut.write_bytes(whole[: len(whole) // 2])
    three = write_network(tmp_path / "three_v1.onnx", SIZE, {"normalization": "1"}, outputs=3)
    silent = write_network(tmp_path / "silent_v1.onnx", SIZE)
    strange = write_network(tmp_path / "strange_v1.onnx", SIZE, {"normalization": "-3"})
    frames = np.ones((2, SIZE, SIZE), np.float32)
    wrong = {
        cut: "no whole ONNX file",
        tmp_path / "none.onnx": "can not be read",
        three: "does not take amplitudes and give amplitude and phase",
        silent: "does not say how its input is normalised",
        strange: "does not say how its input is normalised",
    }
    for path, text in wrong.items():
        with pytest.raises(StepFailed, match=text):
            PtychographyNetwork(model_file=path).empty(scan_of(frames, 2))
    assert made_of(PtychographyNetwork(model_file=silent, normalization=1.0), frames, raster(1, 2, 4))[
        "phase"
    ].shape == (16, 20)
    with pytest.raises(UnknownName, match="no network 'nobody'"):
        PtychographyNetwork(model="nobody").empty(scan_of(frames, 2))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_run_or_are_refused(network, tmp_path, data):
    whole = bytearray(network.read_bytes())
    if data.draw(st.booleans()):
        del whole[data.draw(st.integers(0, len(whole) - 1)) :]
    for _ in range(data.draw(st.integers(0, 3))):
        if whole:
            whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged_v1.onnx"
    path.write_bytes(whole)
    with contextlib.suppress(StepFailed):
        load_network(path)


def test_frames_are_turned_cleaned_and_normalised(tmp_path):
    """The peer's input: √(I / normalization · scale²), hot and dead pixels dark, turned, the zero frequency in the middle."""
    probe = np.outer(np.hanning(SIZE), np.hanning(SIZE)) * np.exp(1j)
    path = write_network(tmp_path / "n_v1.onnx", SIZE, {"normalization": "400"}, probe=probe)
    counts = np.random.default_rng(1).integers(1, 100, (1, SIZE, SIZE)).astype(np.uint16)
    dirty = counts.copy()
    dirty[0, 3, 4], dirty[0, 5, 6] = 65535, 60000
    clean = np.where(dirty > 50000, 0, counts)
    step = PtychographyNetwork(model_file=path, scale=4.0, saturation=50000.0, orientation="rot90_cw")
    given = np.fft.ifftshift(dirty, axes=(1, 2))
    chunk = Chunk(given, ("row", "col"), np.arange(1), coords={"positions": np.zeros((1, 2))})
    found = step.model_copy(update={"zero_frequency": "corner"}).digest(chunk).data
    np.testing.assert_allclose(np.abs(found[0]), np.rot90(2 * np.sqrt(clean[0] / 400), -1), rtol=1e-5)
    weights = step.empty(scan_of(counts, 1)).weights
    np.testing.assert_allclose(weights, np.abs(probe) ** 2 / (np.abs(probe) ** 2).max(), rtol=1e-5)


def correlation(found, wanted, lit):
    one, other = (values[lit] - values[lit].mean() for values in (found, wanted))
    return float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()))


def test_the_network_that_ships_sees_a_phantom_that_it_has_never_seen(monkeypatch, tmp_path):
    """Phase and amplitude of the star, for other texture, jitter and noise, live beside the iterative engine."""
    monkeypatch.setenv("FIRSTLIGHT_MODELS", str(tmp_path))
    assert chosen_model().full_name == "phantom_v2"
    assert chosen_model().path.stat().st_size < 5e6
    inputs = {"inputs": ["source.data", "source.positions"]}
    job = {
        "source": {"use": "phantom_ptychography", "seed": 77},
        "steps": [
            {"use": "ptychography_network", **inputs},
            {"use": "ptychography", **inputs, "iterations": 2, "first_object": "network", "probe_defocus": 0.0},
        ],
    }
    parsed = parse_job(job)
    found = fl.run(parsed.source, list(parsed.pipeline.nodes)).finished()
    truth = simulate(seed=77)
    low, high = truth.corners.min(axis=0), truth.corners.max(axis=0) + 64
    image = truth.image[low[0] : high[0], low[1] : high[1]]
    phase, amplitude = found["ptychography_network.phase"].data, found["ptychography_network.amplitude"].data
    lit = np.isfinite(phase) & (
        found["ptychography_network.coverage"].data > 0.2 * found["ptychography_network.coverage"].data.max()
    )
    assert correlation(phase, np.angle(image), lit) > 0.94
    assert correlation(amplitude, np.abs(image), lit) > 0.8
    assert np.sqrt(np.mean((phase - phase[lit].mean() - np.angle(image) + np.angle(image)[lit].mean())[lit] ** 2)) < 0.1


def test_the_network_that_ships_can_be_told_another_probe(tmp_path):
    """Of another zone plate, of any strength; with its own probe the same image means nothing. Others can not be told one."""
    probe = zone_plate_probe(64, width=0.3, stop=0.05, defocus=-8.0)
    truth = simulate(seed=5)
    cut = np.stack([truth.image[r : r + 64, c : c + 64] for r, c in truth.corners])
    frames = np.random.default_rng(6).poisson(np.abs(np.fft.fft2(cut * probe * 1e3, norm="ortho")) ** 2)
    np.save(tmp_path / "probe.npy", 1e5 * probe[None])
    low, high = truth.corners.min(axis=0), truth.corners.max(axis=0) + 64
    wanted = np.angle(truth.image[low[0] : high[0], low[1] : high[1]])
    like = {}
    for path in (tmp_path / "probe.npy", None):
        step = PtychographyNetwork(model="phantom_v2", zero_frequency="corner", probe=path)
        found = made_of(step, frames.astype(np.float32), truth.corners)
        lit = found["coverage"] > 0.2 * found["coverage"].max()
        like[path is not None] = correlation(found["phase"], wanted, lit & np.isfinite(found["phase"]))
    assert like[True] > 0.9
    assert like[False] < 0.5
    pickle.loads(pickle.dumps(step))
    other = write_network(tmp_path / "one_v1.onnx", 64, {"normalization": "1"})
    for model, path, text in (
        (other, tmp_path / "probe.npy", "knows one probe"),
        (None, tmp_path / "none.npy", "can not be read"),
        (None, tmp_path / "dark.npy", "with light"),
    ):
        np.save(tmp_path / "dark.npy", np.zeros((64, 64), complex))
        step = PtychographyNetwork(model_file=model, model=None if model else "phantom_v2", probe=path)
        with pytest.raises(StepFailed, match=text):
            step.empty(scan_of(frames, len(frames)))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_network_that_ships_sees_a_real_star(data_folder, tmp_path):
    """Frames of another beamline, told the probe that iterations found: the image is the iterative one, less what is plain."""
    with bz2.open(data_folder / "ptychography" / "siemens-star-small.npz.bz2") as packed:
        given = np.load(io.BytesIO(packed.read()), allow_pickle=False)
    # the middle of 128² pixels: twice as large ones of the object
    frames = np.fft.fftshift(given["data"][0], axes=(1, 2))[:, 32:96, 32:96].astype(np.float32)
    places = given["scan"][0] / 2.0
    places -= places.min(axis=0)
    engine = Ptychography(iterations=40, zero_frequency="center")
    state = engine.empty(scan_of(frames, len(frames)))
    coords = {"positions": places}
    engine.add(state, engine.digest(Chunk(frames, ("row", "col"), np.arange(len(frames)), coords=coords)))
    iterated = final(engine, state)
    np.save(tmp_path / "probe.npy", iterated["probe"][0])
    found = made_of(PtychographyNetwork(model="phantom_v2", probe=tmp_path / "probe.npy"), frames, places)
    lit = found["coverage"] > 0.2 * found["coverage"].max()
    wanted = np.angle(iterated["object"] * np.exp(-1j * np.angle(iterated["object"][lit].mean())))
    assert correlation(found["phase"], wanted, lit) > 0.9


def test_iterations_that_begin_with_a_network_are_ahead(monkeypatch, tmp_path):
    """With the probe of the last scan, the first round fits better than one that begins with nothing; other frames are refused."""
    monkeypatch.setenv("FIRSTLIGHT_MODELS", str(tmp_path))
    source = fl.source("phantom_ptychography", seed=78)
    np.save(tmp_path / "probe.npy", simulate(seed=78).probe)
    given = {"iterations": 2, "probe": tmp_path / "probe.npy", "probe_after": 9, "repeatable": True}
    errors = {}
    for first in ("empty", "network"):
        run = fl.run(source, [fl.step("ptychography", first_object=first, **given)], runner="naive")
        errors[first] = run.finished()["ptychography.error"].data
    assert errors["network"][0] < 0.6 * errors["empty"][0]
    assert errors["network"][1] < errors["empty"][1]
    write_network(tmp_path / "other_v1.onnx", SIZE, {"normalization": "1"})
    refused = fl.step("ptychography", first_object="network", network="other", **given)
    with pytest.raises(StepFailed, match="takes frames of 16 × 16 pixels, and these have 64 × 64"):
        fl.run(source, [refused], runner="naive").finished()
