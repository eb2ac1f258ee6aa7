"""What a network of ptychography predicts for each frame, one by one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import StepFailed
from firstlight.core.operator import Operator, operator
from firstlight.operators.ptychography.orientation import Orientation, exchanges

from .models import chosen_model, find_model
from .prediction import Prediction, network_with, normalization_of
from .session import Device


@operator(
    "row col -> part v u",
    cites=["10.1063/5.0013065"],
    sentence="A neural network predicted amplitude and phase of the object in the window of each frame.",
)
def network_patches(
    frames: Array,
    *,
    model: Annotated[str, Field(max_length=120)] | None = None,
    model_file: Path | None = None,
    probe: Path | None = None,
    probe_orientation: Orientation = "identity",
    device: Device = "cpu",
    normalization: Annotated[float, Field(gt=0)] | Literal["frame"] | None = None,
    scale: Annotated[float, Field(gt=0)] = 1.0,
    saturation: Annotated[float, Field(gt=0)] | None = None,
    orientation: Orientation = "identity",
    patch_orientation: Orientation = "identity",
    zero_frequency: Literal["center", "corner"] = "center",
) -> Array:
    """Predict amplitude and phase of the object in the window of each frame, as `ptychography_network` does before it puts them together.

    Args:
        frames: photon counts in the far field, shape (frame, row, col).
        model: Name of the network, with its version (`name_v2`) or without: the newest; default: the one chosen by
            `firstlight model set`.
        model_file: ONNX file with the network, in place of a name.
        probe: File with the probe of this scan (``.npy``, or HDF5), for a network that can be told one; default: the one in its
            own file.
        probe_orientation: How that probe is turned and mirrored.
        device: What runs the network: `cpu`, `cuda` or `tensorrt`, which need firstlight[learn-gpu]; of several GPUs one, such as
            `cuda:1`.
        normalization: Counts by which frames are divided, or `frame`: by each frame's own mean; default: what the network's file
            says.
        scale: Counts are multiplied by this after they are divided by `normalization`; their root is the amplitude.
        saturation: Pixels with this count or more are taken as dark; default: those at the largest value of their type.
        orientation: How frames are turned and mirrored before use (names as in `orient`).
        patch_orientation: How the network's patches are turned and mirrored.
        zero_frequency: Where the far field's zero frequency is: in the middle of the frame, or its first pixel.

    Returns:
        float32, shape (frame, 2, v, u): amplitude, and phase in radian, which is known up to a constant for each frame.

    Raises:
        UnknownName: there is no network of that name.
        StepFailed: the network does not fit the frames or the probe, or does not say how they are normalised.
    """
    path = model_file or (chosen_model() if model is None else find_model(model)).path
    network = network_with(path, device, probe, probe_orientation)
    shape = frames.shape[:0:-1] if exchanges(orientation) else frames.shape[1:]
    if shape != network.window:
        raise StepFailed(
            f"The network '{network.path.stem}' takes frames of {network.window[0]} × {network.window[1]} pixels.",
            field="frames",
            value=f"{shape[0]} × {shape[1]}",
            expected=f"{network.window[0]} × {network.window[1]}",
            next_move="Put a crop in front, or choose a network for such frames.",
        )
    prediction = Prediction(
        network,
        normalization_of(network, normalization),
        scale,
        orientation,
        patch_orientation,
        zero_frequency == "corner",
        saturation,
    )
    found = prediction.patches(frames)
    return np.stack([np.abs(found), np.angle(found)], axis=1).astype(np.float32)


@network_patches.hook("sizes")
def _sizes(step: Operator, known: Mapping[str, int | None]) -> dict[str, int | None]:
    chosen = step.parameters()
    turned = exchanges(chosen["orientation"]) != exchanges(chosen["patch_orientation"])
    labels = ("col", "row") if turned else ("row", "col")
    return {"part": 2, "v": known.get(labels[0]), "u": known.get(labels[1])}


@network_patches.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return "float32"


@network_patches.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return None
