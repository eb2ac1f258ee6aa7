"""Mean, variance and standard deviation of each pixel, where LiberTEM's scripts import it from."""

from ..shipped import StdDevUDF

__all__ = ["StdDevUDF"]
