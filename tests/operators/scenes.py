"""Small scans for the tests of steps: an off-centre phantom, its chunks, and the real tooth."""

import h5py
import numpy as np

from firstlight.core.chunk import Chunk, Scan, Stream
from firstlight.core.units import Quantity
from firstlight.kernels.ellipsoids import SHEPP_LOGAN, ellipsoid_table, line_integrals, plane_coordinates
from firstlight.operators.correct.flat_field import flat_field
from firstlight.operators.correct.minus_log import minus_log


def projections(size=64, rows=24, angles=None, center=None, scale=0.02):
    """Line integrals of the head, (angle, row, col); `scale` per pixel is the density of the skull."""
    theta = np.arange(0.0, 180.0, 180.0 / 96) if angles is None else np.asarray(angles, float)
    table = ellipsoid_table(SHEPP_LOGAN, size / 2)
    z = plane_coordinates(rows, descending=True)
    data = line_integrals(table, np.deg2rad(theta), z, size, center=center, rays=(2, 2))
    return data * np.float32(scale), theta


def scan_of(data, theta=None, *, bounded=True, pixel=None, axes=("angle", "row", "col")):
    sizes = dict(zip(axes, data.shape, strict=True))
    if not bounded:
        sizes[axes[0]] = None
    calibration = {} if pixel is None else {"pixel": Quantity(pixel, "um")}
    return Scan({"data": Stream(axes, sizes, data.dtype.name)}, calibration=calibration)


def chunks_of(data, theta=None, *, ids=None, size=10, epoch=0, axes=("row", "col"), keep=None):
    ids = np.arange(len(data)) if ids is None else np.asarray(ids)
    chosen = np.arange(len(data)) if keep is None else np.asarray(keep)
    for start in range(0, len(chosen), size):
        part = chosen[start : start + size]
        coords = {} if theta is None else {"angle": np.asarray(theta)[part]}
        yield Chunk(data[part], axes, ids[part].astype(np.int64), epoch, coords=coords)


def fold_all(fold, scan, chunks, state=None):
    state = fold.empty(scan) if state is None else state
    for chunk in chunks:
        fold.add(state, fold.digest(chunk))
    return state


def read_tooth(path):
    """Attenuation (angle, row, col) and angles of the real tooth."""
    with h5py.File(path) as file:
        data, dark, flat, theta = (
            file["exchange/" + name][()] for name in ("data", "data_dark", "data_white", "theta")
        )
    return minus_log(flat_field(data, dark.mean(0), flat.mean(0))), theta


def circle(size, part=0.45):
    place = np.arange(size) - (size - 1) / 2
    return place[:, None] ** 2 + place[None] ** 2 <= (part * size) ** 2


def relative_rms(values, truth, mask=...):
    values, truth = values[mask].astype(float), truth[mask].astype(float)
    return float(np.sqrt(np.mean((values - truth) ** 2) / np.mean(truth**2)))
