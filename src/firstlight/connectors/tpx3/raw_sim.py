"""Simulator: Timepix3 chips and SERVAL that are not there. Plays a phantom or a file as raw packets, into a file or over TCP."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError
from firstlight.core.units import Second
from firstlight.kernels.timepix import CHIP, TICK

from .packets import EDGES, global_words, hit_words, section, trigger_words
from .serving import Serving


class Tpx3RawSimulator(Serving):
    """Sends one scan of raw packets to each client, line by line, with a trigger for each line.

    Patterns have at most 256 x 256 pixels.
    """

    use: ClassVar[str] = "tpx3_raw"

    dwell: Annotated[Second, Field(gt=0, le=10)] = 1e-5
    """How long the probe stays at a point."""
    flyback: Annotated[Second, Field(ge=0, le=10)] = 1e-5
    """Pause between two lines, in which some electrons come as well."""
    start: Annotated[Second, Field(ge=0, le=1e6)] = 26.8
    """The chips' clock at the beginning; it starts over every 26.8 s."""
    spread: Annotated[int, Field(ge=1, le=4)] = 1
    """Pixels that each electron hits, in a square of two."""
    lose_triggers: tuple[int, ...] = ()
    """Lines whose trigger is lost."""
    rate: Annotated[float, Field(gt=0)] | None = None
    """Lines per second; default: as fast as possible."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Another seed gives other times."""

    def serve(self, client: socket.socket, data: Array, stop: threading.Event) -> None:
        """Send one client everything."""
        for part in self.sections(data):
            if stop.is_set():
                return
            client.sendall(part)
            if self.rate is not None:
                time.sleep(1 / self.rate)

    def sections(self, data: Array) -> Iterator[bytes]:
        """What one client gets, one part for each line, then the end of the run.

        Args:
            data: (scan_y, scan_x, row, col), at most 256 x 256 pixels: electrons in each.

        Raises:
            SourceError: The frames are larger than a chip.
        """
        if data.ndim != 4 or max(data.shape[2:]) > CHIP:
            raise SourceError(
                "This does not fit on one chip.",
                field="file",
                value=data.shape,
                expected="(.., 256 or less, 256 or less)",
            )
        rng = np.random.default_rng(self.seed)
        line = round((data.shape[1] * self.dwell + self.flyback) / TICK)
        begin = round(self.start / TICK)
        yield section(global_words(begin))
        for number in range(data.shape[0]):
            yield section(self._line(data[number], begin + number * line, line, number, rng))
        # packets that come later: the last line is over
        end = begin + (data.shape[0] + 1) * line + round(0.1 / TICK)
        yield section(np.concatenate([global_words(end), trigger_words(np.array([end]), np.array([0]), "2 falling")]))

    def _line(self, frames: Array, begin: int, line: int, number: int, rng: np.random.Generator) -> Array:
        point, row, col = np.nonzero(frames)
        counts = frames[point, row, col].astype(np.int64)
        point, row, col = (np.repeat(each, counts) for each in (point, row, col))
        stay = self.dwell / TICK
        # well inside the point: the clock of the scan is no finer than a tick
        times = begin + np.ceil(point * stay + rng.uniform(0.05, 0.9, len(point)) * stay).astype(np.int64)
        if self.flyback:
            pause = begin + line - round(self.flyback / TICK / 2)
            stray = rng.integers(0, min(frames.shape[1:]), (2, 5))
            times = np.concatenate([times, np.full(5, pause)])
            row, col = np.concatenate([row, stray[0]]), np.concatenate([col, stray[1]])
        words = [
            hit_words(times + k, (row + k // 2) % CHIP, (col + k % 2) % CHIP, np.full(len(row), 40 - 10 * k))
            for k in range(self.spread)
        ]
        everything, order = np.concatenate(words), np.concatenate([times + k for k in range(self.spread)])
        # packets of a chip come nearly in order
        everything = everything[np.argsort(order + rng.integers(-200, 200, len(order)), kind="stable")]
        if number in self.lose_triggers:
            return everything
        begins = trigger_words(np.array([begin]), np.array([number + 7]), next(iter(EDGES)))
        place = int(rng.integers(0, len(everything) + 1)) if len(everything) else 0
        return np.concatenate([everything[:place], begins, everything[place:]])
