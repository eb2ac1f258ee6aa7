"""Frames into HDF5 files by the sink, in any order."""

import numpy as np

from firstlight.connectors.hdf5.sink import Hdf5Sink
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream

RECORD = {"job": {"name": "test"}, "versions": {"firstlight": "0"}}


def scan_of(data, axes, *, arrival=1, sizes=None, first=0, **kwargs):
    labels = tuple(axes.split())
    known = dict(zip(labels, data.shape, strict=True)) | (sizes or {})
    return Scan({MAIN: Stream(labels, known, data.dtype.name, arrival, unit="1/cm", first=first)}, **kwargs)


def chunks_of(data, axes, order, size, *, arrival=1, first=0):
    flat = data.reshape(-1, *data.shape[arrival:])
    for start in range(0, len(order), size):
        ids = np.asarray(order[start : start + size], dtype=np.int64)
        yield Chunk(flat[ids], tuple(axes.split())[arrival:], ids + first)


def write(path, scan, chunks, *, complete=True, gaps=(), **parameters):
    sink = Hdf5Sink(path=path, **parameters)
    sink.open(scan, RECORD)
    for chunk in chunks:
        sink.write(chunk)
    for gap in gaps:
        sink.miss(gap)
    sink.close({**RECORD, "complete": complete}, complete=complete)
    return sink
