"""Sums of each frame under masks, where LiberTEM's scripts import it from."""

from ..shipped import ApplyMasksUDF

__all__ = ["ApplyMasksUDF"]
