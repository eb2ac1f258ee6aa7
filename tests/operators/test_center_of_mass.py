import numpy as np
import pytest

from firstlight.operators.stem.center_of_mass import center_of_mass

from .scenes import scan_of


def patterns(shifts, dtype):
    rows, cols = np.mgrid[:32, :40]
    return np.stack([1000 * np.exp(-((rows - 15.5 - r) ** 2 + (cols - 19.5 - c) ** 2) / 8) for r, c in shifts]).astype(
        dtype
    )


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_shift_of_a_disk(dtype):
    shifts = [(0, 0), (2.5, -3), (-1, 4)]
    row, col = center_of_mass(patterns(shifts, dtype))
    np.testing.assert_allclose(np.stack([row, col], 1), shifts, atol=0.01)


def test_what_lies_outside_and_empty_patterns():
    frames = patterns([(1, 1), (0, 0)], "uint16")
    frames[0, 0, 0] = 60_000
    frames[1] = 0
    row, col = center_of_mass(frames, radius=12)
    np.testing.assert_allclose(row, [1, 0], atol=0.02)
    np.testing.assert_allclose(col, [1, 0], atol=0.02)


def test_the_step_tells_its_outputs():
    scan = scan_of(np.zeros((2, 3, 8, 8), np.uint8), axes=("scan_y", "scan_x", "row", "col"))
    streams = center_of_mass().after(scan)
    assert {name: stream.axes for name, stream in streams.items()} == {
        "row_shift": ("scan_y", "scan_x"),
        "col_shift": ("scan_y", "scan_x"),
    }
