"""Sink for numpy's files."""

from __future__ import annotations

import io
from typing import ClassVar

import numpy as np

from firstlight.core.chunk import Stream

from ..recorded.mapped_sink import MappedSink


class NpySink(MappedSink):
    """Writes one output as an array that ``numpy.load`` reads, each frame at its place.

    ``NAME.npy`` gets ``NAME.npy.json`` with axes, units, the record and what is missing, and ``NAME.npy.times`` with the
    time at which each frame came. Frames that are missing are zero.
    """

    use: ClassVar[str] = "npy"

    def head(self, stream: Stream) -> bytes:
        """The header of version 1.0 for the whole array."""
        shape = tuple(stream.size(label) for label in stream.axes)
        descr = np.lib.format.dtype_to_descr(np.dtype(stream.dtype))
        file = io.BytesIO()
        np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
        return file.getvalue()
