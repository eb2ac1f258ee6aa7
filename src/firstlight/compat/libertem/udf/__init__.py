"""User-defined functions in the shape of LiberTEM's: the class to derive from where LiberTEM is not installed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.core.errors import FirstlightError

from ..buffers import Declared, Kind, Shape, Views

_FLOAT: np.dtype[Any] = np.dtype(np.float32)


@dataclass(slots=True)
class Meta:
    """What a UDF can know about where it is."""

    dataset_shape: Shape
    dataset_dtype: np.dtype[Any] = _FLOAT
    input_dtype: np.dtype[Any] = _FLOAT
    roi: Array | None = None
    corrections: Any = None
    ids: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    """Flat positions of the frames at hand (not in LiberTEM)."""
    covered: Array | None = None
    device_class: str = "cpu"
    array_backend: str = "numpy"
    threads_per_worker: int = 1
    tiling_scheme: Any = None
    tiling_scheme_idx: int = 0

    @property
    def partition_shape(self) -> Shape:
        """Frames at hand, and the detector."""
        return Shape((len(self.ids), *self.dataset_shape.sig))

    @property
    def sig_slice(self) -> Any:
        """The part of the detector at hand: all of it."""
        sig = tuple(self.dataset_shape.sig)
        if "libertem" in sys.modules:  # its own UDFs want its own kind of slice
            common: Any = import_module("libertem.common")
            return common.Slice((0,) * len(sig), common.Shape(sig, len(sig)))
        return tuple(slice(0, size) for size in sig)

    @property
    def coordinates(self) -> Array:
        """Scan coordinates (y, x) of the frames at hand, shape (frame, scan axes)."""
        return np.stack(np.unravel_index(self.ids, self.dataset_shape.nav), axis=-1)

    def get_valid_nav_mask(self, full_nav: bool = False) -> Array:
        """Which scan points have been merged; of the region of interest alone unless `full_nav`."""
        covered = np.ones(self.dataset_shape.nav.size, bool) if self.covered is None else self.covered
        return covered if full_nav or self.roi is None else covered[self.roi.reshape(-1)]


@dataclass(frozen=True, slots=True)
class WithMask:
    """A result, and which of its values are valid."""

    arr: Array
    mask: Array | bool


class Plumbing:
    """What a UDF is given to work with; goes in front of a class written for LiberTEM, whose own plumbing it replaces."""

    USE_NATIVE_DTYPE: ClassVar[Any] = bool
    TILE_SIZE_BEST_FIT: ClassVar[Any] = object()
    TILE_SIZE_MAX: ClassVar[float] = float("inf")
    TILE_DEPTH_DEFAULT: ClassVar[Any] = object()
    TILE_DEPTH_MAX: ClassVar[float] = float("inf")

    params: Any = None
    """The parameters, by attribute."""
    task_data: Any = None
    """What `get_task_data` made."""
    results: Any = None
    """The buffers."""
    meta: Any = None
    """What is known about the data."""

    @property
    def xp(self) -> Any:
        """The array library."""
        return np

    def buffer(
        self,
        kind: Kind,
        extra_shape: tuple[int, ...] = (),
        dtype: Any = "float32",
        where: str | None = None,
        use: str | None = None,
    ) -> Declared:
        """Declare a buffer: `nav` per scan point, `sig` per detector pixel, `single` of the extra shape alone.

        Raises:
            FirstlightError: There is no such kind.
        """
        if kind not in ("nav", "sig", "single"):
            raise FirstlightError("There is no such buffer.", field="kind", value=kind, expected="nav, sig or single")
        return Declared(kind, tuple(int(size) for size in extra_shape), np.dtype(dtype), use)

    def forbuf(self, arr: Any, target: Any) -> Any:
        """An array as it can be put into a buffer."""
        return np.asarray(arr)

    def with_mask(self, data: Any, mask: Any) -> WithMask:
        """A result with a mask of what is valid."""
        return WithMask(np.asarray(data), mask)


class UDF(Plumbing):
    """A function over all frames, in one pass: derive from it, declare buffers, process frames, and say how to merge.

    `process_frame(frame)`, `process_tile(tile)` or `process_partition(partition)` is given one frame, or several along the first
    axis, and writes into ``self.results``. `merge(dest, src)` joins two parts; only buffers per scan point need none.
    """

    def __init__(self, **kwargs: Any) -> None:
        """Keep the parameters."""
        self._kwargs = kwargs
        self.params = SimpleNamespace(**kwargs)

    def get_result_buffers(self) -> Mapping[str, Any]:
        """The buffers, by name."""
        raise NotImplementedError(f"{type(self).__name__} must say what buffers it has: get_result_buffers")

    def get_task_data(self) -> Mapping[str, Any]:
        """What is made once per thread, such as masks."""
        return {}

    def get_preferred_input_dtype(self) -> Any:
        """Type of the frames; `USE_NATIVE_DTYPE` for that of the detector."""
        return np.float32

    def merge(self, dest: Views, src: Views) -> None:
        """Put the values of scan points where they belong.

        Raises:
            FirstlightError: There are other buffers, which must be merged in a way of their own.
        """
        merge_scan_points(self, dest, src)


def merge_scan_points(udf: Any, dest: Views, src: Views) -> None:
    """The merge of a UDF that has buffers per scan point alone.

    Raises:
        FirstlightError: There are other buffers.
    """
    for name, one in udf.declared.items():
        if one.use == "result_only":
            continue
        if one.kind != "nav":
            raise FirstlightError(
                f"{type(udf).__name__} must say how its buffer '{name}' is merged.",
                field="merge",
                value=one.kind,
                expected="a method merge(dest, src)",
            )
        dest[name][...] = src[name]
