"""Train the small network that ships with firstlight, on simulated patterns of random objects, and write it as ONNX.

It is a demonstration that is real: it knows one probe, the one of the source `phantom_ptychography`, and objects that
resemble no particular sample. It needs torch (CPU will do) and onnx, which firstlight itself does not:

    python tools/train_ptychography_network.py --minutes 8 --out src/firstlight/operators/ptychography/networks

The one that ships took 27 minutes of half a core: `--minutes 11 --seed 0` on all but spokes and gratings, then `--minutes 9.5 --seed 1`
and `--minutes 7 --seed 2` with `--start` from the file before.

Input of the network: amplitudes, shape (batch, 1, 64, 64), zero frequency in the middle, each frame divided by the root of its
mean intensity. Output: shape (batch, 2, 64, 64), amplitude relative to the root of what the frame let through, and phase in
radian up to a constant. The probe is written into the file too, as the constants `probe_real` and `probe_imag`.
"""

# torch is no dependency of firstlight, and so is not there where types are checked
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false, reportUntypedBaseClass=false, reportArgumentType=false

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from firstlight.kernels.ptycho.phantom import simulate, texture, zone_plate_probe

Array = Any

WINDOW = 64
SEEN = 32
"""Rows and columns around the zero frequency that the network looks at: 98 % of the light."""
MADE = 48
"""Rows and columns that it predicts: 90 % of the probe's light."""
BATCH = 16
"""Frames at once, in the file that ships."""
COARSE, WIDE, HIDDEN = 12, 16, 256
FIELD = 160
"""Rows and columns of a random object."""


def random_object(rng: np.random.Generator) -> Array:
    """Edges and textures in amplitude and phase, shape (y, x): bars, wedges, disks, gratings and spokes."""
    y, x = np.mgrid[:FIELD, :FIELD]
    sharp = np.zeros((FIELD, FIELD)) if rng.random() < 0.4 else periodic(rng, y, x)
    for _ in range(rng.integers(0, 12)):
        angle, middle = rng.uniform(0, np.pi), rng.uniform(0, FIELD, 2)
        along = (y - middle[0]) * np.sin(angle) + (x - middle[1]) * np.cos(angle)
        across = (y - middle[0]) * np.cos(angle) - (x - middle[1]) * np.sin(angle)
        size = rng.uniform(3, 60, 2)
        if rng.random() < 0.5:  # a wedge or bar, with edges of a pixel
            narrow = size[0] * rng.uniform(0.05, 0.5) * (1 + along / size[1] * rng.integers(0, 2))
            shape = np.clip(narrow - np.abs(across), 0, 1) * np.clip(size[1] - np.abs(along), 0, 1)
        else:
            shape = np.clip(size[0] / 2 - np.hypot(along, across), 0, 1)
        sharp = np.maximum(sharp, shape) if rng.random() < 0.7 else np.abs(sharp - shape)
    first, second = (texture(FIELD, grain, rng) for grain in rng.uniform(2, 12, 2))
    absorbed = rng.uniform(0, 0.3) * sharp * first + rng.uniform(0, 0.1) * second
    delay = rng.uniform(0, 1.0) * sharp + rng.uniform(0, 0.6) * second
    return (1 - absorbed) * np.exp(1j * delay)


def periodic(rng: np.random.Generator, y: Array, x: Array) -> Array:
    """Spokes about a random point, rings about it, or a grating; edges of a pixel, 0…1, shape (y, x)."""
    middle = rng.uniform(-0.2, 1.2, 2) * FIELD
    radius, angle = np.hypot(y - middle[0], x - middle[1]), np.arctan2(y - middle[0], x - middle[1])
    kind, period = rng.random(), rng.uniform(3, 30)
    if kind < 0.6:
        spokes = rng.integers(6, 48)
        wave = np.sin(angle * spokes + rng.uniform(0, 6.3)) * np.maximum(radius, 1) / spokes
        gap = np.abs(radius - rng.uniform(0, FIELD)) > rng.uniform(0, 4)
        return np.clip(0.5 + wave, 0, 1) * (radius > rng.uniform(2, 15)) * gap
    wave = np.sin(2 * np.pi * (radius if kind < 0.8 else y * np.sin(middle[0]) + x * np.cos(middle[0])) / period)
    return np.clip(0.5 + wave * period / 6.3, 0, 1)


def samples(rng: np.random.Generator, probe: Array, count: int) -> tuple[Array, Array]:
    """Patterns and what they show: shapes (sample, SEEN, SEEN), float32, and (sample, MADE, MADE), complex64."""
    image, low = random_object(rng), (WINDOW - MADE) // 2
    corners = rng.integers(0, FIELD - WINDOW, (count, 2))
    cut = np.stack([image[r : r + WINDOW, c : c + WINDOW] for r, c in corners])
    far = np.fft.fftshift(np.fft.fft2(cut * probe, norm="ortho"), axes=(1, 2))
    expected = np.abs(far) ** 2 * 10 ** rng.uniform(4.5, 7, (count, 1, 1))
    counts = rng.poisson(expected)
    frames = np.sqrt(counts / counts.mean(axis=(1, 2), keepdims=True))
    light = np.abs(probe) ** 2
    cut = cut / np.sqrt((np.abs(cut) ** 2 * light).sum(axis=(1, 2), keepdims=True))
    return middle(frames).astype(np.float32), cut[:, low : low + MADE, low : low + MADE].astype(np.complex64)


def middle(frames: Array) -> Array:
    """The part that the network looks at."""
    first = (WINDOW - SEEN) // 2
    return frames[:, first : first + SEEN, first : first + SEEN]


class Network(torch.nn.Module):
    """Dense layers from the pattern, which is global, to a coarse image; transposed convolutions from there.

    A straight path leads through all layers: for a weak object what the pattern says is linear, and the rest is a correction.

    Args:
        mean: Of the root of the amplitudes, by pixel, shape (SEEN · SEEN,).
        spread: Their standard deviation, likewise.
    """

    def __init__(self, mean: Any, spread: Any) -> None:
        """Random weights."""
        super().__init__()
        self.mean, self.spread = mean, spread
        self.enter = torch.nn.Linear(SEEN * SEEN, HIDDEN)
        self.inner = torch.nn.ModuleList(torch.nn.Linear(HIDDEN, HIDDEN) for _ in range(2))
        self.leave = torch.nn.Linear(HIDDEN, COARSE * COARSE * WIDE)
        self.grow = torch.nn.ConvTranspose2d(WIDE, WIDE, 4, 2, 1)
        self.mix = torch.nn.Conv2d(WIDE, WIDE, 3, 1, 1)
        self.grow2 = torch.nn.ConvTranspose2d(WIDE, 8, 4, 2, 1)
        self.last = torch.nn.Conv2d(8, 2, 3, 1, 1)

    def forward(self, frames: Any) -> Any:
        """Amplitude less 1, and phase: shape (sample, 2, MADE, MADE)."""
        found = self.enter((torch.sqrt(frames.flatten(1)) - self.mean) / self.spread)
        for layer in self.inner:
            found = found + torch.relu(layer(found))
        coarse = self.grow(self.leave(found).reshape(-1, WIDE, COARSE, COARSE))
        return self.last(self.grow2(coarse + torch.relu(self.mix(coarse))))


def loss_of(found: Any, wanted: Any, light: Any) -> Any:
    """Squared distance of the exit waves relative to the light, for the constant phase that fits best."""
    wave = torch.polar(1 + found[:, 0], found[:, 1])
    inner = (light * wave * wanted.conj()).sum((1, 2)).abs()
    power = (light * (wave.abs() ** 2 + wanted.abs() ** 2)).sum((1, 2))
    return ((power - 2 * inner) / (light * wanted.abs() ** 2).sum((1, 2))).mean()


def begin(network: Network, path: Path) -> None:
    """Take over the weights of an earlier file."""
    kept = {one.name: numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}
    with torch.no_grad():
        for name, values in network.named_parameters():
            layer, _, what = name.rpartition(".")
            values.copy_(torch.from_numpy(kept[f"{layer}_{what[0]}_half"].astype(np.float32)))
    network.mean, network.spread = (torch.from_numpy(kept[name].copy()) for name in ("mean", "spread"))


def train(minutes: float, seed: int, start_from: Path | None) -> tuple[Network, float]:
    """Fit until the time is over; the network, and its error on the patterns of the phantom, which it has never seen."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rng, probe = np.random.default_rng(seed), zone_plate_probe(WINDOW)
    low = (WINDOW - MADE) // 2
    light = torch.tensor((np.abs(probe) ** 2)[low : low + MADE, low : low + MADE], dtype=torch.float32)
    # dim places count a little too: a step of the scan brings them into the light of another frame
    light = light / light.mean() + 0.05
    known = torch.from_numpy(np.sqrt(np.concatenate([samples(rng, probe, 64)[0] for _ in range(12)]))).flatten(1)
    network = Network(known.mean(0), known.std(0) + 0.02)
    if start_from is not None:
        begin(network, start_from)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-4)
    start, number, shown = time.monotonic(), 0, 0.0
    while (past := (time.monotonic() - start) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1.0, number / 200 + 0.02) * (1 - past) ** 1.0 + 1e-5
        together = [samples(rng, probe, 96) for _ in range(3)]
        for part in range(2):
            frames, wanted = (torch.from_numpy(np.concatenate([one[k][part::2] for one in together])) for k in (0, 1))
            loss = loss_of(network(frames), wanted, light)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            number, shown = number + 1, 0.98 * shown + 0.02 * loss.item()
            if number % 100 == 0:
                print(f"{number} steps, {past:.0%} of the time, error {shown / (1 - 0.98**number):.4f}", flush=True)
    return network, held_out(network, light)


def held_out(network: Network, light: Any) -> float:
    """Error of the exit waves for the Siemens star of `phantom_ptychography`, whose like is not among what it learned."""
    truth = simulate(seed=1)
    counts = np.fft.fftshift(truth.counts, axes=(1, 2))
    frames = middle(np.sqrt(counts / counts.mean(axis=(1, 2), keepdims=True))).astype(np.float32)
    low = (WINDOW - MADE) // 2
    cut = np.stack([truth.image[r : r + WINDOW, c : c + WINDOW] for r, c in truth.corners])
    power = np.abs(zone_plate_probe(WINDOW)) ** 2
    cut = cut / np.sqrt((np.abs(cut) ** 2 * power).sum(axis=(1, 2), keepdims=True))
    wanted = torch.from_numpy(cut[:, low : low + MADE, low : low + MADE].astype(np.complex64))
    with torch.no_grad():
        return float(loss_of(network(torch.from_numpy(frames)), wanted, light))


def onnx_of(network: Network, about: dict[str, str]) -> onnx.ModelProto:
    """The graph, node by node; weights are kept in half precision and computed with in single."""
    nodes: list[Any] = []
    kept: list[Any] = []

    def weight(name: str, values: Any) -> str:
        kept.append(numpy_helper.from_array(np.asarray(values.detach(), np.float16), f"{name}_half"))
        nodes.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
        return name

    def constant(name: str, values: Array) -> str:
        kept.append(numpy_helper.from_array(values, name))
        return name

    def node(kind: str, inputs: list[str], output: str, **how: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **how))
        return output

    def layer(kind: str, name: str, given: str, **how: Any) -> str:
        part = getattr(network, name) if "." not in name else network.inner[int(name.partition(".")[2])]
        return node(
            kind, [given, weight(f"{name}_w", part.weight), weight(f"{name}_b", part.bias)], f"{name}_out", **how
        )

    def relu(given: str) -> str:
        return node("Relu", [given], f"{given}_relu")

    first, low = (WINDOW - SEEN) // 2, (WINDOW - MADE) // 2
    ends = [constant("from", np.array([first, first])), constant("to", np.array([first + SEEN] * 2))]
    seen = node("Slice", ["amplitudes", *ends, constant("axes", np.array([2, 3]))], "seen")
    flat = node("Reshape", [node("Sqrt", [seen], "root"), constant("flat_shape", np.array([BATCH, -1]))], "flat")
    centered = node("Sub", [flat, constant("mean", network.mean.numpy())], "centered")
    standard = node("Div", [centered, constant("spread", network.spread.numpy())], "standard")
    found = layer("Gemm", "enter", standard, transB=1)
    for number in range(len(network.inner)):
        name = f"inner.{number}"
        found = node("Add", [found, relu(layer("Gemm", name, found, transB=1))], f"{name}_sum")
    shape = constant("coarse_shape", np.array([BATCH, WIDE, COARSE, COARSE]))
    small = node("Reshape", [layer("Gemm", "leave", found, transB=1), shape], "small")
    up: dict[str, Any] = {"strides": [2, 2], "pads": [1, 1, 1, 1]}
    coarse = layer("ConvTranspose", "grow", small, **up)
    mixed = node("Add", [coarse, relu(layer("Conv", "mix", coarse, pads=[1, 1, 1, 1]))], "mixed")
    waves = layer("Conv", "last", layer("ConvTranspose", "grow2", mixed, **up), pads=[1, 1, 1, 1])
    whole = node("Pad", [waves, constant("pads", np.array([0, 0, low, low] * 2))], "whole")
    node("Add", [whole, constant("one", np.array([1, 0], np.float32).reshape(1, 2, 1, 1))], "output")
    probe = zone_plate_probe(WINDOW)
    for name, values in (("probe_real", probe.real), ("probe_imag", probe.imag)):
        node("Identity", [constant(f"{name}_kept", values.astype(np.float32))], name)
    size = [WINDOW, WINDOW]
    graph = helper.make_graph(
        nodes,
        "ptychography",
        [helper.make_tensor_value_info("amplitudes", TensorProto.FLOAT, [BATCH, 1, *size])],
        [
            helper.make_tensor_value_info("output", TensorProto.FLOAT, [BATCH, 2, *size]),
            *(helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name in ("probe_real", "probe_imag")),
        ],
        kept,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    model.producer_name = "firstlight tools/train_ptychography_network.py"
    helper.set_model_props(model, about)
    onnx.checker.check_model(model)
    return model


def main() -> None:
    """Train, say how good it is, write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("."))
    parser.add_argument("--start", type=Path, default=None, help="go on from an earlier file")
    given = parser.parse_args()
    network, error = train(given.minutes, given.seed, given.start)
    print(f"error on the held-out phantom: {error:.4f}; {sum(p.numel() for p in network.parameters())} parameters")
    about = {
        "normalization": "frame",
        "trained_for": "the probe of phantom_ptychography, 64 × 64 pixels, 3e4 to 1e7 photons a frame",
        "trained_on": "random spokes, gratings, bars, wedges, disks, textures; 0.6 to 1 transmission, phase up to 1.6 rad",
        "error": f"{error:.4f}",
        "error_means": "squared distance of exit waves over their power, Siemens star of phantom_ptychography, seed 1",
    }
    given.out.mkdir(parents=True, exist_ok=True)
    onnx.save(onnx_of(network, about), given.out / "phantom_v1.onnx")


if __name__ == "__main__":
    main()
