"""Frames that are turned, distorted, shifted or too small, beside scipy and planted truths."""

import numpy as np
import pytest
import scipy.ndimage

from firstlight.core.errors import AxesError
from firstlight.operators.correct.align_frames import align_frames
from firstlight.operators.correct.crop import crop
from firstlight.operators.correct.pad import pad
from firstlight.operators.correct.rotate import rotate
from firstlight.operators.correct.undistort import undistort

from .scenes import scan_of

SHAPE = (70, 90)


@pytest.fixture(scope="module")
def frame():
    return scipy.ndimage.gaussian_filter(np.random.default_rng(1).normal(size=SHAPE), 2.5).astype(np.float32) * 10


@pytest.mark.parametrize("angle", [0.0, 3.3, -20.0, 90.0])
def test_rotation_is_scipys(frame, angle):
    found = rotate(frame[None], angle=angle, fill=0.0)[0]
    wanted = scipy.ndimage.rotate(frame, angle, reshape=False, order=1)
    inside = scipy.ndimage.rotate(np.ones(SHAPE), angle, reshape=False, order=1) > 0.999
    np.testing.assert_allclose(found[inside], wanted[inside], atol=2e-5)


def test_a_leaning_axis_stands_straight_and_keeps_its_column():
    """A line that leans to the right at its top by 2 degree, through (row 30, column 40)."""
    row, column = np.mgrid[: SHAPE[0], : SHAPE[1]]
    distance = (column - 40) + (row - 30) * np.tan(np.deg2rad(2.0))
    leaning = np.exp(-(distance**2) / 8).astype(np.float32)
    upright = rotate(leaning[None], angle=2.0, row=30.0, column=40.0, interpolation="cubic")[0]
    middles = (upright * column).sum(1) / upright.sum(1)
    np.testing.assert_allclose(middles[3:-3], 40.0, atol=0.02)


@pytest.mark.parametrize(("interpolation", "error"), [("linear", 0.12), ("cubic", 0.02)])
def test_turning_there_and_back(frame, interpolation, error):
    there = rotate(frame[None], angle=11.0, interpolation=interpolation)
    back = rotate(there, angle=-11.0, interpolation=interpolation)[0]
    inside = np.hypot(*(np.indices(SHAPE) - np.array([[[34.5]], [[44.5]]]))) < 30
    assert np.sqrt(np.mean((back - frame)[inside] ** 2)) < error * frame[inside].std()


def test_radial_distortion_is_sampled_as_the_model_says(frame):
    factors, middle = (1.01, 2e-4, -3e-6), (31.0, 50.0)
    row, column = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    radius = np.hypot(row - middle[0], column - middle[1])
    factor = factors[0] + factors[1] * radius + factors[2] * radius**2
    places = [middle[0] + factor * (row - middle[0]), middle[1] + factor * (column - middle[1])]
    wanted = scipy.ndimage.map_coordinates(frame, places, order=1, mode="nearest")
    found = undistort(frame[None], row=middle[0], column=middle[1], coefficients=factors)[0]
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    same = undistort(frame[None], row=1.0, column=2.0, coefficients=(1.0,), interpolation="cubic")
    np.testing.assert_allclose(same[0], frame, atol=1e-6)
    wide = undistort(frame[None], coefficients=(2.0,), fill=-7.0)[0]
    assert wide[0, 0] == -7.0
    np.testing.assert_array_equal(
        wide, undistort(frame[None], row=34.5, column=44.5, coefficients=(2.0,), fill=-7.0)[0]
    )


def test_integers_are_sampled_as_numbers():
    frames = np.arange(12, dtype=np.uint16).reshape(1, 3, 4)
    np.testing.assert_allclose(rotate(frames, angle=0.0), frames)
    big = rotate(frames.astype(">f8"), angle=180.0)
    np.testing.assert_allclose(big[0], frames[0, ::-1, ::-1], atol=1e-5)


@pytest.mark.parametrize(("method", "mode"), [("edge", "edge"), ("mirror", "symmetric"), ("constant", "constant")])
def test_padding_is_numpys_and_cropping_undoes_it(frame, method, mode):
    step = pad(rows=(3, 1), columns=(0, 7), method=method)
    found = step.run(frame[None])
    np.testing.assert_array_equal(found[0], np.pad(frame, ((3, 1), (0, 7)), mode=mode))
    np.testing.assert_array_equal(crop(found, rows=(3, -1), columns=(0, -7))[0], frame)
    stream = step.after(scan_of(frame[None]))["data"]
    assert stream.frame_shape == (74, 97)
    with pytest.raises(AxesError, match="wider than the frame"):
        pad(frame[None], rows=(71, 0), method="mirror")


def shifted(image, row, column):
    """Exactly, by a phase in Fourier space: image[i] becomes image[i - shift]."""
    phase = np.fft.fftfreq(image.shape[0])[:, None] * row + np.fft.fftfreq(image.shape[1]) * column
    return np.real(np.fft.ifft2(np.fft.fft2(image) * np.exp(-2j * np.pi * phase)))


@pytest.mark.parametrize("shift", [(0.0, 0.0), (3.25, -1.6), (-7.45, 4.1)])
def test_a_drift_is_found_and_undone(frame, shift):
    rng = np.random.default_rng(2)
    drifted = (shifted(frame, *shift) + rng.normal(0, 0.02, SHAPE)).astype(np.float32)
    aligned = align_frames(np.stack([frame, drifted]), frame, interpolation="cubic")
    inside = (slice(12, -12), slice(12, -12))
    assert np.sqrt(np.mean((aligned[0] - frame)[inside] ** 2)) < 0.01 * frame.std()
    assert np.sqrt(np.mean((aligned[1] - frame)[inside] ** 2)) < 0.06 * frame.std()


def test_a_region_that_stands_still_is_enough(frame):
    """The sample moves on its own; a marker in the corner tells the drift."""
    moving = frame.copy()
    moving[:, 45:] = frame[::-1, 45:]
    drifted = shifted(moving, 2.0, -3.0).astype(np.float32)
    aligned = align_frames(drifted[None], frame, columns=(0, 40))[0]
    np.testing.assert_allclose(aligned[10:-10, 10:35], frame[10:-10, 10:35], atol=0.1)


def test_frames_without_structure_stay(frame):
    flat = np.full((2, *SHAPE), 3.0, np.float32)
    np.testing.assert_array_equal(align_frames(flat, frame), flat)
    broken = frame.copy()
    broken[0, 0] = np.nan
    assert np.isfinite(align_frames(frame[None], broken)).all()
    with pytest.raises(AxesError, match="reference"):
        align_frames(flat, frame[:5])
