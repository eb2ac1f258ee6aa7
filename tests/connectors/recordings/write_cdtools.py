"""Write the recording with cdtools 0.3.2: its model makes the patterns, its dataset the file.

Run with the Python of an environment that has cdtools-py: python write_cdtools.py FOLDER
"""

# pyright: reportMissingImports=false

import sys
from pathlib import Path

import numpy as np
import torch
from cdtools.datasets import Ptycho2DDataset
from cdtools.models import SimplePtycho

SIZE, PIXEL, DISTANCE, WAVE, PHOTONS = 32, 75e-6, 2.0, 1.3776e-10, 1e5

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
step, rng = WAVE * DISTANCE / (SIZE * PIXEL), np.random.default_rng(5)
raster = np.stack(np.meshgrid(np.arange(7), np.arange(9), indexing="ij"), -1).reshape(-1, 2) * 4.0
raster = raster + rng.uniform(-1, 1, raster.shape)
moves = np.zeros((len(raster), 3))
moves[:, 0], moves[:, 1] = raster[:, 1] * step, raster[:, 0] * step
mask = np.ones((SIZE, SIZE), np.uint8)
mask[7, 3] = 0
dataset = Ptycho2DDataset(
    torch.as_tensor(moves, dtype=torch.float32),
    torch.ones(len(raster), SIZE, SIZE),
    axes=["translation", "y", "x"],
    wavelength=WAVE,
    detector_geometry={
        "distance": DISTANCE,
        "basis": np.array([[0, -PIXEL], [-PIXEL, 0], [0, 0]], np.float32),
        "corner": None,
    },
    mask=mask,
)
model = SimplePtycho.from_dataset(dataset)
v, u = np.mgrid[:SIZE, :SIZE] - SIZE // 2
radius = np.hypot(v, u) / (SIZE / 2)
aperture = (radius < 0.4) * np.exp(1j * (9 * radius**2 + 2 * v * u / 64))
probe = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(aperture)))
probe *= np.sqrt(PHOTONS / (np.abs(probe) ** 2).sum())
rows, cols = model.obj.shape
y, x = np.mgrid[:rows, :cols]
spokes = np.sin(np.arctan2(y - rows / 2 - 4, x - cols / 2 + 3) * 8) > 0
star = spokes * (np.hypot(y - rows / 2, x - cols / 2) < 24)
image = (1 - 0.2 * star) * np.exp(1j * (0.7 * star + 0.3 * (x > 0.7 * cols)))
model.obj.data = torch.as_tensor(image, dtype=model.obj.dtype)
model.probe.data = torch.as_tensor(probe, dtype=model.probe.dtype)
model.probe_norm = torch.tensor(1.0)
(index, translation), _ = dataset[:]
with torch.no_grad():
    expected = model.forward(index, translation).numpy()
expected *= PHOTONS * len(raster) / expected.sum()
counts = rng.poisson(expected).astype(np.int32)
counts[:, mask == 0] = 60000
dataset.patterns = torch.as_tensor(counts)
dataset.to_cxi(out / "star.cxi")
np.savez_compressed(out / "truth.npz", object=image.astype(np.complex64), probe=probe.astype(np.complex64))
noise = ((np.sqrt(expected) - np.sqrt(counts)) ** 2)[:, mask > 0].sum() / counts[:, mask > 0].sum()
sys.stdout.write(f"the noise of photons leaves {noise:.5f}\n")
