"""Arrays on CUDA devices: where they come from, how they travel, and how kernels are launched on them.

A body for CUDA gets its data and its held images as device arrays (C-contiguous), small coordinates as numpy arrays, and
returns device arrays. It makes room with `empty` and `zeros`, starts kernels with `launch`, and neither copies data to the host
nor waits, unless it needs a number to decide by. Each thread works with a lane (`working`): a device and a stream of it, so
that what it asks for happens in the order in which it asked, beside the work of other threads.

Everything runs under numba's simulator too (``NUMBA_ENABLE_CUDASIM=1``): there a device array wraps a numpy array, and one
kernel runs at a time. Arrays of CuPy are device arrays for every function here (``__cuda_array_interface__``).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import cuda as _cuda
from numba.core import config as _config
from numpy.typing import DTypeLike, NDArray

cuda: Any = _cuda  # its stubs know nothing of launching a kernel

Host = NDArray[Any]
Device = Any
"""A device array: numba's, or one with ``__cuda_array_interface__``."""

PIECE = 16 * 2**20
"""Bytes of a staging buffer. Each lane has two for each way: one is filled while the other travels."""

SMALL = 64 * 1024
"""Bytes up to which the driver takes a copy of an array by itself, without waiting for what was asked for before."""

simulated_devices = 1
"""How many devices the simulator pretends to have; all of them are the host's memory."""


# ---- devices ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Memory:
    """Of a device, in byte; infinite in the simulator."""

    free: float
    total: float


def simulated() -> bool:
    """True under numba's simulator."""
    return bool(getattr(_config, "ENABLE_CUDASIM", False))


def present() -> bool:
    """True if there is a CUDA device that can be used (or numba's simulator)."""
    return count() > 0


def count() -> int:
    """How many devices can be used; 0 without a driver."""
    if simulated():
        return simulated_devices
    return len(cuda.gpus) if cuda.is_available() else 0


def absent() -> str | None:
    """Why no device can be used, in words; None if one can."""
    if count():
        return None
    from numba.cuda.cudadrv import driver

    if not driver.driver.is_available:
        return "no driver of NVIDIA is found"
    return "the compiler of kernels (libNVVM) is not found: pip install 'firstlight[gpu]' brings it"


def name(device: int) -> str:
    """What a device calls itself."""
    if simulated():
        return "numba's simulator"
    found = cuda.gpus[device].name
    return found.decode() if isinstance(found, bytes) else str(found)


def memory(device: int) -> Memory:
    """Free and total memory of a device. Opens it on the calling thread for the moment.

    Raises:
        IndexError: there is no such device.
    """
    if simulated():
        return Memory(math.inf, math.inf)
    with cuda.gpus[device]:
        free, total = cuda.current_context().get_memory_info()
    return Memory(float(free), float(total))


# ---- the calling thread's lane ---------------------------------------------------------------------------------------


class Lane:
    """A device, a stream of it, and page-locked buffers for its copies: what one thread works with at a time.

    Args:
        device: its number.
    """

    def __init__(self, device: int) -> None:
        """Nothing is taken before the first use.

        Raises:
            IndexError: there is no such device.
        """
        if not 0 <= device < count():
            raise IndexError(f"There is no CUDA device {device}: {count()} can be used.")
        self.device = device
        self._stream: Any = None
        self._staging: dict[str, list[tuple[Host, Any]]] = {}

    @property
    def stream(self) -> Any:
        """Copies and kernels in it happen one after the other."""
        if self._stream is None:
            self._stream = cuda.stream()
        return self._stream

    def staging(self, way: str) -> list[tuple[Host, Any]]:
        """Two buffers, each with the event after which it may be used again."""
        if way not in self._staging:
            self._staging[way] = [(cuda.pinned_array(PIECE, np.uint8), cuda.event()) for _ in range(2)]
        return self._staging[way]


class _Mine(threading.local):
    """What the calling thread works with."""

    lane: Lane | None = None


_mine = _Mine()
_simulator = threading.RLock()


@contextmanager
def working(lane: Lane) -> Iterator[Lane]:
    """The calling thread works with a lane, which nobody else uses meanwhile."""
    before = _mine.lane
    _mine.lane = lane
    try:
        if simulated():
            yield lane
        else:
            with cuda.gpus[lane.device]:
                yield lane
    finally:
        _mine.lane = before


def _lane() -> Lane:
    """The lane of the calling thread; one of the first device, where nobody gave it one."""
    if _mine.lane is None:
        _mine.lane = Lane(0)
    return _mine.lane


def stream() -> Any:
    """The stream of the calling thread."""
    return _lane().stream


def bound() -> int:
    """The device of the calling thread."""
    return _lane().device


def synchronize() -> None:
    """Wait until everything that the calling thread asked for is done."""
    stream().synchronize()


def launch(kernel: Any, grid: int | tuple[int, ...], block: int | tuple[int, ...], *arguments: Any) -> None:
    """Start a kernel in the calling thread's stream; all arrays among its arguments are on the device.

    Args:
        kernel: made with ``cuda.jit``.
        grid: number of blocks, along up to three axes.
        block: threads of a block, along as many.
        arguments: of the kernel.
    """
    mine = stream()
    one_at_a_time: AbstractContextManager[Any] = _simulator if simulated() else nullcontext()
    with one_at_a_time:
        kernel[grid, block, mine](*arguments)


# ---- arrays ----------------------------------------------------------------------------------------------------------


def is_on_device(values: Any) -> bool:
    """True for device arrays, CuPy's included."""
    return bool(getattr(values, "__cuda_ndarray__", False)) or hasattr(values, "__cuda_array_interface__")


def empty(shape: int | Sequence[int], dtype: DTypeLike = np.float32) -> Device:
    """Room on the device for an array, C-contiguous; its values are anything."""
    wanted = (shape,) if isinstance(shape, int) else tuple(int(length) for length in shape)
    _lane()
    return cuda.device_array(wanted, np.dtype(dtype))


def zeros(shape: int | Sequence[int], dtype: DTypeLike = np.float32) -> Device:
    """An array of zeros on the device."""
    from numba.cuda.cudadrv import driver

    made = empty(shape, dtype)
    size = nbytes(made)
    if size:
        driver.device_memset(_as_bytes(made), 0, size, stream())
    return made


def nbytes(values: Device) -> int:
    """Size of an array in byte."""
    return math.prod(values.shape) * np.dtype(values.dtype).itemsize


def as_numba(values: Device) -> Device:
    """The same memory as an array of numba's, whatever library made it, in the calling thread's stream (`cupy_stream`)."""
    return values if getattr(values, "__cuda_ndarray__", False) else cuda.as_cuda_array(values, sync=False)


def as_cupy(values: Device) -> Any:
    """The same memory as an array of CuPy's; work on it inside ``cupy_stream()``.

    Raises:
        ModuleNotFoundError: CuPy is not installed (extra ``gpu``).
    """
    import cupy  # type: ignore[import-not-found]

    return cupy.asarray(values)


def cupy_stream() -> AbstractContextManager[Any]:
    """Lets CuPy work in the calling thread's stream.

    Raises:
        ModuleNotFoundError: CuPy is not installed (extra ``gpu``).
    """
    import cupy  # type: ignore[import-not-found]

    return cupy.cuda.ExternalStream(int(stream()), bound())


def has_cupy() -> bool:
    """True if CuPy is installed and works on the same devices (never in the simulator)."""
    from importlib.util import find_spec

    return not simulated() and find_spec("cupy") is not None


def joined(parts: Sequence[Device]) -> Device:
    """Arrays of one type put one after the other along their first axis."""
    first = parts[0]
    if len(parts) == 1:
        return first
    made = empty((sum(part.shape[0] for part in parts), *first.shape[1:]), first.dtype)
    place = 0
    for part in parts:
        if part.shape[0]:
            made[place : place + part.shape[0]].copy_to_device(part, stream=stream())
        place += part.shape[0]
    return made


# ---- transfers -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Transfers:
    """What went to devices and came back since the program began: what tests and benchmarks count."""

    to_device: int = 0
    """Arrays."""
    to_device_bytes: int = 0
    to_host: int = 0
    """Arrays."""
    to_host_bytes: int = 0


_counting = threading.Lock()
_counted = Transfers()


def transfers() -> Transfers:
    """The counts so far."""
    with _counting:
        return Transfers(_counted.to_device, _counted.to_device_bytes, _counted.to_host, _counted.to_host_bytes)


def on_device(values: Any, dtype: DTypeLike | None = None) -> Device:
    """An array on the calling thread's device, C-contiguous.

    The host's array may be changed as soon as this returns; the copy to the device goes on in the calling thread's stream.

    Args:
        values: of the host, any shape; a device array is given back as it is.
        dtype: converted on the host to this; by default the values keep theirs, in the byte order of the machine.

    Raises:
        TypeError: a device array of another type than asked for.
    """
    if is_on_device(values):
        if dtype is not None and np.dtype(values.dtype) != np.dtype(dtype):
            raise TypeError(f"The device array holds {values.dtype}, expected {np.dtype(dtype)}.")
        return as_numba(values)
    kind = np.asarray(values).dtype if dtype is None else np.dtype(dtype)
    native = kind.newbyteorder("=")  # no kernel reads numbers of big-endian files
    host = np.ascontiguousarray(values, native).reshape(np.shape(values))
    made = empty(host.shape, host.dtype)
    with _counting:
        _counted.to_device += 1
        _counted.to_device_bytes += host.nbytes
    if 0 < host.nbytes <= SMALL:
        made.copy_to_device(host, stream=stream())
        return made
    flat, source, way = _as_bytes(made), host.reshape(-1).view(np.uint8), _lane().staging("in")
    for number, start in enumerate(range(0, host.nbytes, PIECE)):
        piece = source[start : start + PIECE]
        buffer, travelled = way[number % 2]
        travelled.synchronize()
        buffer[: piece.size] = piece
        flat[start : start + piece.size].copy_to_device(buffer[: piece.size], stream=stream())
        travelled.record(stream())
    return made


def to_host(values: Device, out: Host | None = None) -> Host:
    """A copy on the host; returns when it is complete.

    Args:
        values: a C-contiguous device array.
        out: C-contiguous array of this shape and type that is filled; by default a new one.
    """
    array = as_numba(values)
    host = np.empty(tuple(array.shape), array.dtype) if out is None else out
    if host.shape != tuple(array.shape) or host.dtype != array.dtype or not host.flags.c_contiguous:
        raise ValueError(
            f"'out' is {host.dtype} {host.shape}, expected {array.dtype} {tuple(array.shape)}, C-contiguous."
        )
    flat, target, way = _as_bytes(array), host.reshape(-1).view(np.uint8), _lane().staging("out")
    starts = range(0, host.nbytes, PIECE)
    for number in range(len(starts) + 1):
        if number < len(starts):
            start = starts[number]
            buffer, travelled = way[number % 2]
            size = min(PIECE, host.nbytes - start)
            flat[start : start + size].copy_to_host(buffer[:size], stream=stream())
            travelled.record(stream())
        if number > 0:  # the piece before has come while this one was asked for
            start = starts[number - 1]
            buffer, travelled = way[(number - 1) % 2]
            travelled.synchronize()
            piece = target[start : start + PIECE]
            piece[...] = buffer[: piece.size]
    with _counting:
        _counted.to_host += 1
        _counted.to_host_bytes += host.nbytes
    return host


def _as_bytes(values: Device) -> Device:
    """The memory of a C-contiguous array, byte by byte."""
    return values.reshape((math.prod(values.shape),)).view(np.uint8)
