"""Light that every frame has beside that of probe and object: added to a phantom, found again, and not invented."""

import numpy as np
import pytest
from pydantic import ValidationError

from firstlight.kernels.ptycho.phantom import simulate
from firstlight.operators.ptychography.ptychography import Ptychography

from .test_ptychography_layers import solved

TRUTH = simulate(window=32, scan=(9, 9), step=4, photons=1.5e5, seed=1)
RADIUS = np.hypot(*np.meshgrid(np.fft.fftfreq(32, 1 / 32), np.fft.fftfreq(32, 1 / 32)))
BACKGROUNDS = {"none": 0 * RADIUS, "even": 4 + 0 * RADIUS, "air": 2 + 20 * np.exp(-((RADIUS / 6) ** 2) / 2)}
"""Photons of a pixel in a frame, zero frequency at the corner; the air's is brightest where the beam is."""


def begun(tmp_path, **given):
    """With the probe of a scan before, a little out of focus."""
    v, u = np.fft.fftfreq(32)[:, None], np.fft.fftfreq(32)[None, :]
    np.save(tmp_path / "probe.npy", np.fft.ifft2(np.fft.fft2(TRUTH.probe) * np.exp(12j * (u**2 + v**2))))
    return Ptychography(**{"iterations": 40, "probe": tmp_path / "probe.npy", "probe_defocus": 0.0, **given})


def frames(name):
    """Counts, and the error that the truth has with them."""
    expected = TRUTH.expected + BACKGROUNDS[name]
    counts = np.random.default_rng(5).poisson(expected).astype(np.uint16)
    return counts, ((np.sqrt(expected) - np.sqrt(counts)) ** 2).sum() / counts.sum()


def difference(found, state):
    """Relative error of the object where the light was; a constant and a ramp of the phase taken out."""
    off = state.canvas.corners(TRUTH.corners[:1])[0] - TRUTH.corners[0]
    seen = state.canvas.covered(state.patterns.corners)
    true = TRUTH.image[tuple(slice(s.start - o, s.stop - o) for s, o in zip(seen, off, strict=True))]
    image, lit = found["object"].astype(complex), found["coverage"] > 0.1 * found["coverage"].max()
    ratio = np.where(lit, true * image.conj(), 0)
    down, right = np.angle((ratio[1:] * ratio[:-1].conj()).sum()), np.angle((ratio[:, 1:] * ratio[:, :-1].conj()).sum())
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    image = image * np.exp(1j * (down * y + right * x))
    image *= (true * image.conj())[lit].sum() / (np.abs(image[lit]) ** 2).sum()
    return np.linalg.norm((image - true)[lit]) / np.linalg.norm(true[lit] - true[lit].mean())


HEAVY = [(name, algorithm) for name in ("even", "air") for algorithm in ("epie", "lsq", "ml", "dm")]


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [case if case == ("air", "epie") else pytest.param(*case, marks=pytest.mark.slow) for case in HEAVY],
)
def test_a_background_is_found_and_the_object_is_better_for_it(name, algorithm, tmp_path):
    counts, noise = frames(name)
    step = begun(tmp_path, algorithm=algorithm)
    blind, before = solved(step, counts, TRUTH.corners)
    found, state = solved(step.model_copy(update={"background": "auto"}), counts, TRUTH.corners)
    assert found["error"][-1] < 1.25 * noise < 0.7 * blind["error"][-1]
    assert difference(found, state) < 0.7 * difference(blind, before)
    true = np.fft.fftshift(BACKGROUNDS[name])
    assert found["background"].mean() == pytest.approx(true.mean(), rel=0.15)
    assert np.sqrt(np.mean((found["background"] - true) ** 2)) < 0.25 * np.sqrt(np.mean(true**2))
    np.testing.assert_array_equal(blind["background"], 0)


@pytest.mark.parametrize(
    "algorithm", ["epie", *(pytest.param(name, marks=pytest.mark.slow) for name in ("lsq", "ml", "dm"))]
)
def test_no_background_is_found_where_there_is_none(algorithm, tmp_path):
    counts, noise = frames("none")
    step = begun(tmp_path, algorithm=algorithm, background="auto", iterations=27)
    found, _ = solved(step, counts, TRUTH.corners)
    np.testing.assert_array_equal(found["background"], 0)
    assert found["error"][-1] < 2 * noise


def test_a_background_that_is_told_stays(tmp_path):
    counts, noise = frames("even")
    found, state = solved(begun(tmp_path, background=4.0, iterations=30), counts, TRUTH.corners)
    blind, before = solved(begun(tmp_path, iterations=30), counts, TRUTH.corners)
    np.testing.assert_array_equal(found["background"], np.float32(4.0))
    assert found["error"][-1] < 1.5 * noise < 0.75 * blind["error"][-1]
    assert difference(found, state) < 0.7 * difference(blind, before)
    with pytest.raises(ValidationError):
        Ptychography(background=-1.0)
