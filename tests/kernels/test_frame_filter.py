import numpy as np
import pytest

from firstlight.kernels.frame_filter import FrameFilter

RNG = np.random.default_rng(0)


def test_without_a_gap_it_is_a_periodic_convolution():
    frames = RNG.random((3, 15, 16))
    made = FrameFilter((15, 16), lambda down, across: np.exp(-8 * (down**2 + across**2)), gap=0)
    assert (made.rows, made.columns) == (15, 16)
    f = np.fft.fftfreq(15)[:, None] ** 2 + np.fft.fftfreq(16)[None] ** 2
    wanted = np.fft.ifft2(np.fft.fft2(frames) * np.exp(-8 * f)).real
    np.testing.assert_allclose(made(frames), wanted, atol=1e-6)


@pytest.mark.parametrize("shape", [(11, 13), (1, 40), (64, 7)])
def test_a_constant_stays_and_a_unit_filter_changes_nothing(shape):
    frames = RNG.random((2, *shape)).astype(np.float32)
    same = FrameFilter(shape, lambda down, across: np.ones_like(down * across), gap=20)
    np.testing.assert_allclose(same(frames), frames, atol=1e-6)
    blur = FrameFilter(shape, lambda down, across: 1 / (1 + 50 * (down**2 + across**2)), gap=20)
    np.testing.assert_allclose(blur(np.full((1, *shape), 3.0)), 3.0, rtol=1e-6)


def test_the_rims_do_not_see_each_other():
    """A slope: periodic continuation would make a step of its whole height at the rim."""
    slope = np.broadcast_to(np.linspace(0, 1, 64), (1, 48, 64))
    blur = FrameFilter((48, 64), lambda down, across: np.exp(-200 * (down**2 + across**2)), gap=64)
    np.testing.assert_allclose(blur(slope)[0], slope[0], atol=0.06)
    wrapped = FrameFilter((48, 64), lambda down, across: np.exp(-200 * (down**2 + across**2)), gap=0)
    assert np.abs(wrapped(slope)[0] - slope[0]).max() > 0.4


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="gap"):
        FrameFilter((4, 4), lambda down, across: down * across, gap=-1)
    made = FrameFilter((4, 4), lambda down, across: down * across, gap=0)
    with pytest.raises(ValueError, match="expected"):
        made(np.ones((1, 4, 5), np.float32))
