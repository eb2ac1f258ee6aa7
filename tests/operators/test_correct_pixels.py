"""Bad pixels, zingers in space and time, and flat fields that move."""

import numpy as np
import pytest
import scipy.ndimage

from firstlight.core import registry
from firstlight.core.errors import AxesError
from firstlight.core.job import Job
from firstlight.core.pipeline import Node, Pipeline, Reference
from firstlight.kernels.eigen_flats import principal_images
from firstlight.operators.correct.dynamic_flat_field import dynamic_flat_field
from firstlight.operators.correct.eigen_flats import EigenFlats
from firstlight.operators.correct.flat_field import flat_field
from firstlight.operators.correct.remove_outliers_3d import remove_outliers_3d
from firstlight.operators.correct.replace_bad_pixels import bad_pixels, replace_bad_pixels
from firstlight.runners.local import LocalRunner

SHAPE = (48, 60)
BEAM = (96, 120)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_hot_dead_and_stuck_pixels_are_found_and_replaced(dtype):
    rng = np.random.default_rng(1)
    row, column = np.mgrid[: SHAPE[0], : SHAPE[1]]
    light = 1000 + 4 * row + 2 * column
    clean = np.stack([light, light * 0.6]) + rng.normal(0, 5, (2, *SHAPE))
    dark, flat = 100 + rng.normal(0, 2, SHAPE), light + rng.normal(0, 5, SHAPE)
    frames = clean.copy()
    hot, dead, stuck = (5, 7), (20, 30), (47, 59)
    dark[hot], flat[hot], frames[:, hot[0], hot[1]] = 900, light[hot], 1900
    flat[dead], frames[:, dead[0], dead[1]] = 100, 100
    flat[stuck], frames[:, stuck[0], stuck[1]] = 65535, 65535
    found = np.argwhere(bad_pixels(dark, flat, 8.0, 3)).tolist()
    assert sorted(map(tuple, found)) == [hot, dead, stuck]
    values = frames.astype(dtype)
    result = replace_bad_pixels(values, dark, flat)
    assert result.dtype == np.dtype(dtype)
    mask = np.zeros(SHAPE, bool)
    mask[tuple(zip(hot, dead, stuck, strict=True))] = True
    np.testing.assert_array_equal(result[:, ~mask], values[:, ~mask])
    assert np.abs(result[:, mask] - clean[:, mask]).max() < 20
    with pytest.raises(AxesError, match="flat"):
        replace_bad_pixels(values, dark, flat[:5])


@pytest.mark.parametrize("dtype", ["uint16", "float32", ">u2"])
@pytest.mark.parametrize("kind", ["bright", "dark", "both"])
def test_the_median_of_a_cube_is_scipys(dtype, kind):
    volume = np.random.default_rng(2).integers(0, 1000, (1, 9, 11, 13)).astype(dtype)
    found = remove_outliers_3d(volume, threshold=200.0, kind=kind)[0]
    middle = scipy.ndimage.median_filter(volume[0].astype(float), 3, mode="nearest")
    difference = volume[0] - middle
    odd = {"bright": difference > 200, "dark": difference < -200, "both": np.abs(difference) > 200}[kind]
    np.testing.assert_array_equal(found, np.where(odd, middle, volume[0]))
    assert odd.any()


def test_zingers_go_where_an_edge_stays():
    """A thin bright wire that stands still is no zinger in time, though it is one in a single frame."""
    rng = np.random.default_rng(3)
    clean = rng.normal(100, 1, (1, 12, 20, 24)).astype(np.float32)
    clean[..., 10] += 300
    volume = clean.copy()
    volume[0, 5, 7, 3], volume[0, 0, 0, 0] = 5000, 4000
    volume[0, 6, 2, 2] = np.nan
    mended = remove_outliers_3d(volume, threshold=600.0)
    assert np.abs(mended - clean).max() < 6
    np.testing.assert_array_equal(mended[..., 10], clean[..., 10])


def beam(rng, count):
    """Flat frames of a beam with two ways to move, and what they are made of."""
    row, column = np.mgrid[: BEAM[0], : BEAM[1]]
    mean = 2000 * (1 + 0.3 * np.sin(row / 5) + 0.1 * np.cos(column / 12))
    ways = np.stack([120 * np.sin(row / 5 + 0.8) * np.cos(column / 60), 60 * np.sin(column / 6)])
    weights = rng.normal(size=(count, 2))
    return mean + np.einsum("nk,kij->nij", weights, ways), mean, ways


def scene(rng):
    row, column = np.mgrid[: BEAM[0], : BEAM[1]]
    thickness = np.sqrt(np.clip(40.0**2 - (row - 48.0) ** 2 - (column - 56.0) ** 2, 0, None))
    sample = np.exp(-0.025 * thickness)
    dark = np.full(BEAM, 100.0, np.float32)
    flats = rng.poisson(beam(rng, 80)[0] + dark).astype(np.uint16)
    frames = rng.poisson(beam(rng, 6)[0] * sample + dark).astype(np.uint16)
    return sample, dark, flats, frames


def test_eigen_flats_are_the_singular_vectors():
    rng = np.random.default_rng(4)
    flats = beam(rng, 12)[0]
    found = principal_images(flats, 3)
    left, size, right = np.linalg.svd((flats - flats.mean(0)).reshape(12, -1), full_matrices=False)
    np.testing.assert_allclose(found[0], flats.mean(0), rtol=1e-6)
    for k in range(2):
        wanted = size[k] * right[k] / np.sqrt(12)
        same = found[1 + k].ravel() @ wanted / (wanted @ wanted)
        assert abs(abs(same) - 1) < 1e-4
    assert np.abs(found[3]).max() < 1e-3 * np.abs(found[2]).max()
    assert left.shape == (12, 12)


def test_each_projection_finds_its_flat_field():
    rng = np.random.default_rng(5)
    sample, dark, flats, frames = scene(rng)
    images = principal_images(flats, 3)
    usual = flat_field(frames, dark, flats.mean(0))
    moving = dynamic_flat_field(frames, dark, images)

    def error(transmission):
        return np.sqrt(np.mean((transmission - sample) ** 2))

    noise = np.sqrt(np.mean(sample / beam(rng, 1)[1]))
    assert error(usual) > 1.7 * noise
    assert error(moving) < 1.1 * noise
    assert abs(moving.mean() - sample.mean()) < 0.01
    still = dynamic_flat_field(frames, dark, np.stack([images[0], images[0] * 0]))
    np.testing.assert_allclose(still, flat_field(frames, dark, images[0]), rtol=1e-5)
    with pytest.raises(AxesError, match="flats"):
        dynamic_flat_field(frames, dark, images[:, :5])


def test_a_job_finds_eigen_flats_and_uses_them():
    rng = np.random.default_rng(6)
    sample, dark, flats, frames = scene(rng)
    source = registry.get("sources", "memory").of(
        frames, angles=np.arange(6.0), dark=dark[None].astype(np.uint16), flat=flats
    )
    flats_found = Node(EigenFlats(components=3), "eigen_flats", {"frames": Reference.parse("source.flat")})
    corrected = Node(
        dynamic_flat_field(),
        "corrected",
        {"frames": Reference.parse("source.data"), "flats": Reference.parse("eigen_flats")},
    )
    job = Job(source, Pipeline((flats_found, corrected)), collect=True)
    found = LocalRunner().start(job).finished(100)["corrected.data"].data
    wanted = dynamic_flat_field(frames, dark, principal_images(flats, 3))
    np.testing.assert_allclose(found, wanted, atol=2e-3)
    assert sample.shape == found.shape[1:]
