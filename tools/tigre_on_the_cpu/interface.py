"""TIGRE's extension modules, over its kernels compiled for the CPU; offsets and detector in the order of TIGRE 2 and newer."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
FLOATS = ctypes.POINTER(ctypes.c_float)
INTEGERS = ("nVoxelX", "nVoxelY", "nVoxelZ", "nDetecU", "nDetecV")
EACH = ("offOrigX", "offOrigY", "offOrigZ", "DSO", "offDetecU", "offDetecV", "DSD", "dRoll", "dPitch", "dYaw", "COR")
ORDER = """nVoxelX nVoxelY nVoxelZ sVoxelX sVoxelY sVoxelZ dVoxelX dVoxelY dVoxelZ offOrigX offOrigY offOrigZ DSO
    nDetecU nDetecV sDetecU sDetecV dDetecU dDetecV offDetecU offDetecV DSD dRoll dPitch dYaw unitX unitY unitZ
    alpha theta psi COR maxLength accuracy"""


class Geometry(ctypes.Structure):
    """The structure in types_TIGRE.hpp; one number for each projection behind a pointer."""

    _fields_ = [
        (name, ctypes.c_int if name in INTEGERS else FLOATS if name in EACH else ctypes.c_float)
        for name in ORDER.split()
    ]


def library(name: str) -> Any:
    """One of the compiled libraries."""
    return ctypes.CDLL(str(HERE / f"libtigre_{name}.so"))


def single(values: Any) -> Any:
    """In single precision, in one piece."""
    return np.ascontiguousarray(values, np.float32)


def pointer(values: Any) -> Any:
    """Where an array of single precision begins."""
    return values.ctypes.data_as(FLOATS)


def structure(given: Any) -> tuple[Geometry, list[Any]]:
    """TIGRE's geometry for the kernels, and the arrays that it points to."""
    numbers = {"unitX": 1.0, "unitY": 1.0, "unitZ": 1.0, "accuracy": given.accuracy}
    for part in "nsd":
        numbers |= {f"{part}Voxel{axis}": getattr(given, f"{part}Voxel")[2 - k] for k, axis in enumerate("XYZ")}
        numbers |= {f"{part}Detec{axis}": getattr(given, f"{part}Detector")[1 - k] for k, axis in enumerate("UV")}
    each = {name: getattr(given, name) for name in ("DSO", "DSD", "COR")}
    each |= {f"offOrig{axis}": given.offOrigin[:, 2 - k] for k, axis in enumerate("XYZ")}
    each |= {f"offDetec{axis}": given.offDetector[:, 1 - k] for k, axis in enumerate("UV")}
    each |= {name: given.rotDetector[:, 2 - k] for k, name in enumerate(("dRoll", "dPitch", "dYaw"))}
    # one more than there are angles: rollPitchYaw reads dPitch[1] whichever projection it turns
    held = {name: single(np.append(np.ravel(values), np.ravel(values)[-1])) for name, values in each.items()}
    filled = Geometry()
    for name, value in numbers.items():
        setattr(filled, name, int(value) if name in INTEGERS else float(value))
    for name, values in held.items():
        setattr(filled, name, pointer(values))
    return filled, list(held.values())


def _Ax_ext(img: Any, geometry: Any, angles: Any, kind: str = "Siddon", mode: str = "cone", gpuids: Any = None) -> Any:  # noqa: N802
    filled, held = structure(geometry)
    image, turns = single(img), single(angles)
    out = np.zeros((len(turns), filled.nDetecU, filled.nDetecV), np.float32)
    parts = (FLOATS * len(turns))(*(pointer(each) for each in out))
    how = (len(turns), int(mode == "cone"), int(kind == "interpolated"))
    library("AX").project(pointer(image), ctypes.byref(filled), parts, pointer(turns), *how)
    del held
    return np.ascontiguousarray(out.swapaxes(1, 2))


def _Atb_ext(  # noqa: N802
    projections: Any, geometry: Any, angles: Any, kind: str = "FDK", mode: str = "cone", gpuids: Any = None
) -> Any:
    filled, held = structure(geometry)
    lines, turns = single(projections.swapaxes(1, 2)), single(angles)
    out = np.zeros([int(n) for n in geometry.nVoxel], np.float32)
    how = (len(turns), int(mode == "cone"), int(kind == "matched"))
    library("ATB").backproject(pointer(lines), ctypes.byref(filled), pointer(out), pointer(turns), *how)
    del held
    return out


def _smoothed(call: Any, image: Any, *given: Any) -> Any:
    source = single(image)
    out = np.zeros_like(source)
    call(pointer(source), pointer(out), *given)
    return out


def _shape(image: Any) -> Any:
    return (ctypes.c_long * 3)(*image.shape)


def minTV(src: Any, alpha: float = 15.0, maxiter: int = 100, gpuids: Any = None) -> Any:  # noqa: N802
    """Rounds of steepest descent of the total variation."""
    return _smoothed(library("MINTV").minimize, src, ctypes.c_float(alpha), _shape(src), int(maxiter))


def AwminTV(src: Any, alpha: float = 15.0, maxiter: int = 100, delta: float = -0.005, gpuids: Any = None) -> Any:  # noqa: N802
    """The same, weighted to keep edges."""
    given = (ctypes.c_float(alpha), _shape(src), int(maxiter), ctypes.c_float(delta))
    return _smoothed(library("AWMINTV").minimize, src, *given)


def tvdenoise(src: Any, maxiter: int = 100, lamda: float = 15.0, gpuids: Any = None) -> Any:
    """The picture of least total variation near an image."""
    spacing = single(np.ones(3))
    given = (ctypes.c_float(lamda), pointer(spacing), _shape(src), int(maxiter))
    return _smoothed(library("TVDENOISING").denoise, src, *given)


def getGpuNames() -> list[str]:  # noqa: N802
    """What TIGRE computes on."""
    return ["the CPU"]
