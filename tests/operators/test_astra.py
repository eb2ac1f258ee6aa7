"""The step over the ASTRA toolbox, where that is installed (extra `astra`): the same geometry and values as our own steps."""

import importlib.util

import numpy as np
import pytest

from firstlight.core.errors import MissingExtra
from firstlight.operators.reconstruct.astra import astra
from firstlight.operators.reconstruct.cgls import cgls
from firstlight.operators.reconstruct.sirt import sirt

from .scenes import projections

INSTALLED = importlib.util.find_spec("astra") is not None
THETA = np.arange(0.0, 180.0, 6.0)


def sinograms():
    data, _ = projections(40, 3, THETA, 18.7)
    return np.ascontiguousarray(data.transpose(1, 0, 2))


@pytest.mark.skipif(not INSTALLED, reason="the ASTRA toolbox is not installed: pip install 'firstlight[astra]'")
@pytest.mark.parametrize(("algorithm", "ours", "iterations"), [("SIRT", sirt, 20), ("CGLS", cgls, 3)])
def test_it_gives_what_our_own_steps_give(algorithm, ours, iterations):
    centers = (18.7, 18.7, 19.2)
    found = astra(sinograms(), algorithm=algorithm, iterations=iterations, angle=THETA, center=centers, circle=False)
    wanted = ours(sinograms(), iterations=iterations, angle=THETA, center=centers, circle=False)[0]
    assert np.linalg.norm(found - wanted) < 2e-4 * np.linalg.norm(wanted)


@pytest.mark.skipif(not INSTALLED, reason="the ASTRA toolbox is not installed: pip install 'firstlight[astra]'")
def test_constraints_and_pixel_size():
    given = {"algorithm": "SART", "iterations": 2, "angle": THETA, "center": 18.7}
    slices = astra(sinograms(), nonnegative=True, **given)
    assert slices.min() >= 0
    assert not slices[:, 0, 0].any()
    np.testing.assert_allclose(astra(sinograms(), nonnegative=True, pixel=2.0, **given), slices / 2e-4, rtol=1e-5)


@pytest.mark.skipif(INSTALLED, reason="the ASTRA toolbox is installed")
def test_without_the_toolbox_the_error_names_the_extra():
    with pytest.raises(MissingExtra, match="astra"):
        astra(sinograms(), angle=THETA)
