"""Grey values: from floats to integers."""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray


def to_integers(values: NDArray[Any], *, low: float, high: float, bits: int) -> NDArray[Any]:
    """Map values from `low` to `high` to 0 … 2^bits - 1, rounded; what lies beyond is clipped, NaN becomes 0.

    Args:
        values: any shape; floats or integers.
        low: value that becomes 0.
        high: value that becomes 2^bits - 1.
        bits: 8 or 16.

    Returns:
        uint8 or uint16 of the same shape.

    Raises:
        ValueError: other bits, or limits that do not rise.
    """
    if bits not in (8, 16) or not high > low:
        raise ValueError(f"bits is {bits} and the limits are {low} to {high}; expected 8 or 16, and a rising range.")
    top = (1 << bits) - 1
    wide = values.dtype.itemsize > (4 if values.dtype.kind == "f" else 2)  # what float32 would not tell apart
    given = np.asarray(values, np.float64 if wide else np.float32)
    flat = np.ascontiguousarray(given).reshape(-1)
    out = np.empty(flat.size, np.uint8 if bits == 8 else np.uint16)
    kind = flat.dtype.type
    _scale(flat, kind(low), kind(top / (high - low)), kind(top), out)
    return out.reshape(values.shape)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _scale(values: Any, low: Any, factor: Any, top: Any, out: Any) -> None:
    half = factor * 0 + values.dtype.type(0.5)
    for n in range(values.size):
        grey = (values[n] - low) * factor
        grey = grey if grey > 0 else top * 0  # NaN too
        out[n] = (grey if grey < top else top) + half
