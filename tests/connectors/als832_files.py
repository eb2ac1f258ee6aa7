"""HDF5 files as beamline 8.3.2 of the Advanced Light Source wrote them: each image a dataset, settings as text."""

from pathlib import Path

import h5py
import numpy as np

NAME = "20151013_103522_sample"


def write_als832(path: Path, projections, flats=None, darks=None, *, lacking=(), **settings) -> Path:
    """Write a scan.

    Args:
        path: The file.
        projections: (projection, row, col).
        flats: By the number of the projection at which they were taken: (image, row, col).
        darks: Likewise.
        lacking: Projections that never came.
        settings: Attributes, beside or instead of the usual ones; None leaves one out.
    """
    usual = {
        "nangles": len(projections),
        "arange": "180.000000",
        "pxsize": 0.00065,
        "object": NAME,
        "sdate": "10-13-2015",
    }
    with h5py.File(path, "w") as file:
        group = file.create_group(NAME)
        for key, value in (usual | settings).items():
            if value is not None:
                group.attrs[key] = np.bytes_(f"{value} ")
        for number, image in enumerate(projections):
            if number not in lacking:
                group[f"{NAME}_0000_{number:04d}.tif"] = image[np.newaxis]
        for kind, sets in (("bak", flats or {}), ("drk", darks or {})):
            for place, images in sets.items():
                for index, image in enumerate(images):
                    group[f"{NAME}{kind}_{index:04d}_{place:04d}.tif"] = image[np.newaxis]
    return path
