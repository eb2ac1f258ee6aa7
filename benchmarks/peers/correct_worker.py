"""One step of a peer for each line of the standard input: `NAME` in, seconds of the processor out (see steps_correct.py)."""

from typing import Any

import numpy as np
from answering import answer_names

Data = dict[str, Any]


def sorting(d: Data) -> Any:
    import algotom.prep.removal as removal

    return removal.remove_stripe_based_sorting(d["sinogram"], 21)


def filtering(d: Data) -> Any:
    import algotom.prep.removal as removal

    return removal.remove_stripe_based_filtering(d["sinogram"], 3, 21)


def large(d: Data) -> Any:
    import algotom.prep.removal as removal

    return removal.remove_large_stripe(d["sinogram"], 3.0, 51)


def dead(d: Data) -> Any:
    import algotom.prep.removal as removal

    return removal.remove_dead_stripe(d["sinogram"], 3.0, 51, residual=False)


def every_kind(d: Data) -> Any:
    import algotom.prep.removal as removal

    return removal.remove_all_stripe(d["sinogram"], 3.0, 51, 21)


def interpolation(d: Data) -> Any:
    import algotom.prep.removal as removal

    return removal.remove_stripe_based_interpolation(d["sinogram"], 3.0, 51)


def wavelet(d: Data) -> Any:
    import algotom.prep.removal as removal

    return removal.remove_stripe_based_wavelet_fft(d["sinogram"], 5, 1, "db9")


def fourier(d: Data) -> Any:
    import algotom.prep.removal as removal

    return removal.remove_stripe_based_fft(d["sinogram"], 20, 8, 1)


def smoothing(d: Data) -> Any:
    import algotom.prep.removal as removal

    return removal.remove_stripe_based_normalization(d["sinogram"], 15, 1, sort=False)


def titarenko(d: Data) -> Any:
    import algotom.prep.removal as removal

    return removal.remove_stripe_based_regularization(d["sinogram"], 0.01, 1, apply_log=False, sort=False)


def fitting(d: Data) -> Any:
    import algotom.prep.removal as removal

    return removal.remove_stripe_based_fitting(d["sinogram"], 2, 10)


def rings(d: Data) -> Any:
    import algotom.post.postprocessing as post

    return post.remove_ring_based_wavelet_fft(d["slice"], 5, 1)


def undistort(d: Data) -> Any:
    import algotom.prep.correction as correction

    return correction.unwarp_projection(d["frame"], 500.0, 510.0, [1.0, 1e-5, -1e-8])


def rotate_skimage(d: Data) -> Any:
    from skimage.transform import rotate

    return rotate(d["frame"], 3.0, order=1, mode="edge", preserve_range=True)


def rotate_scipy(d: Data) -> Any:
    import scipy.ndimage

    return scipy.ndimage.rotate(d["frame"], 3.0, reshape=False, order=1, mode="nearest")


def register(d: Data) -> Any:
    from skimage.registration import phase_cross_correlation

    return phase_cross_correlation(d["frame"], d["moved"], upsample_factor=20)[0]


def outliers_scipy(d: Data) -> Any:
    import scipy.ndimage

    middle = scipy.ndimage.median_filter(d["volume"], 3, mode="nearest")
    return np.where(d["volume"] - middle > 0.5, middle, d["volume"])


def polynomial(d: Data) -> Any:
    return np.polyval(np.array([0.01, -0.02, 0.1, 1.0, 0.0], np.float32), d["frame"])


if __name__ == "__main__":
    answer_names(globals())
