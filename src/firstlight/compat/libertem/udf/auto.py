"""Any function of a frame, where LiberTEM's scripts import it from."""

from ..shipped import AutoUDF

__all__ = ["AutoUDF"]
