import pickle
import threading

import numpy as np
import pytest

from firstlight.core import registry
from firstlight.core.errors import FirstlightError
from firstlight.kernels.ellipsoids import SHEPP_LOGAN, ellipsoid_table, plane_coordinates, voxels
from firstlight.kernels.radon import direct_fbp
from firstlight.operators.tomography.fbp import fbp

from .scenes import circle, projections, read_tooth, relative_rms, scan_of

THETA = np.arange(200) * 0.9


def sinograms(center=None, rows=8, size=96, angles=THETA):
    data, theta = projections(size, rows, angles, center)
    return data.transpose(1, 0, 2), theta


def test_values_are_those_of_the_phantom():
    size, rows = 96, 8
    sinogram, theta = sinograms(rows=rows, size=size)
    table = ellipsoid_table(SHEPP_LOGAN, size / 2)
    z = plane_coordinates(rows, descending=True)[3:4]
    truth = 0.02 * voxels(table, z, plane_coordinates(size, descending=True), plane_coordinates(size))[0]
    slices = fbp(sinogram, angle=theta)
    assert slices.shape == (rows, size, size)
    inside = voxels(table, z, plane_coordinates(size, descending=True), plane_coordinates(size))[0]
    brain = np.abs(inside - 0.2) < 1e-6
    assert abs(slices[3][brain].mean() - truth[brain].mean()) < 0.005 * 0.02
    assert relative_rms(slices[3], truth, circle(size)) < 0.12  # 96 pixels: the rest is sampling of sharp edges


def test_equals_direct_back_projection_where_the_filter_is_smooth():
    sinogram, theta = sinograms(center=45.2)
    slow = direct_fbp(sinogram[3], theta, center=45.2, window="parzen")
    fast = fbp(sinogram, angle=theta, center=45.2, filter="parzen")[3]
    assert relative_rms(fast, slow, circle(96)) < 0.04  # linear interpolation blurs at this size


def test_pixel_size_gives_attenuation_per_centimetre():
    sinogram, theta = sinograms()
    per_pixel = fbp(sinogram, angle=theta)
    np.testing.assert_allclose(fbp(sinogram, angle=theta, pixel=0.65), per_pixel / 0.65e-4, rtol=1e-5)
    known, unknown = (
        scan_of(sinogram, pixel=0.65, axes=("row", "angle", "col")),
        scan_of(sinogram, axes=("row", "angle", "col")),
    )
    assert fbp().calibrated(known).pixel == 0.65
    assert fbp(pixel=2.0).calibrated(known).pixel == 2.0
    assert fbp().calibrated(unknown).pixel is None
    assert (fbp().unit(known), fbp().unit(unknown)) == ("1/cm", "1/px")


def test_order_and_turns_of_the_angles_do_not_matter():
    sinogram, theta = sinograms()
    order = np.random.default_rng(0).permutation(len(theta))
    there = fbp(sinogram, angle=theta)
    again = fbp(np.ascontiguousarray(sinogram[:, order]), angle=theta[order] + 720.0)
    assert relative_rms(again, there) < 1e-3


def test_one_center_for_each_row_whatever_the_block():
    sinogram, theta = sinograms(rows=4)
    centers = (46.0, 47.5, 48.0, 49.25)
    whole = fbp(sinogram, angle=theta, center=centers)
    for row, center in enumerate(centers):
        alone = fbp(sinogram[row : row + 1], angle=theta, center=center)[0]
        assert relative_rms(whole[row], alone, circle(96)) < 5e-3
        block = fbp(sinogram[row : row + 1], angle=theta, center=centers, row=np.array([row]))[0]
        assert relative_rms(block, alone, circle(96)) < 5e-3
    with pytest.raises(FirstlightError, match="one for each row"):
        fbp(sinogram[:2], angle=theta, center=centers)


def test_center_unknown_yet_is_the_middle():
    sinogram, theta = sinograms(rows=2)
    np.testing.assert_array_equal(
        fbp(sinogram, angle=theta, center=float("nan")), fbp(sinogram, angle=theta, center=47.5)
    )


def test_angles_are_asked_for_and_checked():
    sinogram, theta = sinograms(rows=2)
    with pytest.raises(FirstlightError, match="angle of each projection"):
        fbp(sinogram)
    with pytest.raises(FirstlightError, match="radian"):
        fbp(sinogram, angle=np.deg2rad(theta))
    with pytest.raises(FirstlightError, match="200"):
        fbp(sinogram, angle=theta[:-1])
    with pytest.raises(FirstlightError, match=r"angle\[7\]"):
        fbp(sinogram, angle=np.where(np.arange(200) == 7, np.nan, theta))


def test_several_threads_share_a_plan():
    sinogram, theta = sinograms(rows=4)
    expected = fbp(sinogram, angle=theta, center=47.0)
    fbp.step().close()
    found = [None] * 4

    def work(number):
        found[number] = fbp(sinogram, angle=theta, center=47.0)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for slices in found:
        np.testing.assert_array_equal(slices, expected)


def test_the_step_tells_its_output():
    scan = scan_of(np.zeros((180, 5, 64), np.float32), axes=("angle", "row", "col"))
    stream = fbp(size=100).after(scan)["data"]
    assert (stream.axes, stream.size("y"), stream.size("x"), stream.dtype) == (("z", "y", "x"), 100, 100, "float32")
    assert stream.size("z") == 5
    assert fbp().after(scan)["data"].size("x") == 64
    assert fbp.step.coordinates == ("angle", "row")
    assert pickle.loads(pickle.dumps(fbp(center=(1.0, 2.0)))) == fbp(center=(1.0, 2.0))


@pytest.mark.parametrize("use", ["fbp", "backproject", "sirt", "astra"])
def test_centers_of_rows_that_are_not_there_are_refused_before_the_first_frame(use):
    part = scan_of(np.zeros((60, 5, 48), np.float32))  # rows of a part count from the first one kept
    step = registry.get("operators", use)(center=tuple(range(20, 28)))
    with pytest.raises(FirstlightError, match=r"one center for each row.*'8 numbers'.*Expected 5"):
        step.calibrated(part)


def test_tooth_is_sharp_at_its_center(tooth):
    attenuation, theta = read_tooth(tooth)
    sinogram = attenuation[:, :1].transpose(1, 0, 2)
    sharpness = [
        float(np.abs(np.diff(fbp(sinogram, angle=theta, center=center, filter="hann")[0], axis=1)).sum())
        for center in (293.0, 296.0, 299.0)
    ]
    assert sharpness[1] == min(sharpness)  # doubled edges have more variation


@pytest.mark.parametrize("kind", [">f4", ">f8", "f2", ">u2"])
def test_any_type_of_number_that_a_file_holds(kind):
    data, theta = projections(16, 2, np.arange(0, 180, 12.0), scale=100.0)
    sinograms = np.round(data.transpose(1, 0, 2) / 8) * 8
    slices = fbp(sinograms.astype(np.float32), angle=theta)
    np.testing.assert_allclose(fbp(sinograms.astype(kind), angle=theta), slices, atol=1e-3 * slices.max())


def test_a_masked_pixel_counts_as_nothing_and_does_not_spread():
    data, theta = sinograms()
    zeroed, masked = data.copy(), data.copy()
    zeroed[:, 7, 3:5], masked[:, 7, 3:5] = 0.0, [np.nan, np.inf]
    np.testing.assert_array_equal(fbp(masked, angle=theta), fbp(zeroed, angle=theta))
