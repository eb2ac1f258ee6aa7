"""Fewer projections, and slices of another size: means and places in closed form."""

import numpy as np
import pytest

import firstlight as fl
from firstlight.connectors.memory.source import MemorySource
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import AxesError
from firstlight.core.units import Quantity
from firstlight.operators.after.resample import resample
from firstlight.operators.correct.combine_projections import combine_projections


def places(count, size):
    """Middles of `count` pixels in a row of `size` pixels, in those pixels."""
    return (np.arange(count) + 0.5) * size / count - 0.5


@pytest.mark.parametrize(("width", "height"), [(7, 5), (40, 31), (20, None)])
def test_a_ramp_stays_where_it_was(width, height):
    """A linear function is met exactly by linear interpolation, but for the half pixel beyond the outermost middles."""
    y, x = np.indices((18, 20))
    slices = (3.0 * y - 2.0 * x)[None].astype(np.float32)
    found = resample(slices, width=width, height=height)
    rows, columns = (np.clip(places(n, size), 0, size - 1) for n, size in ((height or width, 18), (width, 20)))
    np.testing.assert_allclose(found[0], 3.0 * rows[:, None] - 2.0 * columns, atol=1e-4)


def test_a_wave_is_met_between_its_samples():
    phase = 2 * np.pi / 16
    slices = np.broadcast_to(np.sin(phase * np.arange(64)), (1, 64, 64)).astype(np.float32)
    found = resample(slices, width=150, interpolation="cubic")[0, 75, 10:-10]
    assert np.abs(found - np.sin(phase * places(150, 64)[10:-10])).max() < 2e-3
    nearest = resample(slices, width=128, interpolation="nearest")
    np.testing.assert_array_equal(nearest[0, 0, ::2], slices[0, 0])


def test_voxels_grow_with_the_slice():
    scan = Scan(
        {MAIN: Stream(("z", "y", "x"), {"z": 3, "y": 40, "x": 60}, "float32")},
        calibration={"pixel": Quantity(2.0, "um")},
    )
    assert resample.step(width=30).calibration(scan)["pixel"] == Quantity(4.0, "um")


def test_successive_projections_are_averaged_at_the_mean_of_their_angles():
    data = np.random.default_rng(0).integers(0, 4000, (7, 3, 9)).astype(np.uint16)
    found = combine_projections(data.transpose(1, 0, 2), count=3)
    wanted = data[:6].reshape(2, 3, 3, 9).mean(axis=1).transpose(1, 0, 2)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    theta = np.arange(7) * 25.0
    source = MemorySource.of(data, angles=theta)
    steps = [fl.step("combine_projections", count=3), fl.step("backproject")]
    volume = fl.run(source, steps).finished(timeout=60)["backproject"].data
    fewer = MemorySource.of(wanted.transpose(1, 0, 2), angles=theta[:6].reshape(2, 3).mean(axis=1))
    again = fl.run(fewer, [fl.step("backproject")]).finished(timeout=60)["backproject"].data
    np.testing.assert_allclose(volume, again, atol=1e-5 * np.abs(again).max())


def test_angles_that_start_over_within_a_group_are_averaged_across_the_seam():
    coords = {"angle": np.array([[350.0, 355.0, 0.0, 5.0, 10.0, 15.0]])}
    found = combine_projections.step.hooks["coordinates"](combine_projections.step(count=3), coords)["angle"]
    np.testing.assert_allclose(np.mod(found, 360.0), [[355.0, 10.0]])
    found = combine_projections.step.hooks["coordinates"](combine_projections.step(count=2), coords)["angle"]
    np.testing.assert_allclose(np.mod(found, 360.0), [[352.5, 2.5, 12.5]])


def test_too_few_projections_are_refused():
    with pytest.raises(AxesError, match="fewer projections"):
        combine_projections(np.zeros((2, 3, 8), np.float32), count=4)
