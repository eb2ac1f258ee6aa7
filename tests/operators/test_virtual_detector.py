import numpy as np
import pytest

from firstlight.core.errors import FirstlightError
from firstlight.operators.stem.virtual_detector import virtual_detector

from .scenes import scan_of

FRAMES = np.random.default_rng(0).integers(0, 4096, (6, 12, 10), dtype=np.uint16)
ROWS, COLS = np.mgrid[:12, :10]


def test_disk_and_annulus_sum_what_lies_inside():
    radius = np.hypot(ROWS - 5, COLS - 4.5)
    disk = virtual_detector(FRAMES, center=(5, 4.5), outer=3.0)
    np.testing.assert_array_equal(disk, FRAMES[:, radius <= 3].sum(1))
    ring = virtual_detector(FRAMES, shape="annulus", center=(5, 4.5), inner=3.5, outer=6)
    np.testing.assert_array_equal(ring, FRAMES[:, (radius >= 3.5) & (radius <= 6)].sum(1))


def test_mask_weights_or_selects():
    mask = ((ROWS + COLS) % 2).astype(float)
    plain = virtual_detector(FRAMES, shape="mask", mask=tuple(map(tuple, mask)))
    assert plain.dtype.kind == "u"
    np.testing.assert_array_equal(plain, (FRAMES * mask.astype(int)).sum((1, 2)))
    weighted = virtual_detector(FRAMES, shape="mask", mask=tuple(map(tuple, mask / 2)))
    np.testing.assert_allclose(weighted, plain / 2)


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32"])
def test_the_step_tells_its_output(dtype):
    frames = FRAMES.astype(dtype).reshape(2, 3, 12, 10)
    scan = scan_of(frames, axes=("scan_y", "scan_x", "row", "col"))
    step = virtual_detector(outer=3)
    stream = step.after(scan)["data"]
    assert (stream.axes, stream.dtype) == (("scan_y", "scan_x"), step.run(frames.reshape(6, 12, 10)).dtype.name)


def test_mistakes_are_named():
    with pytest.raises(FirstlightError, match="needs a mask"):
        virtual_detector(FRAMES, shape="mask")
    with pytest.raises(FirstlightError, match="not as large"):
        virtual_detector(FRAMES, shape="mask", mask=((1.0, 0.0),))
    with pytest.raises(FirstlightError, match="inner"):
        virtual_detector(FRAMES, shape="annulus", inner=5, outer=3)
