"""The sum of logarithms, where LiberTEM's scripts import it from."""

from ..shipped import LogsumUDF

__all__ = ["LogsumUDF"]
