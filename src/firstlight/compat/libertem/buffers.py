"""What a UDF declares and gives: buffers per scan point, per detector pixel, or of any shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError

Kind = Literal["nav", "sig", "single"]
_FLOAT: np.dtype[Any] = np.dtype(np.float32)


class Shape(tuple[int, ...]):
    """Sizes of a data set: `nav` of the scan, `sig` of the detector; each is a shape again."""

    _nav: int

    def __new__(cls, sizes: tuple[int, ...], sig_dims: int = 2) -> Shape:
        """Scan axes first; the last `sig_dims` belong to the detector."""
        made = super().__new__(cls, sizes)
        made._nav = max(len(sizes) - sig_dims, 0)
        return made

    @property
    def nav(self) -> Shape:
        """Sizes of the scan."""
        return Shape(self[: self._nav], 0)

    @property
    def sig(self) -> Shape:
        """Sizes of the detector."""
        return Shape(self[self._nav :])

    @property
    def dims(self) -> int:
        """Number of axes."""
        return len(self)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self)

    def to_tuple(self) -> tuple[int, ...]:
        """As a plain tuple."""
        return tuple(self)


@dataclass(frozen=True, slots=True)
class Declared:
    """One buffer that a UDF declares."""

    kind: Kind
    extra_shape: tuple[int, ...] = ()
    dtype: np.dtype[Any] = _FLOAT
    use: str | None = None
    """private: not among the results; result_only: only made at the end."""

    def shape(self, frames: int, sig: tuple[int, ...]) -> tuple[int, ...]:
        """The shape for so many frames; scan axes flattened to one."""
        if self.kind == "single":
            return self.extra_shape or (1,)
        return ((frames,) if self.kind == "nav" else sig) + self.extra_shape

    def allocate(self, frames: int, sig: tuple[int, ...]) -> Array:
        """Zeros of that shape; None where values are objects."""
        return np.zeros(self.shape(frames, sig), self.dtype)


def read_declared(found: Any) -> dict[str, Declared]:
    """Buffers as `get_result_buffers` gave them: ours, or LiberTEM's own objects.

    Raises:
        FirstlightError: A buffer is of no known kind.
    """
    buffers: dict[str, Declared] = {}
    for name, one in cast("Mapping[str, Any]", found).items():
        if isinstance(one, Declared):
            buffers[name] = one
            continue
        kind = getattr(one, "kind", None)
        if kind not in ("nav", "sig", "single"):
            raise FirstlightError(
                "This is no buffer.",
                field=name,
                value=type(one).__name__,
                expected="self.buffer(kind=nav, sig or single)",
            )
        extra = tuple(int(size) for size in one.extra_shape)
        buffers[name] = Declared(kind, extra, np.dtype(one.dtype), getattr(one, "use", None))
    return buffers


class Views:
    """Buffers by attribute or by key, as UDFs reach them; assigning to one writes into it."""

    def __init__(self, arrays: Mapping[str, Array], wrap: Callable[[str], BufferWrapper] | None = None) -> None:
        """Views of arrays, which stay the same memory; `wrap` makes buffers as a whole of them."""
        object.__setattr__(self, "_arrays", dict(arrays))
        object.__setattr__(self, "_wrap", wrap)

    def get_buffer(self, name: str) -> BufferWrapper:
        """One buffer as a whole, with its shape and mask; at the end, for `get_results`.

        Raises:
            AttributeError: It is not the end.
        """
        if self._wrap is None:
            raise AttributeError("buffers can only be had as a whole in get_results")
        found: BufferWrapper = self._wrap(name)
        return found

    def __getattr__(self, name: str) -> Any:
        """One buffer."""
        try:
            return self._arrays[name]
        except KeyError:
            raise AttributeError(f"there is no buffer '{name}'") from None

    def __setattr__(self, name: str, value: Any) -> None:
        """Write into one buffer."""
        if self._arrays[name] is not value:
            self._arrays[name][...] = value

    def __getitem__(self, name: str) -> Any:
        """One buffer."""
        return self._arrays[name]

    def __setitem__(self, name: str, value: Any) -> None:
        """Write into one buffer."""
        setattr(self, name, value)

    def __iter__(self) -> Iterator[str]:
        """Names."""
        return iter(self._arrays)

    def __contains__(self, name: object) -> bool:
        """True if there is such a buffer."""
        return name in self._arrays

    def keys(self) -> Any:
        """Names."""
        return self._arrays.keys()

    def items(self) -> Any:
        """Names and buffers."""
        return self._arrays.items()


class BufferWrapper:
    """One result: `data` in the shape of the scan, detector or whatever was declared; `valid_mask` says what has come."""

    def __init__(
        self, declared: Declared, data: Array, nav: tuple[int, ...], roi: Array | None, valid: Array | bool
    ) -> None:
        """Take a result whose scan axes are flattened to one."""
        self.kind, self.extra_shape, self.dtype = declared.kind, declared.extra_shape, data.dtype
        self._flat = data
        self._roi = None if roi is None else np.asarray(roi, bool).reshape(-1)
        self.data: Array = data.reshape(nav + data.shape[1:]) if self.kind == "nav" else data
        """The values; NaN (0 for integers) where the region of interest leaves scan points out."""
        if isinstance(valid, bool):
            self.valid_mask: Array = np.full(self.data.shape, valid)
        else:
            spread = valid.reshape(nav + (1,) * (self.data.ndim - len(nav))) if self.kind == "nav" else valid
            self.valid_mask = np.broadcast_to(spread, self.data.shape)

    @property
    def raw_data(self) -> Array:
        """Values of the scan points within the region of interest, in one row."""
        return self._flat if self._roi is None or self.kind != "nav" else self._flat[self._roi]

    @property
    def masked_data(self) -> Any:
        """The values, masked where none has come."""
        return np.ma.masked_array(self.data, mask=~self.valid_mask)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of `data`."""
        return self.data.shape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """The values."""
        return self.data if dtype is None else self.data.astype(dtype)
