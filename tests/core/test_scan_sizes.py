"""The axes of a scan: by the user, by the detector, and errors before data are lost."""

import pytest

from firstlight.core.errors import SourceError
from firstlight.core.scan_sizes import scan_sizes


@pytest.mark.parametrize(
    ("total", "y", "x", "told", "sizes"),
    [
        (12, None, None, None, {"position": 12}),
        (None, None, None, None, {"position": None}),
        (12, None, None, (3, 4), {"scan_y": 3, "scan_x": 4}),
        (12, 2, 6, (3, 4), {"scan_y": 2, "scan_x": 6}),
        (None, 2, 6, None, {"scan_y": 2, "scan_x": 6}),
        (12, 3, None, None, {"scan_y": 3, "scan_x": 4}),
        (12, None, 3, None, {"scan_y": 4, "scan_x": 3}),
    ],
)
def test_sizes(total, y, x, told, sizes):
    assert scan_sizes(total, y, x, told=told) == sizes


@pytest.mark.parametrize(
    ("total", "y", "x", "expected"),
    [(12, 3, 5, r"series 7.*15 frames"), (12, 5, None, "multiple of 5"), (None, 5, None, "scan_y and scan_x")],
)
def test_what_does_not_fit_is_told(total, y, x, expected):
    with pytest.raises(SourceError, match=expected):
        scan_sizes(total, y, x, says="series 7")
