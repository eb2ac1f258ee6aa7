"""The UDFs that LiberTEM ships and scripts use most, over our kernels."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError
from firstlight.operators.stem.center_of_mass import center_of_mass

from .buffers import Views
from .udf import UDF, Meta


class _Native(UDF):
    """Works on the detector's own type."""

    def get_preferred_input_dtype(self) -> Any:
        """That of the detector."""
        return self.USE_NATIVE_DTYPE


def _sum_type(dtype: Any) -> np.dtype[Any]:
    return np.dtype({"u": "uint64", "i": "int64", "b": "uint64"}.get(np.dtype(dtype).kind, "float64"))


class SumUDF(_Native):
    """Sum of all frames: `intensity` per detector pixel; integers exactly."""

    def get_result_buffers(self) -> Mapping[str, Any]:
        """One image."""
        return {"intensity": self.buffer("sig", dtype=_sum_type(self.meta.dataset_dtype))}

    def process_tile(self, tile: Array) -> None:
        """Add frames."""
        self.results.intensity[:] += tile.sum(axis=0, dtype=self.results.intensity.dtype)

    def merge(self, dest: Views, src: Views) -> None:
        """Add parts."""
        dest.intensity[:] += src.intensity


class SumSigUDF(_Native):
    """Sum of each frame: `intensity` per scan point; integers exactly."""

    def get_result_buffers(self) -> Mapping[str, Any]:
        """One value per scan point."""
        return {"intensity": self.buffer("nav", dtype=_sum_type(self.meta.dataset_dtype))}

    def process_tile(self, tile: Array) -> None:
        """Sum frames."""
        self.results.intensity[:] = tile.sum(axis=(1, 2), dtype=self.results.intensity.dtype)


class LogsumUDF(UDF):
    """Sum of log(frame - min + 1): `logsum` per detector pixel."""

    def get_result_buffers(self) -> Mapping[str, Any]:
        """One image."""
        return {"logsum": self.buffer("sig", dtype="float64")}

    def process_tile(self, tile: Array) -> None:
        """Add frames."""
        self.results.logsum[:] += np.log(tile - tile.min(axis=(1, 2), keepdims=True) + 1).sum(axis=0)

    def merge(self, dest: Views, src: Views) -> None:
        """Add parts."""
        dest.logsum[:] += src.logsum


class StdDevUDF(UDF):
    """Mean, variance and standard deviation of each detector pixel, in one pass.

    Parts are merged as in Schubert & Gertz 2018 (10.1145/3221269.3223036).
    """

    def get_result_buffers(self) -> Mapping[str, Any]:
        """Sums of values and of squared deviations, and what follows from them."""
        image: dict[str, Any] = {"kind": "sig", "dtype": "float64"}
        made = {name: self.buffer(**image, use="result_only") for name in ("var", "std", "mean")}
        number = self.buffer("single", extra_shape=(1,), dtype="int64")
        return {"varsum": self.buffer(**image), "sum": self.buffer(**image), "num_frames": number, **made}

    def process_tile(self, tile: Array) -> None:
        """Take all frames at hand, which are a part of their own."""
        self.results.sum[:] = tile.sum(axis=0, dtype=np.float64)
        self.results.varsum[:] = ((tile - self.results.sum / len(tile)) ** 2).sum(axis=0)
        self.results.num_frames[:] = len(tile)

    def merge(self, dest: Views, src: Views) -> None:
        """Join two parts."""
        a, b = dest.num_frames[0], src.num_frames[0]
        if a and b:
            dest.varsum[:] += (b / a * dest.sum - src.sum) ** 2 * a / (b * (a + b))
        dest.varsum[:] += src.varsum
        dest.sum[:] += src.sum
        dest.num_frames[:] += src.num_frames

    def get_results(self) -> Mapping[str, Any]:
        """What follows from the sums."""
        number = max(int(self.results.num_frames[0]), 1)
        variance = self.results.varsum / number
        kept = {name: self.results[name] for name in ("varsum", "sum", "num_frames")}
        return {**kept, "var": variance, "std": np.sqrt(variance), "mean": self.results.sum / number}


class PickUDF(_Native):
    """The frames of the region of interest as they are: `intensity` of shape (frame, row, col)."""

    def get_result_buffers(self) -> Mapping[str, Any]:
        """One block of frames."""
        chosen = self.meta.roi
        frames = self.meta.dataset_shape.nav.size if chosen is None else int(chosen.sum())
        shape = (max(frames, 1), *self.meta.dataset_shape.sig)
        return {"intensity": self.buffer("single", extra_shape=shape, dtype=self.meta.dataset_dtype)}

    def process_tile(self, tile: Array) -> None:
        """Put frames at their places among those chosen."""
        ids = self.meta.ids
        if self.meta.roi is not None:
            ids = np.cumsum(self.meta.roi.reshape(-1))[ids] - 1
        self.results.intensity[ids] = tile

    def merge(self, dest: Views, src: Views) -> None:
        """Each frame is in one part alone."""
        dest.intensity[:] += src.intensity


class ApplyMasksUDF(UDF):
    """Sum of each frame under masks: `intensity` of shape (scan, mask).

    Args:
        mask_factories: Functions that make one mask (row, col) each, or one that makes all of them (mask, row, col).
        mask_dtype: Type of the masks. Default: their own.
    """

    def __init__(self, mask_factories: Any, mask_dtype: Any = None, **more: Any) -> None:
        """Make the masks; parameters that only choose how to compute are passed over."""
        made: list[Any] = [mask_factories()] if callable(mask_factories) else [make() for make in mask_factories]
        dense = [np.asarray(one.todense() if hasattr(one, "todense") else one) for one in made]
        masks = dense[0] if callable(mask_factories) and dense[0].ndim == 3 else np.stack(dense)
        super().__init__(masks=masks if mask_dtype is None else masks.astype(mask_dtype))

    def get_result_buffers(self) -> Mapping[str, Any]:
        """One value per scan point and mask."""
        masks = self.params.masks
        dtype = np.result_type(masks.dtype, np.float32 if self.meta.dataset_dtype.itemsize < 4 else np.float64)
        return {"intensity": self.buffer("nav", extra_shape=(len(masks),), dtype=dtype)}

    def process_tile(self, tile: Array) -> None:
        """One matrix product."""
        flat = self.params.masks.reshape(len(self.params.masks), -1)
        self.results.intensity[:] = tile.reshape(len(tile), -1) @ flat.T.astype(np.result_type(flat.dtype, tile.dtype))


class CoMUDF(_Native):
    """Centre of mass: `raw_com`, `raw_shifts` and `field` (y, x), `field_y`, `field_x`, `magnitude`, `divergence`, `curl`.

    Args:
        cy: Row of the optical axis. Default: the middle as LiberTEM has it, rows // 2.
        cx: Likewise.
        r: Radius around it within which pixels count.
        scan_rotation: Degree.
        flip_y: The detector's rows run against the scan's lines.
    """

    @classmethod
    def with_params(cls, **given: Any) -> CoMUDF:
        """The same as the class itself."""
        return cls(**given)

    def __init__(
        self,
        cy: float | None = None,
        cx: float | None = None,
        r: float = np.inf,
        scan_rotation: float = 0.0,
        flip_y: bool = False,
    ) -> None:
        """Keep the parameters."""
        super().__init__(cy=cy, cx=cx, r=r, scan_rotation=scan_rotation, flip_y=flip_y)

    def get_result_buffers(self) -> Mapping[str, Any]:
        """The centres are found on the way, all else at the end."""
        last: dict[str, Any] = {"dtype": "float64", "use": "result_only"}
        vectors = {name: self.buffer("nav", extra_shape=(2,), **last) for name in ("raw_com", "field")}
        scalars = {name: self.buffer("nav", **last) for name in _SCALARS}
        return {"raw_shifts": self.buffer("nav", extra_shape=(2,), dtype="float64"), **vectors, **scalars}

    def _center(self) -> tuple[float, float]:
        rows, cols = self.meta.dataset_shape.sig
        given = self.params
        return (rows // 2 if given.cy is None else given.cy, cols // 2 if given.cx is None else given.cx)

    def process_tile(self, tile: Array) -> None:
        """The shift of each frame from the axis, not turned."""
        reach = None if np.isinf(self.params.r) else float(self.params.r)
        found: Any = center_of_mass(tile, center=self._center(), radius=reach)
        self.results.raw_shifts[:] = np.stack(found, axis=-1)

    def get_results(self) -> Mapping[str, Any]:
        """Vectors in the axes of the scan, and their derivatives."""
        shifts = self.results.raw_shifts
        turned = np.deg2rad(self.params.scan_rotation)
        y, x = (-shifts[:, 0] if self.params.flip_y else shifts[:, 0]), shifts[:, 1]
        field = np.stack([np.cos(turned) * y + np.sin(turned) * x, np.cos(turned) * x - np.sin(turned) * y], axis=-1)
        made = {"raw_shifts": shifts, "raw_com": shifts + self._center(), "field": field}
        made |= {"field_y": field[:, 0], "field_x": field[:, 1], "magnitude": np.hypot(field[:, 0], field[:, 1])}
        return {**made, **self._derivatives(field)}

    def _derivatives(self, field: Array) -> dict[str, Array]:
        nav = self.meta.dataset_shape.nav
        if self.meta.roi is not None or len(nav) != 2 or min(nav) < 2:
            return {name: np.full(len(field), np.nan) for name in ("divergence", "curl")}
        y, x = (field[:, n].reshape(nav) for n in (0, 1))
        divergence = np.gradient(y, axis=0) + np.gradient(x, axis=1)
        curl = np.gradient(y, axis=1) - np.gradient(x, axis=0)
        return {"divergence": divergence.reshape(-1), "curl": curl.reshape(-1)}


_SCALARS = ("field_y", "field_x", "magnitude", "divergence", "curl")


class RecordUDF(_Native):
    """Writes all frames to a .npy file of shape (scan, row, col), each at its place.

    Args:
        filename: The file; one that exists is replaced.
    """

    def __init__(self, filename: str | Path) -> None:
        """Nothing is written yet."""
        super().__init__(filename=filename)
        self.writing = _Writing()

    def begin(self, meta: Meta) -> None:
        """Make the file, as large as it will become."""
        if meta.roi is not None:
            raise FirstlightError("A part of a scan can not be recorded.", field="roi", next_move="Record without roi.")
        path = Path(self.params.filename).expanduser()
        with self.writing.lock:
            shape = tuple(meta.dataset_shape)
            whole = np.lib.format.open_memmap(path, "w+", meta.dataset_dtype, shape)
            self.writing.frames = whole.reshape(-1, *meta.dataset_shape.sig)

    def get_result_buffers(self) -> Mapping[str, Any]:
        """How many frames were written."""
        return {"frames": self.buffer("single", dtype="int64")}

    def process_tile(self, tile: Array) -> None:
        """Write frames at their places."""
        if self.writing.frames is not None:
            self.writing.frames[self.meta.ids] = tile
        self.results.frames[:] += len(tile)

    def merge(self, dest: Views, src: Views) -> None:
        """Count, and leave the rest to the file."""
        dest.frames[:] += src.frames


class _Writing:
    """The file that all threads write to, at different places."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.frames: Array | None = None


class SignalMonitorUDF(_Native):
    """The newest frame: `intensity` per detector pixel."""

    def get_result_buffers(self) -> Mapping[str, Any]:
        """One image and its place."""
        place = self.buffer("single", dtype="int64", use="private")
        return {"intensity": self.buffer("sig", dtype=self.meta.dataset_dtype), "place": place}

    def process_tile(self, tile: Array) -> None:
        """Take the frame furthest on."""
        newest = int(np.argmax(self.meta.ids))
        self.results.intensity[:] = tile[newest]
        self.results.place[:] = self.meta.ids[newest] + 1

    def merge(self, dest: Views, src: Views) -> None:
        """The newer of two."""
        if src.place[0] > dest.place[0]:
            dest.intensity[:] = src.intensity
            dest.place[:] = src.place


class AutoUDF(UDF):
    """Any function of one frame: `result` per scan point.

    Args:
        f: Takes a frame (row, col), and gives a number or an array of always the same shape.
    """

    def __init__(self, f: Callable[[Array], Any]) -> None:
        """Keep the function."""
        super().__init__(f=f)

    def get_result_buffers(self) -> Mapping[str, Any]:
        """As the function gives for a frame of ones."""
        tried = np.asarray(self.params.f(np.ones(self.meta.dataset_shape.sig, np.float32)))
        return {"result": self.buffer("nav", extra_shape=tried.shape, dtype=tried.dtype)}

    def process_frame(self, frame: Array) -> None:
        """Call the function."""
        self.results.result[:] = self.params.f(frame)
