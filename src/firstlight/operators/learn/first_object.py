"""A network's image as the object that iterations begin with."""

from __future__ import annotations

from typing import Any

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.core.errors import StepFailed

from .models import chosen_model, find_model
from .mosaic import Mosaic
from .prediction import Prediction, leveled, normalization_of, weights_of
from .session import load_network

_BLOCK = 64
"""Frames at once."""


def object_from_network(
    model: str | None, amplitudes: Any, corners: Ids, shape: tuple[int, int], probe: Array | None = None
) -> Array:
    """What a network makes of the frames; 1 where none of its patches lies. Shape (y, x), complex64, mean phase 0.

    Args:
        model: Name of the network; None: the chosen one.
        amplitudes: Shape (position, v, u), read in slices; zero frequency at the corner, zero where a pixel does not measure.
        corners: First row and column of each window, shape (position, 2), int64.
        shape: Rows and columns of the object.
        probe: Of this scan, shape (v, u), complex; a network that can be told one computes with it.

    Raises:
        StepFailed: The network takes frames of another size.
    """
    network = load_network((chosen_model() if model is None else find_model(model)).path)
    window = tuple(amplitudes[:1].shape[1:])
    if window != network.window:
        raise StepFailed(
            f"The network '{network.path.stem}' takes frames of {network.window[0]} × {network.window[1]} pixels, and these"
            f" have {window[0]} × {window[1]}.",
            field="first_object",
            value="network",
            next_move="Choose a network for such frames, or let the object begin otherwise.",
        )
    if probe is not None and network.takes_probe:
        network = network.knowing(probe)
    normalization = normalization_of(network, None)
    prediction = Prediction(network, normalization, 1.0, "identity", "identity", corner=True, saturation=None)
    mosaic = Mosaic(weights_of(network, "auto", None, "identity"), np.ones(2), np.inf)
    for start in range(0, len(corners), _BLOCK):
        some = slice(start, min(start + _BLOCK, len(corners)))
        counts = np.square(np.asarray(amplitudes[some], np.float32))
        mosaic.add(np.arange(some.start, some.stop), prediction.patches(counts), corners[some], subpixel=False)
    mosaic.settle()
    image, coverage, spread = mosaic.together()
    image, _ = leveled(image, spread, coverage, relative=normalization is None)
    top, left = (int(n) for n in corners.min(axis=0))
    found = np.ones(shape, np.complex64)
    lit = coverage > 0.01 * coverage.max()
    found[top : top + image.shape[0], left : left + image.shape[1]][lit] = image[lit]
    return found
