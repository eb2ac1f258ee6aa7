"""The phantom of ptychography in the layouts in which other programs write scans; and ways to write them wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from firstlight.connectors.phantom.ptychography import PhantomPtychographySource

SMALL: dict[str, Any] = {"window": 32, "scan_y": 9, "scan_x": 9, "step": 4.0}
KEV, METRES, PIXEL = 9.0, 2.0, 75e-6
HC = 1.239841984e-9


@dataclass
class Scene:
    """What the phantom measured, as plain arrays."""

    frames: np.ndarray
    """(81, 32, 32) counts, zero frequency in the middle."""
    places: np.ndarray
    """(81, 2): rows and columns, in metre."""
    probe: np.ndarray
    noise: float
    """Σ(√expected − √counts)² / Σ counts: what a perfect reconstruction leaves."""
    step: float
    """Pixel of the object in metre."""


def scene() -> Scene:
    source = PhantomPtychographySource(**SMALL)
    truth = source.truth()
    noise = ((np.sqrt(truth.expected) - np.sqrt(truth.counts)) ** 2).sum() / truth.counts.sum()
    step = HC / KEV * METRES / (32 * PIXEL)
    frames = np.fft.fftshift(truth.counts, axes=(1, 2)).astype(np.int32)
    return Scene(frames, truth.corners * step, np.asarray(truth.probe), float(noise), step)


def ptyd(path: Path, made: Scene, *, chunks: int = 3, linked: bool = False, **meta: Any) -> Path:
    """As ptypy's PtyScan saves it: append or link, gzip, weights for each frame."""
    with h5py.File(path, "w") as file:
        for name, value in {
            "energy": KEV,
            "distance": METRES,
            "psize": [PIXEL, PIXEL],
            "shape": [32, 32],
            **meta,
        }.items():
            file.create_dataset(f"meta/{name}", data=value)
        for number, ids in enumerate(np.array_split(np.arange(len(made.frames)), chunks)):
            place = path.with_name(f"{path.name}.part{number:03d}")
            with (
                h5py.File(place, "w")
                if linked
                else h5py.File(path.with_name("none"), "w", driver="core", backing_store=False) as own
            ):
                group = own if linked else file.create_group(f"chunks/{number}")
                group.create_dataset("data", data=made.frames[ids], compression="gzip")
                group.create_dataset("weights", data=np.ones(made.frames[ids].shape, bool), compression="gzip")
                group["positions"], group["indices"] = made.places[ids], ids
            if linked:
                file[f"chunks/{number}"] = h5py.ExternalLink(str(place), "/")
    return path


def hxn(path: Path, made: Scene) -> Path:
    """As HXN's programs save it: amplitudes, zero frequency at the corner, first frame axis x, both axes run backwards."""
    with h5py.File(path, "w") as file:
        file["diffamp"] = np.sqrt(np.fft.ifftshift(made.frames, axes=(1, 2))).astype(np.float32)
        file["points"] = -made.places.T * 1e6
        file["lambda_nm"], file["z_m"], file["ccd_pixel_um"] = HC / KEV * 1e9, METRES, PIXEL * 1e6
        file["dr_x"], file["dr_y"], file["angle"] = 0.1, 0.1, 0.0
    return path


def dumped(path: Path, made: Scene) -> Path:
    """As holoptycho dumps a scan."""
    with h5py.File(path, "w") as file:
        file["dp"], file["points"] = made.frames.astype(np.float32), made.places.T * 1e6
        file.attrs.update({"xray_energy_kev": KEV, "z_m": METRES, "ccd_pixel_um": PIXEL * 1e6})
    return path


def ptychodus(folder: Path, made: Scene, *, optics: bool = True, skip: tuple[int, ...] = ()) -> tuple[Path, Path]:
    """A pair as pty-chi names them; the product as ptychodus writes it, with the true probe."""
    kept = np.delete(np.arange(len(made.frames)), list(skip))[::-1]
    frames, product = folder / "ptychodus_dp.hdf5", folder / "ptychodus_para.hdf5"
    with h5py.File(frames, "w") as file:
        file.create_dataset("dp", data=made.frames.astype(np.float32), compression="gzip")
    with h5py.File(product, "w") as file:
        if optics:
            file.attrs.update({"probe_energy_eV": KEV * 1e3, "detector_object_distance_m": METRES, "name": "x"})
        file["probe_position_indexes"] = kept
        file["probe_position_y_m"], file["probe_position_x_m"] = made.places[kept].T
        file["probe"] = made.probe.reshape(1, -1, 32, 32).astype(np.complex64)
        file["object"] = np.ones((1, 80, 80), np.complex64)
        for name in ("probe", "object"):
            file[name].attrs.update({"pixel_height_m": made.step, "pixel_width_m": made.step})
    return frames, product
