"""One step for each line of the standard input: `NAME` in, seconds of the processor out (see steps_straight.py).

Written as one writes it with numpy, scipy and scikit-image: whole arrays, a loop over projections.
"""

from typing import Any

import numpy as np
from answering import answer_names

Data = dict[str, Any]


def _gathered(d: Data, matrices: Any) -> Any:
    """Each voxel's place on the detector, and what lies there, for all voxels at once."""
    import scipy.ndimage

    size = d["volume"].shape[0]
    z, y, x = np.meshgrid(*(np.arange(size, dtype=np.float32),) * 3, indexing="ij")
    out = np.zeros((size,) * 3, np.float32)
    for image, m in zip(d["projections"], matrices.astype(np.float32), strict=True):
        col, row, far = (m[k, 0] * x + m[k, 1] * y + m[k, 2] * z + m[k, 3] for k in range(3))
        out += scipy.ndimage.map_coordinates(image, (row / far, col / far), order=1) / (far * far)
    return out


def cone(d: Data) -> Any:
    return _gathered(d, d["cone_matrices"])


def tilted(d: Data) -> Any:
    return _gathered(d, d["tilted_matrices"])


def projected(d: Data) -> Any:
    """Rays from plane to plane across their steepest axis (Joseph), all rays of a projection at once."""
    import scipy.ndimage

    volume = d["volume"]
    size = volume.shape[0]
    row, col = (each.reshape(-1, 1) for each in np.mgrid[:size, :size])
    planes = np.arange(size)
    out = np.zeros((len(d["corner"]), size * size), np.float32)
    for n, (source, corner, across, down) in enumerate(
        zip(d["source"], d["corner"], d["across"], d["down"], strict=True)
    ):
        start = corner + row * down + col * across
        slope = start - source
        steepest = np.abs(slope).argmax(axis=1)
        for axis in range(3):
            rays = np.flatnonzero(steepest == axis)
            if rays.size == 0:
                continue
            along = slope[rays] / slope[rays, axis, None]
            places = start[rays, :, None] + along[..., None] * (planes - start[rays, axis, None])[:, None]
            values = scipy.ndimage.map_coordinates(volume, places.transpose(1, 0, 2), order=1, mode="grid-constant")
            out[n, rays] = values.sum(axis=1) * np.linalg.norm(along, axis=1)
    return out.reshape(-1, size, size)


def flats(d: Data) -> Any:
    """The weights of least total variation by a simplex search, on frames of a quarter of the size (Van Nieuwenhove 2015)."""
    import scipy.optimize

    def small(image: Any) -> Any:
        rows, columns = image.shape
        return image.reshape(rows // 4, 4, columns // 4, 4).mean(axis=(1, 3))

    dark, mean, parts = d["dark"], d["eigen"][0], d["eigen"][1:]
    coarse_dark, coarse_mean, coarse = small(dark), small(mean), np.stack([small(part) for part in parts])
    found = []
    for frame in d["frames"]:
        light = small(frame.astype(np.float32)) - coarse_dark

        def variation(weights: Any, light: Any = light) -> float:
            corrected = light / (coarse_mean + np.tensordot(weights, coarse, 1) - coarse_dark)
            down, right = np.diff(corrected, axis=0)[:, :-1], np.diff(corrected, axis=1)[:-1]
            return float(np.hypot(down, right).sum())

        best = scipy.optimize.minimize(variation, np.zeros(len(parts)), method="Nelder-Mead").x
        found.append((frame - dark) / (mean + np.tensordot(best, parts, 1) - dark))
    return np.stack(found).astype(np.float32)


def aligned(d: Data) -> Any:
    """Two rounds of reconstruction, projection, registration and shift."""
    import scipy.ndimage
    from skimage.registration import phase_cross_correlation
    from skimage.transform import iradon, radon

    frames, theta = d["shaken"], d["theta"]
    shifts = np.zeros((len(frames), 2))
    for _ in range(2):
        current = np.stack(
            [scipy.ndimage.shift(f, -s, order=1, mode="nearest") for f, s in zip(frames, shifts, strict=True)]
        )
        slices = [np.maximum(iradon(current[:, k].T, theta, filter_name="hann"), 0) for k in range(frames.shape[1])]
        expected = np.stack([radon(each, theta).T for each in slices], axis=1)
        found = [phase_cross_correlation(e, c, upsample_factor=20)[0] for e, c in zip(expected, current, strict=True)]
        shifts = shifts - np.array(found)
    return shifts


if __name__ == "__main__":
    answer_names(globals())
