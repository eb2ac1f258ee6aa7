"""The sum of frames, where LiberTEM's scripts import it from."""

from ..shipped import SumUDF

__all__ = ["SumUDF"]
