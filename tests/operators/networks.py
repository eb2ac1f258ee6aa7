"""Small ONNX networks whose output is known exactly."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save


def write_network(path: Path, size: int, about=None, batch=4, outputs=2, weight=None, probe=None) -> Path:
    """A network ``a ↦ (a, a · 2 − 1)``: amplitude and phase are in the frame itself, so that a test can choose the patches.

    With `weight`, shape (…, size · size): a ↦ weight · a instead.
    """
    shape = [batch, 1, size, size]
    nodes = [
        helper.make_node("Mul", ["a", "two"], ["doubled"]),
        helper.make_node("Sub", ["doubled", "one"], ["phase"]),
        helper.make_node("Concat", ["a", "phase"] if outputs == 2 else ["a"] * outputs, ["output"], axis=1),
    ]
    kept = [numpy_helper.from_array(np.float32(n).reshape(1), name) for n, name in ((2, "two"), (1, "one"))]
    given = [helper.make_tensor_value_info("output", TensorProto.FLOAT, [batch, outputs, size, size])]
    if probe is not None:
        for name, values in (("probe_real", probe.real), ("probe_imag", probe.imag)):
            kept.append(numpy_helper.from_array(np.asarray(values, np.float32), f"{name}_kept"))
            nodes.append(helper.make_node("Identity", [f"{name}_kept"], [name]))
            given.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [size, size]))
    graph = helper.make_graph(
        nodes, "known", [helper.make_tensor_value_info("a", TensorProto.FLOAT, shape)], given, kept
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, about or {})
    save(model, path)
    return path
