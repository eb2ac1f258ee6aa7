"""Frames as they are, where LiberTEM's scripts import it from."""

from ..shipped import PickUDF

__all__ = ["PickUDF"]
