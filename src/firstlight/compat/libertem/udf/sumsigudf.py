"""The sum of each frame, where LiberTEM's scripts import it from."""

from ..shipped import SumSigUDF

__all__ = ["SumSigUDF"]
