"""What engines worked on, as files: another program that knows nothing of ours finds the same fit in them."""

import numpy as np

from firstlight.core import registry
from firstlight.kernels.ptycho.phantom import simulate

from .test_ptychography import solved

TRUTH = simulate(window=24, scan=(6, 6), photons=1e6)
FRAMES = np.fft.fftshift(TRUTH.counts, axes=(1, 2)).astype(np.uint16)
NAMES = ["diff_d.npy", "engine_feed_dps.npy", "point_info_d.npy"]


def written(folder, frames=FRAMES, order=None):
    step = registry.get("operators", "ptychography")(iterations=8, probe_defocus=0.0, inputs_folder=folder)
    found, state = solved(step, frames, TRUTH.corners.astype(np.float64), order=order)
    step.conclude(state)
    return found, state


def test_the_files_hold_what_the_error_is_made_of(tmp_path):
    found, state = written(tmp_path / "dump", order=np.random.default_rng(0).permutation(36))
    assert sorted(path.name for path in (tmp_path / "dump").iterdir()) == NAMES
    amplitudes, counts, windows = (np.load(tmp_path / "dump" / name) for name in NAMES)
    assert (amplitudes.dtype, windows.dtype) == (np.float32, np.int32)
    # in the order of the ids, x first, zero frequency in the middle
    np.testing.assert_allclose(counts, FRAMES.swapaxes(1, 2), rtol=1e-5)
    image, probe = state.canvas.image.T, state.probe[0].T
    waves = [np.fft.fft2(probe * image[a:b, c:d], norm="ortho") for a, b, c, d in windows]
    error = ((np.abs(waves) - amplitudes) ** 2).sum() / (amplitudes**2).sum()
    assert 0.5 * found["error"][-1] < error < found["error"][-1], "one round further"


def test_pixels_that_do_not_measure_are_dark_and_a_full_disk_ends_nothing(tmp_path, caplog):
    frames = FRAMES.copy()
    frames[3, 5, 7] = 65535
    written(tmp_path, frames)
    assert not np.load(tmp_path / "engine_feed_dps.npy")[:, 7, 5].any()
    (tmp_path / "file").write_text("")
    found, _ = written(tmp_path / "file")
    assert len(found["error"]) == 8
    assert "was not written" in caplog.text
