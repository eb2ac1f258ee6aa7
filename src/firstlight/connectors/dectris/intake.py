"""Messages out of a ZeroMQ socket, many in one go and outside the interpreter's lock: compiled code that calls libzmq itself.

Measured for frames of four parts (2026-11): pyzmq's objects, and the slices and calls that Python makes of them, take 35 µs a frame,
during which nothing else runs in the interpreter; this takes about 5, most of it for the copy of the pixels. The functions are those of the libzmq that
pyzmq has loaded itself; where they can not be reached, pyzmq's own `recv` does the work (see `Connection`).
"""

from __future__ import annotations

import ctypes
import errno
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import llvmlite.binding as llvm
import numpy as np
import zmq
from numba import njit, types

from firstlight.core.arrays import Array, Ids
from firstlight.core.handover import Pool

from .wire import LARGEST_FRAME

AT_ONCE = 64
"""Messages that are taken at once."""
MOST_PARTS = 64
"""Parts of a message that are kept: no message of a detector has more than nine."""
PIXELS = 2
"""The part of a frame (of stream v1) that holds its pixels; they lie in memory of their own, one frame behind the other."""
_ROWS = 8 * AT_ONCE + MOST_PARTS
_PIXEL_BYTES, _TEXT_BYTES = 4 * 2**20, 2**18
_SPARE = 64
"""Pieces of memory for pixels that are kept for further use, as many as a run holds back by default when it is behind."""
_ALIGNED = 64
_ROW, _DONE, _INDEX, _WAITS, _USED, _ERROR = 0, 1, 2, 3, 4, 6
"""What the state holds: rows of the table that are used; messages that are complete; number of the next part within its message; length
of the part that has no room yet, or 0; bytes that are used of texts and of pixels; number of libzmq's error, or 0."""
_STATE = 7


class Messages(NamedTuple):
    """What came, in order."""

    texts: Array
    """Memory of all parts but the pixels, uint8."""
    pixels: Array
    """Memory of the pixels, uint8."""
    parts: Array
    """Where each part begins and ends in its memory, (part, 2), int64; valid until more is taken."""
    bounds: Ids
    """Which part each message begins with, and the number of all parts at the end; valid until more is taken."""

    def __len__(self) -> int:
        """Number of messages."""
        return len(self.bounds) - 1

    def pixels_of(self, begin: int, end: int) -> tuple[Ids, Ids]:
        """Where the pixels of some messages, which are frames, begin and end in their memory."""
        rows = self.parts[self.bounds[begin:end] + PIXELS]
        return np.ascontiguousarray(rows[:, 0]), np.ascontiguousarray(rows[:, 1])

    def message(self, at: int) -> list[memoryview]:
        """The parts of one message, as views that keep the memory alive."""
        found: list[memoryview] = []
        for index, row in enumerate(range(int(self.bounds[at]), int(self.bounds[at + 1]))):
            begin, end = self.parts[row].tolist()
            found.append((self.pixels if index == PIXELS else self.texts)[begin:end].data.toreadonly())
        return found


class Intake:
    """Takes messages out of a socket; used by the one thread that uses the socket.

    Args:
        socket: Where they come from; how long to wait for the first is its RCVTIMEO.
    """

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        """Start with nothing; compiled code is loaded here. See `intake_for`."""
        self._socket = int(socket.underlying)
        self._message = np.zeros(8, np.uint64)  # a zmq_msg_t: 64 byte, aligned
        _begin(self._message.ctypes.data)
        self._pools = Pool(_TEXT_BYTES), Pool(_PIXEL_BYTES, _SPARE)
        self._memory = [pool.take() for pool in self._pools]
        self._parts = np.zeros((_ROWS, 2), np.int64)
        self._bounds = np.zeros(AT_ONCE + 1, np.int64)
        self._state = np.zeros(_STATE, np.int64)
        _take(self._socket, self._message.ctypes.data, 0, *self._tables())

    @property
    def unfinished(self) -> bool:
        """A part waits for memory: take again, and do not receive otherwise."""
        return bool(self._state[_WAITS] or self._state[_INDEX])

    @property
    def drained(self) -> bool:
        """Nothing more waited when messages were taken last."""
        return bool(self._state[_ERROR] == zmq.EAGAIN)

    def take(self) -> Messages | None:
        """All that is there, up to 64 messages or 4 MiB, after waiting for the first; None if nothing came.

        Raises:
            zmq.ZMQError: Receiving failed.
        """
        self._carry_over()
        count = self._fill()
        if not count and self._state[_WAITS]:
            self._make_room()
            count = self._fill()
        if not count:
            return None
        bounds = self._bounds[: count + 1]
        return Messages(self._memory[0], self._memory[1], self._parts[: bounds[-1]], bounds)

    def close(self) -> None:
        """Let go of what libzmq holds for us."""
        _end(self._message.ctypes.data)

    def _tables(self) -> tuple[Array, Array, Array, Array, Array]:
        texts, pixels = self._memory
        return texts, pixels, self._parts, self._bounds, self._state

    def _fill(self) -> int:
        count = _take(self._socket, self._message.ctypes.data, AT_ONCE, *self._tables())
        if not count and self._state[_ERROR] not in (0, zmq.EAGAIN, errno.EINTR):
            raise zmq.ZMQError(int(self._state[_ERROR]))
        return count

    def _carry_over(self) -> None:
        """Parts of a message that is not complete become the first ones; memory that was full is exchanged."""
        first, rows = int(self._bounds[self._state[_DONE]]), int(self._state[_ROW])
        self._parts[: rows - first] = self._parts[first:rows].copy()
        self._state[_ROW], self._state[_DONE] = rows - first, 0
        if self._state[_WAITS]:
            self._make_room()

    def _make_room(self) -> None:
        """Exchange the memory in which the part that waits has no room; the earlier parts of its message move along."""
        index, size = int(self._state[_INDEX]), int(self._state[_WAITS])
        which = int(index == PIXELS)
        old = self._memory[which]
        rows = [row for row in range(int(self._state[_ROW])) if (row == PIXELS) == (index == PIXELS)]
        kept = sum(int(self._parts[row, 1] - self._parts[row, 0]) + _ALIGNED for row in rows)
        pool = self._pools[which]
        new = pool.take() if kept + size <= pool.nbytes else np.empty(kept + size, np.uint8)
        used = 0
        for row in rows:
            begin, end = self._parts[row].tolist()
            new[used : used + end - begin] = old[begin:end]
            self._parts[row] = used, used + end - begin
            used += end - begin
        self._memory[which], self._state[_USED + which] = new, used


def intake_for(socket: zmq.Socket[bytes]) -> Intake | None:
    """An intake for a socket; None where the functions of libzmq can not be reached."""
    return Intake(socket) if _found() else None


@cache
def _found() -> bool:
    """Make the functions of pyzmq's libzmq known to compiled code; False where they can not be reached."""
    try:
        library = ctypes.CDLL(import_module("zmq.backend.cython._zmq").__file__)
        addresses = {name: ctypes.cast(getattr(library, name), ctypes.c_void_p).value for name in _FUNCTIONS}
    except (ImportError, OSError, AttributeError):
        return False
    for name, address in addresses.items():
        llvm.add_symbol(_PREFIX + name, address)
    return True


# ---- compiled: these run outside the interpreter's lock -------------------------------------------------------------

_PREFIX = "firstlight_"
_FUNCTIONS = (
    "zmq_msg_init",
    "zmq_msg_recv",
    "zmq_msg_data",
    "zmq_msg_size",
    "zmq_msg_more",
    "zmq_msg_close",
    "zmq_errno",
)


def _function(name: str, result: Any, *arguments: Any) -> Any:
    return types.ExternalFunction(_PREFIX + name, result(*arguments))


_address = types.intp
_DONTWAIT = int(zmq.DONTWAIT)
_msg_init = _function("zmq_msg_init", types.int32, _address)
_msg_recv = _function("zmq_msg_recv", types.int32, _address, _address, types.int32)
_msg_data = _function("zmq_msg_data", types.intp, _address)
_msg_size = _function("zmq_msg_size", types.intp, _address)
_msg_more = _function("zmq_msg_more", types.int32, _address)
_msg_close = _function("zmq_msg_close", types.int32, _address)
_errno = _function("zmq_errno", types.int32)
_memcpy: Any = types.ExternalFunction("memcpy", types.intp(types.intp, types.intp, types.intp))


@njit(nogil=True, cache=True)
def _begin(message: int) -> None:
    _msg_init(message)


@njit(nogil=True, cache=True)
def _end(message: int) -> None:
    _msg_close(message)


@njit(nogil=True, cache=True)
def _take(
    socket: int, message: int, most: int, texts: Array, pixels: Array, parts: Array, bounds: Array, state: Array
) -> int:
    """Complete messages in the table; what is not complete goes on with the next call."""
    state[_ERROR] = 0
    while True:
        if state[_WAITS] == 0:
            if state[_INDEX] == 0 and (state[_DONE] == most or state[_ROW] + MOST_PARTS > parts.shape[0]):
                return state[_DONE]
            wait = state[_DONE] == 0 and state[_INDEX] == 0
            if _msg_recv(message, socket, np.int32(0 if wait else _DONTWAIT)) < 0:
                state[_ERROR] = _errno()
                return state[_DONE]
        size = _msg_size(message)
        if state[_INDEX] < MOST_PARTS:
            size = size if size <= LARGEST_FRAME else 0
            if not _keep(message, size, texts, pixels, parts, state):
                state[_WAITS] = size
                return state[_DONE]
        state[_WAITS] = 0
        if _msg_more(message):
            state[_INDEX] += 1
        else:
            state[_INDEX] = 0
            state[_DONE] += 1
            bounds[state[_DONE]] = state[_ROW]


@njit(nogil=True, cache=True)
def _keep(message: int, size: int, texts: Array, pixels: Array, parts: Array, state: Array) -> bool:
    """Copy a part into memory; False where it has no room."""
    which = 1 if state[_INDEX] == PIXELS else 0
    memory = pixels if which else texts
    begin = state[_USED + which]
    if which and size:  # so that pixels can be read where they lie; an empty part always has room
        begin = (begin + _ALIGNED - 1) // _ALIGNED * _ALIGNED
    if begin + size > memory.size:
        return False
    if size:
        _memcpy(memory.ctypes.data + begin, _msg_data(message), size)
    state[_USED + which] = begin + size
    parts[state[_ROW], 0] = begin
    parts[state[_ROW], 1] = begin + size
    state[_ROW] += 1
    return True
