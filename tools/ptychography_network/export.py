"""The network as an ONNX file, node by node: Fourier transforms are products of matrices, complex numbers two real ones."""

# torch is no dependency of firstlight, and so is not there where types are checked
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from .unrolled import DIM, GLOW, KEPT, Network

Array = Any
Pair = tuple[str, str]
"""Names of a real and an imaginary part."""

BATCH = 16
"""Frames at once."""


class _Graph:
    """Nodes and constants, each with a name of its own."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.kept: list[Any] = []

    def put(self, kind: str, *inputs: str, outputs: int = 1, name: str | None = None, **how: Any) -> Any:
        made = [name or f"{kind.lower()}_{len(self.nodes)}_{n}" for n in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), made, **how))
        return made[0] if outputs == 1 else made

    def keep(self, values: Any, name: str | None = None, dtype: Any = np.float32) -> str:
        name = name or f"kept_{len(self.kept)}"
        self.kept.append(numpy_helper.from_array(np.ascontiguousarray(np.asarray(values, dtype)), name))
        return name

    def product(self, one: Pair, other: Pair, *, conjugate: bool = False) -> Pair:
        """Of complex numbers; of the first one's conjugate if asked."""
        parts = [[self.put("Mul", a, b) for b in other] for a in one]
        kinds = ("Add", "Sub") if conjugate else ("Sub", "Add")
        return self.put(kinds[0], parts[0][0], parts[1][1]), self.put(kinds[1], parts[0][1], parts[1][0])

    def scaled(self, one: Pair, by: str) -> Pair:
        return self.put("Mul", one[0], by), self.put("Mul", one[1], by)

    def squared(self, one: Pair) -> str:
        return self.put("Add", *(self.put("Mul", part, part) for part in one))

    def transformed(self, one: Pair, matrix: str) -> Pair:
        """Both dimensions, each with one product: real and imaginary parts lie side by side. The result is transposed."""
        for step in range(2):
            both = self.put("MatMul", self.put("Concat", *one, axis=2), matrix)
            one = tuple(self.put("Split", both, outputs=2, axis=2, num_outputs=2))
            if step == 0:
                one = tuple(self.put("Transpose", part, perm=[0, 2, 1]) for part in one)
        return one


def fourier(size: int) -> tuple[Array, Array]:
    """Matrices for rows of real and imaginary parts side by side: to the far field, zero frequency in the middle; and back."""
    k, x = np.mgrid[:size, :size]
    forward = np.exp(-2j * np.pi * (k - size // 2) * x / size) / np.sqrt(size)

    def real(matrix: Array) -> Array:
        return np.block([[matrix.real, matrix.imag], [-matrix.imag, matrix.real]])

    return real(forward.T), real(forward.conj())


def _round(
    graph: _Graph, prefix: str, each: Any, image: Pair, proposed: Pair, light: str, kept: str
) -> tuple[Pair, str]:
    """One correction; see `unrolled.Round`."""

    def conv(kind: str, given: str, name: str, **how: Any) -> str:
        layer = getattr(each, name)
        weight, bias = (values.detach().numpy() for values in (layer.weight, layer.bias))
        weight = pixels_apart(weight) if name == "look" else weight
        kept = (graph.keep(weight, f"{prefix}.{name}.weight"), graph.keep(bias, f"{prefix}.{name}.bias"))
        return graph.put(kind, given, *kept, **how)

    def stacked(parts: tuple[str, ...]) -> str:
        return graph.put(
            "Concat", *(graph.put("Unsqueeze", one, graph.keep([1], dtype=np.int64)) for one in parts), axis=1
        )

    pads = {"pads": [1, 1, 1, 1]}
    seen = graph.put("SpaceToDepth", graph.put("Concat", stacked((*image, *proposed)), light, axis=1), blocksize=2)
    near = graph.put("Relu", conv("Conv", graph.put("Concat", seen, kept, axis=1), "look", **pads))
    far = graph.put("Relu", conv("Conv", near, "down", strides=[2, 2], **pads))
    far = graph.put("Add", far, graph.put("Relu", conv("Conv", far, "far", **pads)))
    joined = graph.put("Relu", graph.put("Add", near, conv("ConvTranspose", far, "up", strides=[2, 2])))
    told = conv("Conv", joined, "tell", **pads)
    change, kept = graph.put("Split", told, graph.keep([8, KEPT], dtype=np.int64), outputs=2, axis=1)
    parts = graph.put(
        "Split", graph.put("DepthToSpace", change, blocksize=2, mode="CRD"), outputs=2, axis=1, num_outputs=2
    )
    axis, step = graph.keep([1], dtype=np.int64), graph.keep(each.step.detach().numpy(), f"{prefix}.step")
    moved = [
        graph.put("Add", graph.put("Add", old, graph.put("Mul", new, step)), graph.put("Squeeze", part, axis))
        for old, new, part in zip(image, proposed, parts, strict=True)
    ]
    return (moved[0], moved[1]), kept


def onnx_of(network: Network, probe: Array, about: dict[str, str], batch: int = BATCH) -> onnx.ModelProto:
    """The file; `given_probe_real` and `given_probe_imag` may be replaced by a caller.

    Args:
        network: Trained.
        probe: Shape (v, u), complex, of any strength.
        about: What the file says of itself.
        batch: Frames at once.
    """
    graph, size = _Graph(), probe.shape[0]
    probe = probe / np.linalg.norm(probe)
    given = graph.keep(probe.real, "given_probe_real"), graph.keep(probe.imag, "given_probe_imag")
    for part, name in zip(given, ("probe_real", "probe_imag"), strict=True):
        graph.put("Identity", part, name=name)
    forward, back = (graph.keep(matrix) for matrix in fourier(size))
    everything: dict[str, Any] = {"keepdims": 0}
    power = graph.squared(given)
    scale = graph.put("Div", graph.keep(float(size)), graph.put("Sqrt", graph.put("ReduceSum", power, **everything)))
    wave = graph.scaled(given, scale)
    power = graph.squared(wave)
    brightest = graph.put("ReduceMax", power, **everything)
    light = graph.put("Div", power, brightest)
    light = graph.put("Expand", light, graph.keep([batch, 1, size, size], dtype=np.int64))
    step = graph.put("Reciprocal", graph.put("Add", power, graph.put("Mul", brightest, graph.keep(DIM))))
    backward = graph.scaled(wave, step)
    # the far field is transposed, and so are the frames
    frames = graph.put("Squeeze", "amplitudes", graph.keep([1], dtype=np.int64))
    frames = graph.put("Transpose", frames, perm=[0, 2, 1])
    one = graph.keep(1.0)
    nothing = graph.put("ConstantOfShape", graph.keep([batch, size, size], dtype=np.int64))
    kept = graph.put("ConstantOfShape", graph.keep([batch, KEPT, size // 2, size // 2], dtype=np.int64))
    image = nothing, nothing
    for number, each in enumerate(network.rounds):
        far = graph.transformed(graph.product(wave, (graph.put("Add", image[0], one), image[1])), forward)
        strength = graph.put("Sqrt", graph.put("Add", graph.squared(far), graph.keep(GLOW**2)))
        far = graph.scaled(far, graph.put("Sub", graph.put("Div", frames, strength), one))
        proposed = graph.product(backward, graph.transformed(far, back), conjugate=True)
        image, kept = _round(graph, f"rounds.{number}", each, image, proposed, light, kept)
    real = graph.put("Add", image[0], one)
    amplitude = graph.put("Sqrt", graph.squared((real, image[1])))
    # the phase from half the angle: there is no arc tangent of two arguments
    half = graph.put("Div", image[1], graph.put("Add", graph.put("Add", amplitude, real), graph.keep(1e-6)))
    phase = graph.put("Mul", graph.put("Atan", half), graph.keep(2.0))
    axis = graph.keep([1], dtype=np.int64)
    graph.put("Concat", *(graph.put("Unsqueeze", part, axis) for part in (amplitude, phase)), axis=1, name="output")
    return _model(graph, batch, size, about)


def _model(graph: _Graph, batch: int, size: int, about: dict[str, str]) -> onnx.ModelProto:
    frames, picture = [batch, 1, size, size], [size, size]
    made = helper.make_graph(
        graph.nodes,
        "ptychography",
        [
            helper.make_tensor_value_info("amplitudes", TensorProto.FLOAT, frames),
            # constants that are inputs too are what ONNX calls defaults: a caller need not give them
            *(
                helper.make_tensor_value_info(f"given_{n}", TensorProto.FLOAT, picture)
                for n in ("probe_real", "probe_imag")
            ),
        ],
        [
            helper.make_tensor_value_info("output", TensorProto.FLOAT, [batch, 2, size, size]),
            *(helper.make_tensor_value_info(name, TensorProto.FLOAT, picture) for name in ("probe_real", "probe_imag")),
        ],
        graph.kept,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    model.producer_name = "firstlight tools/train_ptychography_network.py"
    helper.set_model_props(model, about)
    onnx.checker.check_model(model, full_check=True)
    return model


def network_of(path: Path) -> Network:
    """The network of a file that `onnx_of` made, to go on training."""
    kept = {one.name: numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}
    rounds = 1 + max(int(name.split(".")[1]) for name in kept if name.startswith("rounds."))
    network = Network(rounds)
    state = {name: torch.from_numpy(kept[name].copy()) for name in network.state_dict()}
    for name in state:
        if name.endswith("look.weight"):
            state[name] = torch.from_numpy(np.ascontiguousarray(pixels_apart(state[name].numpy(), back=True)))
    network.load_state_dict(state)
    return network


def pixels_apart(weight: Array, *, back: bool = False) -> Array:
    """Weights for 2 by 2 pixels of five channels: torch has the pixels of a channel side by side, ONNX the channels of a pixel."""
    count, inner = len(weight), (4, 5) if back else (5, 4)
    own = weight[:, :20].reshape(count, *inner, 3, 3).swapaxes(1, 2).reshape(count, 20, 3, 3)
    return np.concatenate([own, weight[:, 20:]], 1)
