"""Values at the points of a scan, filled in as frames arrive in any order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import Scan
from firstlight.core.errors import AxesError

GRID = ("scan_y", "scan_x")


@dataclass(slots=True)
class ScanMap:
    """Values of every scan point, and which have come."""

    values: Array
    """(point, *shape of a value)."""
    covered: Array
    """(point,), bool."""
    lines: int
    points: int
    first: int = 0

    @classmethod
    def empty(cls, scan: Scan, shape: tuple[int, ...], use: str, dtype: str = "float64") -> ScanMap:
        """Nothing has come.

        Args:
            scan: The scan, whose main stream arrives along scan_y and scan_x.
            shape: Of the value of one point.
            use: The step, for its error.
            dtype: Type of the values.

        Raises:
            AxesError: The scan has no grid of known size.
        """
        stream = scan.main
        if stream.arrival_axes != GRID:
            raise AxesError(
                f"'{use}' needs a scan over scan_y and scan_x, but frames arrive along {' '.join(stream.arrival_axes)}.",
                field="axes",
                value=" ".join(stream.axes),
                expected="scan_y scan_x row col",
                next_move="Give the source the shape of the scan (scan_y and scan_x).",
            )
        lines, points = stream.size("scan_y"), stream.size("scan_x")
        return cls(
            np.zeros((lines * points, *shape), dtype), np.zeros(lines * points, bool), lines, points, stream.first
        )

    def take(self, ids: Ids, values: Array) -> Array:
        """Put values to their places; those outside the scan are left out.

        Returns:
            The positions in `ids` that lie in the scan.
        """
        inside = np.flatnonzero((ids >= self.first) & (ids < self.first + len(self.covered)))
        places = ids[inside] - self.first
        self.values[places] = values[inside]
        self.covered[places] = True
        return inside

    @property
    def shape(self) -> tuple[int, int]:
        """Lines and points of a line."""
        return self.lines, self.points

    @property
    def share(self) -> float:
        """The share of the points that have come, 0…1."""
        return float(self.covered.mean()) if len(self.covered) else 1.0

    def merged(self, other: ScanMap) -> ScanMap:
        """Both together; what both have is taken from the other."""
        values, covered = self.values.copy(), self.covered | other.covered
        values[other.covered] = other.values[other.covered]
        return ScanMap(values, covered, self.lines, self.points, self.first)
