"""Where LiberTEM's scripts import the class that theirs derive from."""

from . import UDF

__all__ = ["UDF"]
