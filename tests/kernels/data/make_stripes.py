"""Make stripes.npz: what algotom 1.7 and PyWavelets 1.9 give for a small sinogram with planted stripes.

Run it in an environment that has both (`make bench` makes one: .peers/algotom):

    .peers/algotom/bin/python tests/kernels/data/make_stripes.py
"""

from pathlib import Path

import algotom.prep.removal as removal
import numpy as np
import pywt
import scipy.ndimage

ANGLES, COLUMNS = 31, 55


def planted():
    """Transmission of a disk off the axis, noise, and stripes of every kind."""
    rng = np.random.default_rng(18)
    theta = np.linspace(0, np.pi, ANGLES, endpoint=False)[:, None]
    s = np.arange(COLUMNS) - (COLUMNS - 1) / 2 - 6 * np.cos(theta)
    sinogram = np.exp(-0.05 * np.sqrt(np.clip(18.0**2 - s**2, 0, None))) + rng.normal(0, 0.004, (ANGLES, COLUMNS))
    sinogram[:, 12] *= 1.15
    sinogram[:, 30:33] *= 0.9
    sinogram[:, 40] = rng.random(ANGLES)
    sinogram[10:20, 22] += 0.1
    return sinogram.astype(np.float32)


def wavelet(sinogram, level, sigma, name):
    """Combined wavelet and Fourier filter with the damping that the paper gives, centred on frequency 0."""
    gap = min(150, min(sinogram.shape) // 10)
    padded = np.pad(np.pad(sinogram, ((gap, gap), (0, 0)), mode="mean"), ((0, 0), (gap, gap)), mode="edge")
    parts = [list(part) if isinstance(part, tuple) else part for part in pywt.wavedec2(padded, name, level=level)]
    for part in parts[1:]:
        k = np.fft.fftfreq(part[1].shape[0], 1 / part[1].shape[0])
        damping = 1 - np.exp(-(k**2) / (2 * sigma**2))
        part[1] = np.real(np.fft.ifft(np.fft.fft(part[1], axis=0) * damping[:, None], axis=0))
    whole = pywt.waverec2([parts[0], *map(tuple, parts[1:])], name)
    return whole[gap : gap + ANGLES, gap : gap + COLUMNS]


def filtering(sinogram, sigma, size):
    """Algorithm 2 with the Gaussian centred on frequency 0 (algotom's lies half a frequency beside it)."""
    gap = min(150, ANGLES // 10)
    padded = np.pad(sinogram.astype(float), ((gap, gap), (0, 0)), mode="reflect")
    k = np.fft.fftfreq(len(padded), 1 / len(padded))
    window = np.exp(-0.5 * (k / sigma) ** 2)[:, None]
    slow = np.real(np.fft.ifft(np.fft.fft(padded, axis=0) * window, axis=0))[gap : gap + ANGLES]
    order = np.argsort(slow, axis=0)
    even = scipy.ndimage.median_filter(np.take_along_axis(slow, order, 0), (1, size))
    back = np.empty_like(slow)
    np.put_along_axis(back, order, even, 0)
    return back + sinogram - slow


def main():
    sinogram = planted()
    made = {
        "sinogram": sinogram,
        "small": removal.remove_stripe_based_sorting(sinogram, 7),
        "large": removal.remove_large_stripe(sinogram, 3.0, 15),
        "large_plain": removal.remove_large_stripe(sinogram, 3.0, 15, norm=False),
        "dead": removal.remove_dead_stripe(sinogram, 3.0, 15, residual=False),
        "all": removal.remove_all_stripe(sinogram, 3.0, 15, 7),
        "all_wide": removal.remove_all_stripe(sinogram, 3.0, 35, 13),  # two thirds and a quarter of the width
        "interpolation": removal.remove_stripe_based_interpolation(sinogram, 3.0, 15),
        "fourier": removal.remove_stripe_based_fft(sinogram, 6, 4, 1),
        "smoothing": removal.remove_stripe_based_normalization(sinogram, 4, 2, sort=False),
        "filtering": filtering(sinogram, 2.0, 7),
        "wavelet": wavelet(sinogram, 1, 1.5, "db3"),
        "wavelet_haar": wavelet(sinogram, 1, 0.7, "db1"),
    }
    values = {name: np.asarray(array, np.float32) for name, array in made.items()}
    np.savez_compressed(Path(__file__).with_name("stripes.npz"), **values)


if __name__ == "__main__":
    main()
