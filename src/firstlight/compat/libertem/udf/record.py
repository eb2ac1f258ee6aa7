"""Frames written to an NPY file, where LiberTEM's scripts import it from."""

from ..shipped import RecordUDF

__all__ = ["RecordUDF"]
