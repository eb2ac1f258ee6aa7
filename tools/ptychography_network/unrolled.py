"""The network: a few rounds of what an iterative engine does with one frame, each followed by what has been learned.

A round carries the image to the detector, puts the measured amplitude there, carries it back (one step of ePIE with the known
probe), and lets a small convolutional network correct it. The physics is exact and needs no learning, so that little has to be
learned, and the probe may be another one. After Adler and Öktem, IEEE Trans. Med. Imaging 37, 1322 (2018), for tomography.
"""

# torch is no dependency of firstlight, and so is not there where types are checked
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false, reportUntypedBaseClass=false

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

ROUNDS, NARROW, WIDE, KEPT = 4, 16, 32, 8
"""Rounds; channels of the coarse and of the coarsest image; those that go from one round to the next."""
GLOW = 0.05
"""Amplitude, of a mean square of 1, below which a phase in the far field is not trusted."""
DIM = 0.1
"""Part of the probe's largest intensity below which a step is damped."""


class Round(torch.nn.Module):
    """Corrects an image: looks at it, at the step that physics proposes, and at the light, on 2 by 2 pixels at once."""

    def __init__(self) -> None:
        """Weights that change nothing yet but take the step."""
        super().__init__()
        self.look = torch.nn.Conv2d(20 + KEPT, NARROW, 3, 1, 1)
        self.down = torch.nn.Conv2d(NARROW, WIDE, 3, 2, 1)
        self.far = torch.nn.Conv2d(WIDE, WIDE, 3, 1, 1)
        self.up = torch.nn.ConvTranspose2d(WIDE, NARROW, 2, 2)
        self.tell = torch.nn.Conv2d(NARROW, 8 + KEPT, 3, 1, 1)
        self.step = torch.nn.Parameter(torch.tensor(0.7))
        torch.nn.init.zeros_(self.tell.weight[:8])
        torch.nn.init.zeros_(self.tell.bias)

    def forward(self, image: Any, proposed: Any, light: Any, kept: Any) -> tuple[Any, Any]:
        """Shapes (sample, 2, v, u), the same, (1, 1, v, u) and (sample, KEPT, v/2, u/2); gives image and what is kept."""
        seen = functional.pixel_unshuffle(torch.cat([image, proposed, light.expand(len(image), -1, -1, -1)], 1), 2)
        near = torch.relu(self.look(torch.cat([seen, kept], 1)))
        far = torch.relu(self.down(near))
        far = far + torch.relu(self.far(far))
        told = self.tell(torch.relu(near + self.up(far)))
        return image + self.step * proposed + functional.pixel_shuffle(told[:, :8].float(), 2), told[:, 8:]


class Network(torch.nn.Module):
    """Amplitudes with a mean square of 1 and zero frequency in the middle to the object in the window."""

    def __init__(self, rounds: int = ROUNDS) -> None:
        """Random weights."""
        super().__init__()
        self.rounds = torch.nn.ModuleList(Round() for _ in range(rounds))

    def forward(self, frames: Any, probe: Any) -> list[Any]:
        """The object after each round, real and imaginary part less 1, shape (sample, 2, v, u).

        Args:
            frames: Shape (sample, v, u), float32.
            probe: Shape (v, u), complex64, ``Σ|P|² = v·u``.
        """
        power = probe.abs() ** 2
        light = (power / power.max())[None, None]
        back = probe.conj() / (power + DIM * power.max())
        size = (len(frames), 2, *frames.shape[1:])
        image = torch.zeros(size)
        kept = torch.zeros(len(frames), KEPT, size[2] // 2, size[3] // 2)
        found = []
        for each in self.rounds:
            wave = far_field(probe * torch.complex(1 + image[:, 0], image[:, 1]))
            strength = torch.sqrt(wave.real**2 + wave.imag**2 + GLOW**2)
            change = near_field(wave * (frames / strength - 1)) * back
            image, kept = each(image, torch.stack([change.real, change.imag], 1), light, kept)
            found.append(image)
        return found


def far_field(waves: Any) -> Any:
    """Zero frequency in the middle."""
    return torch.fft.fftshift(torch.fft.fft2(waves, norm="ortho"), dim=(-2, -1))


def near_field(waves: Any) -> Any:
    """The inverse of `far_field`."""
    return torch.fft.ifft2(torch.fft.ifftshift(waves, dim=(-2, -1)), norm="ortho")


def loss_of(found: Any, wanted: Any, light: Any) -> Any:
    """Squared distance of the waves relative to their power, for the constant phase that fits best.

    Args:
        found: Real part less 1, and imaginary part: shape (sample, 2, v, u).
        wanted: Shape (sample, v, u), complex64.
        light: By which pixels count, shape (v, u).
    """
    wave = torch.complex(1 + found[:, 0], found[:, 1])
    inner = (light * wave * wanted.conj()).sum((1, 2)).abs()
    power = (light * (wave.abs() ** 2 + wanted.abs() ** 2)).sum((1, 2))
    return ((power - 2 * inner) / (light * wanted.abs() ** 2).sum((1, 2))).mean()
