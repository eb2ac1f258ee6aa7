"""One step of a peer for each line of the standard input: `NAME` in, seconds of the processor out (see steps_rest.py).

Where no library has the step, it is what a program on the CPU does with numpy and scipy: whole arrays, single precision.
"""

from typing import Any

import numpy as np
from answering import answer_names

Data = dict[str, Any]


def minus_log(d: Data) -> Any:
    return -np.log(np.maximum(d["light"], np.float32(1e-6)))


def expression(d: Data) -> Any:
    v = d["light"]
    return np.where(v > 0.5, -np.log(v), np.sqrt(v) * np.float32(2)).astype(np.float32)


def outliers(d: Data) -> Any:
    import scipy.ndimage

    middle = np.stack([scipy.ndimage.median_filter(each, 3, mode="nearest") for each in d["zingers"]])
    return np.where(d["zingers"] - middle > 0.5, middle, d["zingers"])


def bad_pixels(d: Data) -> Any:
    """Medians of the good pixels around each bad one, whose map is known; ours finds it once, too."""
    frames, rows, columns = d["counts"].copy(), *np.nonzero(d["bad"])
    good = np.pad(d["bad"] == 0, 1)
    near = [(i, j) for i in range(3) for j in range(3)]
    ok = np.stack([good[rows + i, columns + j] for i, j in near])
    for frame in frames:
        wide = np.pad(frame, 1, mode="edge")
        window = np.stack([wide[rows + i, columns + j] for i, j in near]).astype(np.float32)
        window[~ok] = np.nan
        frame[rows, columns] = np.round(np.nanmedian(window, axis=0))
    return frames


def _by_region(frames: Any) -> Any:
    return frames / frames[:, 10:-10, 5:60].mean(axis=(1, 2), dtype=np.float32, keepdims=True)


def region(d: Data) -> Any:
    return _by_region(d["long"])


def region_of_counts(d: Data) -> Any:
    return _by_region(d["counts"])


def region_on_the_way(d: Data) -> Any:
    return -np.log(np.maximum(_by_region(_transmission(d)), np.float32(1e-6)))


def _transmission(d: Data) -> Any:
    return (d["counts"] - d["dark"]) / (d["flat"] - d["dark"])


def sides(d: Data) -> Any:
    left, right = (d["light"][..., part].mean(axis=-1) for part in (slice(0, 5), slice(-5, None)))
    return d["light"] / np.linspace(left, right, d["light"].shape[-1], axis=-1).astype(np.float32)


def _by_monitor(frames: Any, d: Data) -> Any:
    return frames * np.resize(100 / d["monitor"], len(frames)).astype(np.float32)[:, None, None]


def monitor(d: Data) -> Any:
    return _by_monitor(d["long"], d)


def monitor_of_counts(d: Data) -> Any:
    return _by_monitor(d["counts"], d)


def monitor_on_the_way(d: Data) -> Any:
    return -np.log(np.maximum(_by_monitor(_transmission(d), d), np.float32(1e-6)))


def bright(d: Data) -> Any:
    return d["light"] / np.percentile(d["light"], 99, axis=-1, keepdims=True).astype(np.float32)


def dark(d: Data) -> Any:
    return d["counts"].astype(np.float32) - d["dark"]


def binned(d: Data) -> Any:
    count, rows, columns = d["counts"].shape
    return d["counts"].reshape(count, rows // 2, 2, columns // 2, 2).mean(axis=(2, 4), dtype=np.float32)


def binned_skimage(d: Data) -> Any:
    from skimage.measure import block_reduce

    return block_reduce(d["counts"], (1, 2, 2), np.mean, func_kwargs={"dtype": np.float32})


def cropped(d: Data) -> Any:
    return np.ascontiguousarray(d["counts"][:, 100:-100, 100:-100])


def padded(d: Data) -> Any:
    return np.pad(d["counts"], ((0, 0), (50, 50), (60, 60)), mode="edge")


def oriented(d: Data) -> Any:
    return np.ascontiguousarray(np.rot90(d["counts"], axes=(1, 2)))


def combined(d: Data) -> Any:
    count, angles, columns = d["sinograms"].shape
    return d["sinograms"].reshape(count, angles // 2, 2, columns).mean(axis=2, dtype=np.float32)


def components(d: Data) -> Any:
    """Principal components of flat frames by the singular values of all of them."""
    flats = d["flats"].reshape(len(d["flats"]), -1).astype(np.float32)
    mean = flats.mean(axis=0)
    _, values, images = np.linalg.svd(flats - mean, full_matrices=False)
    return np.concatenate([mean[None], images[:4] * values[:4, None] / np.sqrt(len(flats))])


def _filtered(frames: Any, response: Any) -> Any:
    """As HTTomo and tomopy filter frames: padded to the next power of two, complex transforms."""
    import scipy.fft

    size, wide = frames.shape[1], len(response)
    before = (wide - size) // 2
    rims = (before, wide - size - before)
    found = np.empty_like(frames)
    for frame, out in zip(frames, found, strict=True):
        spectrum = scipy.fft.fft2(np.pad(frame, (rims, rims), mode="edge"), workers=1) * response
        out[...] = scipy.fft.ifft2(spectrum, workers=1).real[before : before + size, before : before + size]
    return found


def _frequencies(d: Data) -> Any:
    wide = 1 << int(np.ceil(np.log2(d["light"].shape[1] + 1)))
    return np.fft.fftfreq(wide)[:, None] ** 2 + np.fft.fftfreq(wide)[None] ** 2


def tie(d: Data) -> Any:
    return _filtered(d["light"], (1 / (1 + 500 * _frequencies(d))).astype(np.float32))


def ctf(d: Data) -> Any:
    swing = np.sin(80 * _frequencies(d))
    return _filtered(d["light"], (swing / (swing**2 + 1e-3)).astype(np.float32))


def center_pair(d: Data) -> Any:
    import algotom.prep.calculation as calculation

    return float(calculation.find_center_projection(d["first"], d["last"], ncore=1))


def center_phases(d: Data) -> Any:
    import algotom.prep.calculation as calculation

    return float(calculation.find_center_based_phase_correlation(d["first"], d["last"]))


def overlap(d: Data) -> Any:
    import algotom.prep.calculation as calculation

    return float(calculation.find_overlap(d["left_tile"], d["right_tile"], 60, side=1, ncore=1)[0])


def stitched(d: Data) -> Any:
    import algotom.prep.conversion as conversion

    return conversion.stitch_image(d["tiles"][0, 0], d["tiles"][0, 1], 100, 1, norm=False)


def disk(d: Data) -> Any:
    size = d["slices"].shape[1]
    y, x = np.ogrid[:size, :size]
    inside = (y - (size - 1) / 2) ** 2 + (x - (size - 1) / 2) ** 2 <= (0.95 * size / 2) ** 2
    return np.where(inside, d["slices"], np.float32(0))


def labelled(d: Data) -> Any:
    return np.digitize(d["slices"], [0.9, 1.0, 1.1]).astype(np.uint8)


def resized(d: Data) -> Any:
    import scipy.ndimage

    return np.stack([scipy.ndimage.zoom(each, 0.75, order=1, grid_mode=True, mode="nearest") for each in d["slices"]])


def resized_skimage(d: Data) -> Any:
    from skimage.transform import resize

    shape = (3 * d["slices"].shape[1] // 4,) * 2
    return np.stack([resize(each, shape, order=1, anti_aliasing=False, mode="edge") for each in d["slices"]])


def likeness(d: Data) -> Any:
    from skimage.metrics import structural_similarity

    return structural_similarity(d["volume"], d["truth"], data_range=1.0, gaussian_weights=True, sigma=1.5)


def shells(d: Data) -> Any:
    """Fourier shell correlation with whole complex transforms and histograms."""
    one, other = (np.fft.fftn(d[name]) for name in ("volume", "truth"))
    size = d["volume"].shape[0]
    f = np.fft.fftfreq(size) * size
    shell = np.rint(np.sqrt(f[:, None, None] ** 2 + f[None, :, None] ** 2 + f**2)).astype(int).ravel()
    both, a, b = (
        np.bincount(shell, weights.ravel())
        for weights in ((one * other.conj()).real, np.abs(one) ** 2, np.abs(other) ** 2)
    )
    return (both / np.sqrt(a * b))[: size // 2 + 1]


def mean_of_frames(d: Data) -> Any:
    return d["sets"].mean(axis=0, dtype=np.float64).astype(np.float32)


def mean_and_deviation(d: Data) -> Any:
    return d["sets"].std(axis=0, dtype=np.float64), d["sets"].mean(axis=0, dtype=np.float64)


def middle(d: Data) -> Any:
    return np.median(d["sets"], axis=0)


def signal(d: Data) -> Any:
    """Immerkaer's estimate of noise by a convolution, and the median of what it leaves."""
    import scipy.ndimage

    mask = np.outer([1, -2, 1], [1, -2, 1]).astype(np.float32)
    left = (np.median(np.abs(scipy.ndimage.convolve(each, mask)[1:-1, 1:-1])) for each in d["slices"])
    return d["slices"].mean(axis=(1, 2)) / np.array([each / (6 * 0.6744897501960817) for each in left])


def variation(d: Data) -> Any:
    """Twenty rounds of the total-variation step, as iterative methods take it."""
    from skimage.restoration import denoise_tv_chambolle

    return np.stack([denoise_tv_chambolle(each, weight=0.1, eps=0, max_num_iter=20) for each in d["slices"]])


if __name__ == "__main__":
    answer_names(globals())
