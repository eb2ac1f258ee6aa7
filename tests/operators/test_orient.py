"""The eight orientations, beside numpy's and scikit-image's own words for them."""

import numpy as np
import pytest

from firstlight.operators.correct.orient import ORIENTATIONS, orient

FRAME = np.arange(12, dtype=np.uint16).reshape(3, 4)
NUMPY = {
    "identity": lambda a: a,
    "fliplr": np.fliplr,
    "flipud": np.flipud,
    "rot180": lambda a: np.rot90(a, 2),
    "transpose": np.transpose,
    "rot90_ccw": np.rot90,
    "rot90_cw": lambda a: np.rot90(a, -1),
    "antitranspose": lambda a: np.rot90(a, 2).T,
}


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_an_orientation_is_numpys(name):
    found = orient(FRAME[None], to=name)
    np.testing.assert_array_equal(found[0], NUMPY[name](FRAME))
    assert found.dtype == FRAME.dtype


def test_the_eight_differ():
    assert (
        len({orient(FRAME[None], to=name)[0].tobytes() + bytes(orient(FRAME[None], to=name).shape) for name in NUMPY})
        == 8
    )
