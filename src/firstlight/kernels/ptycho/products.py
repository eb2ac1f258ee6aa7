"""Scalar products of exit waves that are never written down: what a step along object and probe would change."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from .waves import exit_waves, on_cpu, on_host

Array = Any

_FASTMATH = {"nnan", "ninf", "nsz", "contract", "reassoc", "arcp"}


def step_products(
    image: Array, to_image: Array, probes: Array, to_probe: Array | None, change: Array, corners: Array
) -> Array:
    """For each position, with ``a = P δO``, ``b = O δP`` and the change c asked for: a·a, b·b, a·b, a·c, b·c.

    Args:
        image: The object O, shape (y, x), complex.
        to_image: Its direction δO, likewise.
        probes: P, shape (1 or position, mode, v, u), complex.
        to_probe: Its direction δP, likewise; None: the probe stays, and b is zero.
        change: Shape (position, mode, v, u), complex.
        corners: Shape (position, 2), integers on the host.

    Returns:
        Real parts, shape (position, 5), float64 on the host.
    """
    if on_cpu(change):
        found = np.zeros((len(change), 5), np.float64)
        held = to_probe is None
        _step_products(image, to_image, probes, probes if to_probe is None else to_probe, change, corners, held, found)
        return found
    a = exit_waves(to_image, probes, corners, 0 * change)
    return products(a, None if to_probe is None else exit_waves(image, to_probe, corners, 0 * change), change)


def products(a: Array, b: Array | None, change: Array) -> Array:
    """The same of waves that are written down, shape (position, mode, v, u); None: zero."""
    b = 0 * a if b is None else b
    return np.stack([dot(p, q) for p, q in ((a, a), (b, b), (a, b), (a, change), (b, change))], axis=1)


def dot(a: Array, b: Array) -> Array:
    """Real scalar product of two waves at each position, shape (position,), float64 on the host."""
    return on_host((a.real * b.real + a.imag * b.imag).sum(axis=(1, 2, 3), dtype="float64"))


@nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def _step_products(
    image: Array,
    to_image: Array,
    probes: Array,
    to_probe: Array,
    change: Array,
    corners: Array,
    held: bool,
    found: Array,
) -> None:  # pragma: no cover - compiled
    positions, modes, rows, cols = change.shape
    for place in range(positions):
        top, left = corners[place, 0], corners[place, 1]
        for m in range(modes):
            for r in range(rows):
                line, move = image[top + r, left : left + cols], to_image[top + r, left : left + cols]
                lamp, turn = probes[place % probes.shape[0], m, r], to_probe[place % to_probe.shape[0], m, r]
                asked = change[place, m, r]
                zero = line[0].real * 0
                aa, bb, ab, ac, bc = zero, zero, zero, zero, zero
                for c in range(cols):
                    a, d = lamp[c] * move[c], asked[c]
                    aa += a.real * a.real + a.imag * a.imag
                    ac += a.real * d.real + a.imag * d.imag
                    if not held:
                        b = turn[c] * line[c]
                        bb += b.real * b.real + b.imag * b.imag
                        ab += a.real * b.real + a.imag * b.imag
                        bc += b.real * d.real + b.imag * d.imag
                found[place, 0] += aa
                found[place, 1] += bb
                found[place, 2] += ab
                found[place, 3] += ac
                found[place, 4] += bc
