"""The light of a pattern: disks of known place and size."""

import numpy as np

from firstlight.kernels.ptycho.middle import pattern_middle
from firstlight.operators.ptychography.bright_spot import bright_spot


def disk(shape, row, col, radius):
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    return (rows - row) ** 2 + (cols - col) ** 2 <= radius**2


def test_the_largest_spot_is_marked_whole_and_alone():
    shape = (60, 80)
    large, small = disk(shape, 25, 50, 11), disk(shape, 48, 12, 5)
    pattern = np.where(large, 400.0, 0.0) + np.where(small, 900.0, 0.0) + 1.0
    pattern[3, 3] = 1e6  # a hot pixel
    pattern[25, 50] = np.nan  # and one that does not measure: a hole in the disk
    found = bright_spot(np.stack([pattern, np.zeros(shape)]))
    large[25, 50] = False
    np.testing.assert_array_equal(found[0], large)
    assert found.dtype == np.uint8
    assert not found[1].any(), "without light there is no spot"
    rows, cols = np.nonzero(found[0])
    box = (rows.min() + rows.max() + 1) // 2, (cols.min() + cols.max() + 1) // 2
    assert box == pattern_middle(np.nan_to_num(pattern)) == (25, 50)


def test_the_threshold_is_a_part_of_the_brightest():
    row = np.exp(-np.abs(np.arange(41) - 20) / 5.0)
    pattern = np.outer(row, row)[np.newaxis]
    for threshold in (0.5, 0.1):
        found = bright_spot(pattern, threshold=threshold)[0]
        # the brightest pixel is told by its neighbours
        np.testing.assert_array_equal(found, pattern[0] > threshold * np.exp(-1 / 5.0))
