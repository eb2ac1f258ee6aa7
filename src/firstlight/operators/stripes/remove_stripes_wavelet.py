"""Stripes in the vertical detail of a wavelet transform."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.operator import operator
from firstlight.kernels import stripe_filters

from .sinogram import each_sinogram, keep_unit, work_on_cuda


@operator(
    "angle col -> angle col",
    cites=["10.1364/OE.17.008567"],
    sentence="Stripes were removed by combined wavelet (db{moments}, {level} levels) and Fourier filtering ({sigma:damping}).",
)
def remove_stripes_wavelet(
    sinograms: Array,
    *,
    level: Annotated[int, Field(ge=1, le=16)] = 5,
    sigma: Annotated[float, Field(gt=0, le=100)] = 1.0,
    moments: Annotated[int, Field(ge=1, le=20)] = 9,
) -> Array:
    """Remove stripes by damping low frequencies along the angles in a wavelet's vertical detail (Münch et al. 2009).

    Works on transmission and on attenuation.

    Args:
        sinograms: shape (row, angle, col).
        level: Levels of the transform: stripes up to some 2^level columns wide. No more than the sinogram allows.
        sigma: Damping: frequencies below about so many periods over all angles go. Larger removes more.
        moments: Vanishing moments of Daubechies' wavelet; 9 is the wavelet called db9.

    Returns:
        float32 of the same shape and unit; NaN stays NaN.
    """
    return each_sinogram(
        sinograms, lambda sinogram, _: stripe_filters.remove_by_wavelets(sinogram, level, sigma, moments)
    )


keep_unit(remove_stripes_wavelet, 7)


def _on_cuda(sinograms: Any, *, level: int, sigma: float, moments: int) -> Any:
    from firstlight.kernels.cuda.stripe_filters import remove_by_wavelets

    return remove_by_wavelets(sinograms, level, sigma, moments)


work_on_cuda(remove_stripes_wavelet, 9, _on_cuda)
