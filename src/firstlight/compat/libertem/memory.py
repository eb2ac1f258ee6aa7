"""A detector that is an array in memory, with the names that LiberTEM-live gives it."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from firstlight.core import registry
from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError
from firstlight.core.source import Source

from .acquisition import Hooks, ReadyForDataEnv
from .buffers import Shape


def in_memory(data: Array) -> Source:
    """A source of an array of scan and detector axes.

    Raises:
        FirstlightError: It has other than three or four axes.
    """
    if data.ndim not in (3, 4):
        raise FirstlightError(
            "An array in memory needs scan and detector axes.",
            field="data",
            value=data.shape,
            expected="(scan_y, scan_x, row, col) or (position, row, col)",
        )
    axes = "position row col" if data.ndim == 3 else "scan_y scan_x row col"
    memory: Any = registry.get("sources", "memory")
    return memory.of(data, axes, arrival=data.ndim - 2)


class MemoryConnection:
    """A connection to nothing but an array, for tests of one's own."""

    def __init__(self, data: Array) -> None:
        """Keep the array."""
        self.data = data

    def wait_for_acquisition(self, timeout: float | None = None) -> None:
        """Not possible: nobody else starts one.

        Raises:
            FirstlightError: Always.
        """
        raise FirstlightError(
            "Nobody else starts an acquisition of an array.",
            field="pending_aq",
            next_move="Use make_acquisition(conn=…).",
        )

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class MemoryAcquisition:
    """One scan of an array: what `run_udf` takes for ``dataset``."""

    def __init__(self, connection: MemoryConnection, nav_shape: tuple[int, ...] | None, hooks: Hooks) -> None:
        """Give the array the shape of the scan.

        Raises:
            FirstlightError: It has another number of frames.
        """
        data = connection.data
        self.connection, self.hooks = connection, hooks
        if nav_shape is not None:
            try:
                data = data.reshape(*nav_shape, *data.shape[-2:])
            except ValueError as error:
                raise FirstlightError(
                    "The array has another number of frames.",
                    field="nav_shape",
                    value=nav_shape,
                    expected=str(data.shape),
                ) from error
        self._data = data

    @property
    def shape(self) -> Shape:
        """Sizes of scan and detector."""
        return Shape(self._data.shape)

    @property
    def nav_shape(self) -> tuple[int, ...]:
        """Sizes of the scan."""
        return self._data.shape[:-2]

    def source(self) -> Source:
        """The source of the frames; calls `on_ready_for_data`."""
        self.hooks.on_ready_for_data(ReadyForDataEnv(self))  # pyright: ignore[reportArgumentType]
        return in_memory(self._data)
