"""How far a volume is from the truth."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError
from firstlight.core.operator import operator
from firstlight.kernels.similarity import peak_signal_to_noise, root_mean_square, structural_similarity


@operator("z y x, z y x -> relative: , rms: , psnr: , ssim: ", cites=["10.1109/TIP.2003.819861"])
def compare_with_truth(
    volumes: Array, truth: Array, *, inside: Annotated[float, Field(gt=0, le=2)] | None = 0.95
) -> dict[str, Array]:
    """Compare a volume with the truth, such as that of a phantom: root mean square difference, PSNR and SSIM.

    Args:
        volumes: shape (volume, z, y, x).
        truth: shape (z, y, x): a stream of the source, or another step.
        inside: Diameter of the cylinder that counts, over the shorter side of a slice; what lies outside is 0 in both.
            None: everything counts.

    Returns:
        Difference over the root mean square of the truth, difference itself, peak signal to noise in dB (range of the truth), mean
        structural similarity (NaN where a side is shorter than 11). A value that is not finite leaves no number.

    Raises:
        FirstlightError: the shapes differ.
    """
    if truth.shape != volumes.shape[1:]:
        raise FirstlightError(
            "The truth has another shape than the volume.",
            field="truth",
            value=truth.shape,
            expected=str(volumes.shape[1:]),
        )
    kept = _cylinder(truth.shape[1:], inside)
    real = np.where(kept, truth, 0.0)
    size, span = float(np.sqrt(np.mean(real**2))), float(np.ptp(real)) or 1.0
    rows: list[tuple[float, ...]] = []
    for volume in volumes:
        found = np.where(kept, volume, 0.0)
        rms = root_mean_square(found, real)
        comparable = min(real.shape) > 10 and np.isfinite(rms)
        alike = structural_similarity(found, real, data_range=span) if comparable else float("nan")
        rows.append(
            (rms / size if size else float("nan"), rms, peak_signal_to_noise(found, real, data_range=span), alike)
        )
    columns = np.array(rows, np.float32).T
    return dict(zip(("relative", "rms", "psnr", "ssim"), columns, strict=True))


def _cylinder(shape: tuple[int, ...], inside: float | None) -> Array:
    if inside is None:
        return np.ones(shape, np.bool_)
    y, x = (np.arange(length) - (length - 1) / 2 for length in shape)
    return y[:, None] ** 2 + x[None] ** 2 <= (inside * min(shape) / 2) ** 2
