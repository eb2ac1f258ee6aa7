"""The centre of mass of each frame, where LiberTEM's scripts import it from."""

from ..shipped import CoMUDF

__all__ = ["CoMUDF"]
