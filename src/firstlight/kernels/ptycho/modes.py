"""Incoherent modes of a probe: the same light told by modes that are orthogonal, strongest first."""

from __future__ import annotations

from typing import Any

import numpy as np

from .waves import namespace

Array = Any


def orthogonal(probe: Array) -> tuple[Array, Array]:
    """Orthogonal modes, strongest first, that give every diffraction pattern of the old ones.

    A unitary mixture leaves Σ_m|Ψ_m|² as it is (Thibault and Menzel, Nature 494, 68 (2013)).

    Args:
        probe: Shape (mode, v, u), complex.

    Returns:
        The modes, of the same shape, and the share of the power that each has, shape (mode,), float64, falling.
    """
    xp = namespace(probe)
    flat = probe.reshape(len(probe), -1).astype("complex128")
    # rows are modes: the eigenvectors of their Gram matrix mix them into orthogonal ones
    powers, mixture = xp.linalg.eigh(flat.conj() @ flat.T)
    order = xp.argsort(-powers)
    found = (mixture[:, order].T @ flat).reshape(probe.shape).astype(probe.dtype)
    shares = powers[order].clip(0, None)
    shares = shares / max(float(shares.sum()), np.finfo(np.float64).tiny)
    return found, shares if isinstance(shares, np.ndarray) else shares.get()
