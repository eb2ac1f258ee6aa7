"""Element-wise steps as bodies of one pixel, and chains of them fused into one pass over memory.

A :class:`ScalarBody` is a numba function of one pixel. :func:`fuse` writes a loop that applies a chain of them, reads
the detector's own number type and writes float32, so that a frame crosses memory once however many steps the chain has.
The loop is kept as a source file in a cache folder of the user, because numba can cache only what has a file on disk:
the next process starts without compiling.

:func:`vector_log` and :func:`vector_exp` are polynomials on float32, after ``logf`` and ``expf`` of Cephes. Without
SVML, numba's ``math.log`` is a call per pixel and stops the compiler from using vector instructions.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import importlib.util
import inspect
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import ArrayLike, NDArray

from .cache_folder import cache_folder
from .mask_products import readable

__all__ = ["SCALAR_BODY", "ScalarBody", "fuse", "import_generated", "vector_exp", "vector_log"]

# NaN and infinity keep their meaning (no nnan, no ninf); a * b + c may become one instruction
SCALAR_BODY: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
"""Options with which the function of a :class:`ScalarBody` is to be compiled by ``numba.njit``."""


_BAND = 131_072
"""Pixels of an image that stay in the cache while all frames of a chunk are corrected by them; frames are read in runs as long."""


@dataclass(frozen=True)
class ScalarBody:
    """One element-wise step as a function of one pixel.

    ``function(value, *images, *parameters)`` is compiled by ``numba.njit(**SCALAR_BODY)``. At the top level of a module
    its fused loops are cached on disk; elsewhere (a notebook, a closure) they are compiled anew in each process.
    """

    name: str
    """What the step is called; a valid Python name."""
    function: Callable[..., Any]
    """The compiled function: float32 in, float32 out."""
    images: int = 0
    """How many images (row, col) it reads beside the frame, at the same pixel."""
    parameters: tuple[str, ...] = ()
    """Names of its numbers, each one value for all frames or one per frame."""

    def __post_init__(self) -> None:
        """Refuse names that cannot stand in generated code."""
        for word in (self.name, *self.parameters):
            if not word.isidentifier():
                raise ValueError(f"scalar body name {word!r} is not a valid Python name")


@intrinsic
def _exponent_intrinsic(typingctx: Any, x: Any) -> Any:
    """Exponent e of x = m 2^e with sqrt(1/2) <= m < sqrt(2), as float32."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i32 = ir.IntType(32)
        bits = builder.sub(builder.bitcast(args[0], i32), ir.Constant(i32, 0x3F3504F3))
        return builder.sitofp(builder.ashr(bits, ir.Constant(i32, 23)), ir.FloatType())

    return types.float32(types.float32), codegen


@intrinsic
def _mantissa_intrinsic(typingctx: Any, x: Any) -> Any:
    """Mantissa m of x = m 2^e with sqrt(1/2) <= m < sqrt(2)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i32 = ir.IntType(32)
        bits = builder.sub(builder.bitcast(args[0], i32), ir.Constant(i32, 0x3F3504F3))
        bits = builder.add(builder.and_(bits, ir.Constant(i32, 0x007FFFFF)), ir.Constant(i32, 0x3F3504F3))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.float32), codegen


@intrinsic
def _power_of_two_intrinsic(typingctx: Any, n: Any) -> Any:
    """2^n for a whole number n from -126 to 127 held in a float32."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i32 = ir.IntType(32)
        bits = builder.add(builder.fptosi(args[0], i32), ir.Constant(i32, 127))
        return builder.bitcast(builder.shl(bits, ir.Constant(i32, 23)), ir.FloatType())

    return types.float32(types.float32), codegen


# numba gives the first argument itself, which a type checker cannot know
_exponent: Any = _exponent_intrinsic
_mantissa: Any = _mantissa_intrinsic
_power_of_two: Any = _power_of_two_intrinsic

_F = np.float32
_LN2_HIGH, _LN2_LOW, _LOG2_E = _F(0.693359375), _F(-2.12194440e-4), _F(1.44269504088896341)
_LARGEST = np.finfo(np.float32).max
_SMALLEST = np.finfo(np.float32).tiny
_INFINITY = _F(np.inf)
_L0, _L1, _L2 = _F(7.0376836292e-2), _F(-1.1514610310e-1), _F(1.1676998740e-1)
_L3, _L4, _L5 = _F(-1.2420140846e-1), _F(1.4249322787e-1), _F(-1.6668057665e-1)
_L6, _L7, _L8 = _F(2.0000714765e-1), _F(-2.4999993993e-1), _F(3.3333331174e-1)
_E0, _E1, _E2 = _F(1.9875691500e-4), _F(1.3981999507e-3), _F(8.3334519073e-3)
_E3, _E4, _E5 = _F(4.1665795894e-2), _F(1.6666665459e-1), _F(5.0000001201e-1)
# adding and subtracting 1.5 * 2^23 rounds a float32 to a whole number
_ROUND = _F(12582912.0)
_EXP_HIGHEST, _EXP_LOWEST = _F(88.3762626647949), _F(-87.33654475)


@numba.njit(**SCALAR_BODY)
def vector_log(x: np.float32) -> np.float32:
    """Natural logarithm of a positive float32, written so that loops over it use vector instructions.

    Relative error below 1e-6 on normal numbers. NaN and infinity are returned as they are; zero, negative and subnormal
    numbers are the caller's business (clip first).
    """
    f = _mantissa(x) - _F(1)
    e = _exponent(x)
    z = f * f
    p = ((_L0 * f + _L1) * f + _L2) * f + _L3
    p = (((p * f + _L4) * f + _L5) * f + _L6) * f + _L7
    y = (p * f + _L8) * f * z
    y = y + e * _LN2_LOW - _F(0.5) * z
    y = (f + y) + e * _LN2_HIGH
    return y if x <= _LARGEST else x


@numba.njit(**SCALAR_BODY)
def vector_exp(x: np.float32) -> np.float32:
    """Exponential of a float32, written so that loops over it use vector instructions.

    Relative error below 1e-6; below -87.3 the result is 0, above 88.37 infinity; NaN stays NaN.
    """
    inside = x if x > _EXP_LOWEST else _EXP_LOWEST  # no min or max: numba's CUDA target lacks them
    inside = inside if inside < _EXP_HIGHEST else _EXP_HIGHEST
    n = (inside * _LOG2_E + _ROUND) - _ROUND
    r = inside - n * _LN2_HIGH
    r = r - n * _LN2_LOW
    p = ((_E0 * r + _E1) * r + _E2) * r + _E3
    p = ((p * r + _E4) * r + _E5) * r * r + r + _F(1)
    y = p * _power_of_two(n)
    y = _F(0) if x < _EXP_LOWEST else y
    y = _INFINITY if x > _EXP_HIGHEST else y
    # only NaN differs from itself
    return y if x == x else x


def fuse(bodies: Sequence[ScalarBody]) -> Callable[..., NDArray[np.float32]]:
    """Make one loop of a chain of element-wise steps.

    The result is called as ``chain(frames, images, scalars, out)``:

    - ``frames``: (frame, row, col), any integer or float type; without images any shape of one dimension or more.
    - ``images``: for each body in turn the images (row, col) that it reads.
    - ``scalars``: for each body in turn its parameters, each one number or one for every frame.
    - ``out``: float32 like ``frames``; made if missing. It may be ``frames`` itself.

    Args:
        bodies: the steps in the order in which they are applied.

    Returns:
        The compiled chain; the same object for the same bodies.

    Raises:
        ValueError: if there are no bodies; when called, if an image, a parameter or ``out`` does not fit.
    """
    chain = tuple(bodies)
    if not chain:
        raise ValueError("bodies is empty: expected at least one scalar body to fuse")
    with _fused_lock:
        if chain not in _fused:
            _fused[chain] = _FusedChain(chain)
        return _fused[chain]


class _FusedChain:
    """A generated loop and the checks in front of it."""

    def __init__(self, bodies: tuple[ScalarBody, ...]) -> None:
        self.bodies = bodies
        self.images = sum(b.images for b in bodies)
        self.parameters = [f"{b.name}.{p}" for b in bodies for p in b.parameters]
        self.loop = _load(bodies).fused

    def __call__(
        self,
        frames: ArrayLike,
        images: Sequence[ArrayLike] = (),
        scalars: Sequence[ArrayLike] = (),
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Apply the chain; see :func:`fuse`."""
        values = _readable(np.asarray(frames))
        if out is None:
            out = np.empty(values.shape, np.float32)
        elif out.shape != values.shape or out.dtype != np.float32:
            raise ValueError(f"out is {out.dtype}{out.shape}: expected float32{values.shape}")
        if self.images and values.ndim != 3:
            raise ValueError(f"frames has shape {values.shape}: expected (frame, row, col)")
        maps = [np.ascontiguousarray(i, dtype=np.float32) for i in images]
        if len(maps) != self.images or any(m.shape != values.shape[-2:] for m in maps):
            shapes = [m.shape for m in maps]
            raise ValueError(f"images have shapes {shapes}: expected {self.images} of shape {values.shape[-2:]}")
        numbers = self._per_frame(scalars, values.shape[0])
        whole = values.flags.c_contiguous and out.flags.c_contiguous
        if values.ndim != 3 and not whole:
            raise ValueError(f"frames of shape {values.shape} are not contiguous: expected C order")
        if whole and not maps:  # each frame in one run through memory
            block = (values.shape[0], 1, -1 if values.size else 0)
            self.loop(values.reshape(block), *numbers, out.reshape(block))
        else:
            self.loop(values, *maps, *numbers, out)
        return out

    def _per_frame(self, scalars: Sequence[ArrayLike], frames: int) -> list[NDArray[np.float32]]:
        if len(scalars) != len(self.parameters):
            raise ValueError(f"{len(scalars)} scalars given: expected {len(self.parameters)} ({self.parameters})")
        numbers: list[NDArray[np.float32]] = []
        for name, scalar in zip(self.parameters, scalars, strict=True):
            number = np.asarray(scalar, dtype=np.float32)
            if number.ndim > 1 or number.size not in (1, frames):
                raise ValueError(f"{name} has shape {number.shape}: expected one number or one for each of {frames}")
            numbers.append(np.empty(frames, np.float32))
            numbers[-1][:] = number
        return numbers


_fused: dict[tuple[ScalarBody, ...], _FusedChain] = {}
_fused_lock = threading.Lock()
_private_folder: list[Path] = []


def _readable(values: NDArray[Any]) -> NDArray[Any]:
    """Give numba a type that it reads; refuse what is no array of numbers."""
    if values.ndim == 0 or values.dtype.kind not in "buif":
        raise ValueError(f"frames is {values.dtype}{values.shape}: expected an array of integers or floats")
    return readable(values)


def _source(bodies: tuple[ScalarBody, ...], fingerprint: str, *, cached: bool) -> str:
    """Write the loop. Bands of rows are outermost, so that their images stay in cache for all frames of the chunk."""
    images = sum(b.images for b in bodies)
    numbers = sum(len(b.parameters) for b in bodies)
    arguments = ["frames", *(f"image_{i}" for i in range(images)), *(f"scalar_{i}" for i in range(numbers)), "out"]
    lines = [
        f'"""{" -> ".join(b.name for b in bodies)}: generated by firstlight.kernels.elementwise ({fingerprint})."""',
        "import numba",
        "import numpy as np",
        "",
        "",
        f'@numba.njit(nogil=True, error_model="numpy", fastmath={{"contract", "nsz"}}, cache={cached})',
        f"def fused({', '.join(arguments)}):",
        "    rows = frames.shape[1]",
        f"    band = max(1, {_BAND} // max(frames.shape[2], 1))",
        "    for top in range(0, rows, band):",
        "        for frame in range(frames.shape[0]):",
        *(f"            number_{i} = scalar_{i}[frame]" for i in range(numbers)),
        "            for row in range(top, min(top + band, rows)):",
        *(f"                line_{i} = image_{i}[row]" for i in range(images)),
        "                pixels = frames[frame, row]",
        "                result = out[frame, row]",
        "                for col in range(pixels.size):",
        "                    value = np.float32(pixels[col])",
    ]
    image = number = 0
    for step, body in enumerate(bodies):
        used = ["value", *(f"line_{image + i}[col]" for i in range(body.images))]
        used += [f"number_{number + i}" for i in range(len(body.parameters))]
        lines.append(f"                    value = np.float32(body_{step}({', '.join(used)}))")
        image, number = image + body.images, number + len(body.parameters)
    lines.append("                    result[col] = value")
    return "\n".join(lines) + "\n"


def _fingerprint(bodies: tuple[ScalarBody, ...]) -> str | None:
    """Hash of all that the compiled loop depends on; None where a body has no file of its own to hash."""
    parts = [numba.__version__, np.__version__, Path(__file__).read_text(encoding="utf-8")]
    for body in bodies:
        function = getattr(body.function, "py_func", body.function)
        module = sys.modules.get(function.__module__)
        path = getattr(module, "__file__", None)
        if function.__module__ == "__main__" or function.__closure__ or "<locals>" in function.__qualname__ or not path:
            return None
        parts += [body.name, function.__module__, function.__qualname__, str(body.images), *body.parameters]
        parts.append(inspect.getsource(function))
        parts.append(Path(path).read_text(encoding="utf-8"))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _load(bodies: tuple[ScalarBody, ...]) -> ModuleType:
    """Import the generated module; its bodies are put in as globals before it runs."""
    fingerprint = _fingerprint(bodies)
    cached = fingerprint is not None
    name = fingerprint or hashlib.sha256(repr([(b.name, id(b.function)) for b in bodies]).encode()).hexdigest()[:24]
    source = _source(bodies, name, cached=cached)
    bound = {f"body_{step}": body.function for step, body in enumerate(bodies)}
    return import_generated(f"fused_{name}", source, bound, kept=cached)


def import_generated(name: str, source: str, names: Mapping[str, Any], *, kept: bool = True) -> ModuleType:
    """Write a module and import it, so that numba can keep on disk what it compiles of it.

    Args:
        name: of the module; it tells apart all that the source depends on.
        source: its code, which must be made of parts that this program knows.
        names: globals that are put in before the code runs.
        kept: whether other processes will find it; else it goes with this one.
    """
    path = _store(_usable_folder() if kept else _process_folder(), f"{name}.py", source)
    spec = importlib.util.spec_from_file_location(f"firstlight_{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported: remove the folder or set FIRSTLIGHT_CACHE to another one")
    module = importlib.util.module_from_spec(spec)
    for known, value in names.items():
        setattr(module, known, value)
    # numba finds the module by its name when it loads compiled code from disk
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _usable_folder() -> Path:
    """The cache folder, if it can be written and nobody else can plant code there; else a folder for this process."""
    folder = cache_folder() / "elementwise"
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.stat()
        mine = not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)
        if mine and os.access(folder, os.W_OK):
            return folder
    return _process_folder()


def _process_folder() -> Path:
    if not _private_folder:
        _private_folder.append(Path(tempfile.mkdtemp(prefix="firstlight-")))
        atexit.register(shutil.rmtree, _private_folder[0], ignore_errors=True)
    return _private_folder[0]


def _store(folder: Path, name: str, source: str) -> Path:
    """Write a file once, whole, whichever process comes first.

    A file with the right content is left alone: numba throws its compiled code away when the time stamp changes.
    """
    path = folder / name
    with contextlib.suppress(OSError):
        if path.read_text(encoding="utf-8") == source:
            return path
    handle, draft = tempfile.mkstemp(dir=folder, prefix=name)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(source)
    try:
        if not path.exists():
            os.link(draft, path)
            Path(draft).unlink()
            return path
    except OSError:
        # another process was first, or the file system has no links: either way the content is the same
        pass
    Path(draft).replace(path)
    return path
