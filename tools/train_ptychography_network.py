"""Train the small network that ships with firstlight, on simulated patterns of random objects, and write it as ONNX.

It needs torch (CPU will do) and onnx, which firstlight itself does not:

    python tools/train_ptychography_network.py --minutes 35 --out src/firstlight/operators/learn/networks/phantom_v2.onnx

    python tools/train_ptychography_network.py --start phantom_v2.onnx --samples samples.h5 --probe probe.npy --out mine_v1.onnx

The second goes on from an earlier file with samples that `firstlight model samples` wrote, for the probe of that scan. The one that ships
took 36 minutes of about half a core, with the numbers above (3200 steps of 24 patterns).

Input of the network: amplitudes, shape (batch, 1, 64, 64), zero frequency in the middle, each frame divided by the root of its
mean intensity. Output: shape (batch, 2, 64, 64), amplitude relative to the root of what the frame let through, and phase in
radian up to a constant. The probe is in the file too, as the constants `probe_real` and `probe_imag`, which a caller may replace.
"""

# torch is no dependency of firstlight, and so is not there where types are checked
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false, reportUntypedBaseClass=false

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from ptychography_network.export import network_of, onnx_of
from ptychography_network.scenes import WINDOW, cells, letters, patterns, random_object, random_probe, standard
from ptychography_network.unrolled import Network, loss_of

from firstlight.kernels.ptycho.phantom import simulate, zone_plate_probe
from firstlight.operators.ptychography.start import read_probe

Array = Any
Batch = tuple[Array, Array, Array]
"""Amplitudes, objects, and the probe that belongs to all of them."""

ABOUT = {
    "normalization": "frame",
    "trained_for": "64 × 64 pixels, 3e4 to 1e7 photons a frame; the probe of phantom_ptychography and foci of other zone plates",
    "trained_on": "random spokes, rings, gratings, bars, wedges, disks, textures; 0.6 to 1 transmission, phase up to 1.8 rad",
    "error_means": "squared distance of exit waves over their power: star of phantom_ptychography, and cells and letters, "
    "kinds of objects that were not learned",
}
"""What the file says of itself."""
DEEP = 0.3
"""How much the image after each round counts, relative to the one after the next."""


def simulated(rng: np.random.Generator, count: int) -> Iterator[Batch]:
    """Without end: patterns of two objects; every other time of the phantom's own probe."""
    own = zone_plate_probe(WINDOW)
    while True:
        probe = own if rng.random() < 0.5 else random_probe(rng)
        made = [patterns(random_object(rng), probe, count // 2, rng) for _ in range(2)]
        yield np.concatenate([one[0] for one in made]), np.concatenate([one[1] for one in made]), probe


def recorded(path: Path, probe: Array, rng: np.random.Generator, count: int) -> Iterator[Batch]:
    """Without end: samples of a file that `firstlight model samples` wrote."""
    import h5py

    with h5py.File(path) as opened:
        file: Any = opened
        counts = np.square(file["diffraction/dp"][()].astype(np.float32))
        told = file["targets"][()]
    frames, wanted = standard(counts, told[:, 0] * np.exp(1j * told[:, 1]), probe)
    while True:
        some = rng.integers(0, len(frames), count)
        yield frames[some], wanted[some], probe


def weights(probe: Array) -> Any:
    """How pixels count: by their light; dim ones a little too, as a step of the scan brings them into the light."""
    light = torch.tensor(np.abs(probe) ** 2, dtype=torch.float32)
    return light / light.mean() + 0.05


def scaled(probe: Array) -> Any:
    """The probe as the network takes it."""
    return torch.tensor(probe / np.linalg.norm(probe) * WINDOW, dtype=torch.complex64)


def train(
    network: Network,
    batches: Iterator[Batch],
    minutes: float,
    steps: int | None,
    rate: float,
    save: Callable[[Network], None],
) -> None:
    """Fit until the time is over, or so many steps are done; what is saved on the way and at the end is the mean of the last weights."""
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    mean = torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99))
    start, number, shown, saved = time.monotonic(), 0, 0.0, 0.0
    while (past := (time.monotonic() - start) / (60 * minutes) if steps is None else number / steps) < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, number / 100 + 0.02) * (0.5 + 0.5 * np.cos(np.pi * past)) + 1e-5
        frames, wanted, probe = next(batches)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = network(torch.from_numpy(frames), scaled(probe))
        aim, light = torch.from_numpy(wanted), weights(probe)
        errors = [loss_of(each.float(), aim, light) for each in found]
        loss = torch.stack([DEEP ** (len(errors) - 1 - k) * error for k, error in enumerate(errors)]).sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        mean.update_parameters(network)
        number, shown = number + 1, 0.98 * shown + 0.02 * errors[-1].item()
        if number % 50 == 0:
            print(f"{number} steps, {past:.0%} of the time, error {shown / (1 - 0.98**number):.4f}", flush=True)
        if past > saved + 0.1:
            saved = past
            save(mean.module)
    network.load_state_dict(mean.module.state_dict())
    save(network)


def held_out(network: Network) -> dict[str, float]:
    """Errors of the exit waves: for the Siemens star of `phantom_ptychography`, and for objects of kinds that it has not seen."""
    truth, probe = simulate(seed=1), zone_plate_probe(WINDOW)
    cut = np.stack([truth.image[r : r + WINDOW, c : c + WINDOW] for r, c in truth.corners])
    given = {"star": standard(np.fft.fftshift(truth.counts, axes=(1, 2)), cut, probe)}
    for kind in (cells, letters):
        rng = np.random.default_rng(5)
        made = [patterns(kind(rng), probe, 32, rng) for _ in range(3)]
        given[kind.__name__] = np.concatenate([one[0] for one in made]), np.concatenate([one[1] for one in made])
    found: dict[str, float] = {}
    with torch.no_grad():
        for name, (frames, wanted) in given.items():
            image = network(torch.from_numpy(frames), scaled(probe))[-1]
            found[name] = float(loss_of(image, torch.from_numpy(wanted), weights(probe)))
    return found


def main() -> None:
    """Train, say how good it is, write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=35.0)
    parser.add_argument("--steps", type=int, default=None, help="in place of minutes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--out", type=Path, default=Path("phantom_v2.onnx"))
    parser.add_argument("--start", type=Path, default=None, help="go on from an earlier file")
    parser.add_argument("--samples", type=Path, default=None, help="learn from these samples, not from simulated ones")
    parser.add_argument("--probe", type=Path, default=None, help="probe of the samples, as `firstlight` takes it")
    given = parser.parse_args()
    if (given.samples is None) != (given.probe is None):
        parser.error("samples and their probe go together")
    torch.manual_seed(given.seed)
    torch.set_num_threads(1)
    rng, probe = np.random.default_rng(given.seed), zone_plate_probe(WINDOW)
    network = Network() if given.start is None else network_of(given.start)
    if given.samples is None:
        batches, about = simulated(rng, given.batch), dict(ABOUT)
    else:
        probe = read_probe(given.probe, (WINDOW, WINDOW)).reshape(-1, WINDOW, WINDOW)[0]
        batches, about = recorded(given.samples, probe, rng, given.batch), {**ABOUT, "tuned_on": given.samples.name}
    given.out.parent.mkdir(parents=True, exist_ok=True)

    def save(one: Network) -> None:
        onnx.save(onnx_of(one, probe, about), given.out)

    if given.minutes > 0:
        train(network, batches, given.minutes, given.steps, given.rate, save)
    errors = held_out(network)
    about |= {f"error_{name}": f"{error:.4f}" for name, error in errors.items()}
    save(network)
    print(f"{errors}; {sum(p.numel() for p in network.parameters())} parameters")


if __name__ == "__main__":
    main()
