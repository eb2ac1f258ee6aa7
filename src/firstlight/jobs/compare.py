"""How alike two results are: differences, structural similarity, and the detail down to which they agree."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError
from firstlight.kernels.correlation import ShellCorrelation, shell_correlation
from firstlight.kernels.similarity import structural_similarity

from .arrays import FileArray

CRITERIA = ("half-bit", "1/7")
SMALLEST = 16
"""Pixels of the shortest side for which similarity and correlation mean something."""
_BYTES = 40
"""Memory in byte that the correlation of two volumes takes for each of their voxels."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `compare` found."""

    numbers: dict[str, Any]
    """Plain values, for a report."""
    correlation: ShellCorrelation | None
    first: Array
    """The slice of the first that is shown, (row, col)."""
    second: Array

    def lines(self) -> list[str]:
        """The numbers in words."""
        n = self.numbers
        unit = f" {n['unit']}" if n["unit"] else ""
        place = ", ".join(map(str, n["largest_at"] or ()))
        told = [
            f"{n['slices']} slice(s) of {' × '.join(map(str, self.first.shape))}, {100 * n['compared']:.6g} % of the values compared",
            f"RMS difference      {n['rms']:.6g}{unit} ({100 * n['rms_of_range']:.3g} % of the range)",
            f"largest difference  {n['largest']:.6g}{unit} at ({place})",
            f"mean difference     {n['mean']:.6g}{unit}",
            f"PSNR                {'∞' if n['psnr'] is None else format(n['psnr'], '.4g')} dB",
        ]
        if n["ssim"] is not None:
            told.append(f"SSIM                {n['ssim']:.5f}")
        for criterion, found in n["resolution"].items():
            where = "none: not alike at any detail" if found["px"] is None else f"{found['px']:.3g} px"
            length = f" = {found['um']:.4g} µm" if found["um"] is not None else ""
            told.append(f"{n['method']} at {criterion:<12}{where}{length}")
        return told + n["remarks"]


def compare(a: FileArray, b: FileArray, *, data_range: float | None = None, slice_: int | None = None) -> Comparison:
    """Compare two images, or two stacks of images.

    Values that are not finite in one of the two are left out (and count as equal for similarity and correlation).

    Args:
        a: What is compared; it gives the range.
        b: What it is compared with.
        data_range: Difference between the largest and the smallest possible value; by default that of the finite ones in `a`.
        slice_: Compare this slice alone.

    Raises:
        FirstlightError: The two are not of one shape, the slice does not exist, or nothing in them is finite.
    """
    if a.shape != b.shape:
        raise FirstlightError(
            "The two are not of one shape.", field="shape", value=b.shape, expected=f"{a.shape}, as {a.name}"
        )
    if slice_ is not None and not 0 <= slice_ < a.slices:
        raise FirstlightError(
            "There is no such slice.", field="slice", value=slice_, expected=f"from 0 to {a.slices - 1}"
        )
    numbers = range(a.slices) if slice_ is None else range(slice_, slice_ + 1)
    span = _range(a, numbers) if data_range is None else data_range
    tally = _Tally(span)
    for number in numbers:
        tally.add(number, *_masked(a.image(number), b.image(number)))
    found = tally.numbers() | {"unit": a.unit, "slices": len(numbers), "remarks": []}
    correlation = _correlation(a, b, numbers, found)
    if correlation is None:
        found |= {"method": None, "resolution": {}}
    middle = numbers[len(numbers) // 2]
    return Comparison(found, correlation, a.image(middle), b.image(middle))


def _masked(a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Both with zero where one of them is not finite, and where both are."""
    known = np.isfinite(a) & np.isfinite(b)
    return np.where(known, a, 0), np.where(known, b, 0), known


def _range(a: FileArray, numbers: range) -> float:
    low, high = math.inf, -math.inf
    for number in numbers:
        image = a.image(number)
        finite = image[np.isfinite(image)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if not low <= high:
        raise FirstlightError("No value of it is finite.", field="path", value=a.name)
    return high - low or 1.0


class _Tally:
    """Sums over slices."""

    def __init__(self, span: float) -> None:
        self.span = span
        self.total = self.known = 0
        self.sum = self.squares = 0.0
        self.largest: float = 0.0
        self.place: tuple[int, ...] | None = None
        self.similar: list[float] = []

    def add(self, number: int, a: Array, b: Array, known: Array) -> None:
        difference = np.subtract(a, b, dtype=np.float64)
        self.total += a.size
        self.known += int(np.count_nonzero(known))
        self.sum += float(difference.sum())
        self.squares += float((difference * difference).sum())
        size = np.abs(difference)
        place = int(size.argmax())
        if self.place is None or size.flat[place] > self.largest:
            self.largest = float(size.flat[place])
            self.place = (number, *(int(at) for at in np.unravel_index(place, a.shape)))
        if min(a.shape) >= SMALLEST:
            self.similar.append(structural_similarity(a, b, data_range=self.span))

    def numbers(self) -> dict[str, Any]:
        if not self.known:
            raise FirstlightError("No value is finite in both.", field="path", expected="two results that overlap")
        rms = math.sqrt(self.squares / self.known)
        return {
            "compared": self.known / self.total,
            "range": self.span,
            "rms": rms,
            "rms_of_range": rms / self.span,
            "largest": self.largest,
            "largest_at": self.place,
            "mean": self.sum / self.known,
            "psnr": 20 * math.log10(self.span / rms) if rms else None,
            "ssim": float(np.mean(self.similar)) if self.similar else None,
        }


def _correlation(a: FileArray, b: FileArray, numbers: range, found: dict[str, Any]) -> ShellCorrelation | None:
    if min(a.shape[-2:]) < SMALLEST:
        return None
    if len(numbers) < SMALLEST:
        middle = numbers[len(numbers) // 2]
        if len(numbers) > 1:
            found["remarks"].append(
                f"The correlation is that of slice {middle}: {len(numbers)} slices are too few for shells."
            )
        first, second, _ = _masked(a.image(middle), b.image(middle))
        correlation, method = shell_correlation(first, second), "FRC"
    else:
        part = _part(a.shape)
        if part != tuple(slice(0, length) for length in a.shape):
            shown = " × ".join(str(each.stop - each.start) for each in part)
            found["remarks"].append(
                f"The correlation is that of the {shown} voxels in the middle: all do not fit into memory."
            )
        first, second = _volumes(a, b, part)
        correlation, method = shell_correlation(first, second), "FSC"
    resolution: dict[str, Any] = {}
    for criterion in CRITERIA:
        period = correlation.resolution(criterion)
        length = None if period is None or a.pixel is None else period * a.pixel
        resolution[criterion] = {"px": period, "um": length}
    curve = {
        "frequency": correlation.frequency.tolist(),
        "correlation": [None if math.isnan(value) else value for value in correlation.correlation.tolist()],
        "half-bit": correlation.threshold("half-bit").tolist(),
    }
    found |= {"method": method, "resolution": resolution, "curve": curve}
    return correlation


def _part(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """As much of the middle as memory allows."""
    import psutil

    room = 0.6 * psutil.virtual_memory().available
    scale = min(1.0, (room / (_BYTES * math.prod(shape))) ** (1 / 3))
    lengths = [length if scale == 1 else max(SMALLEST, int(length * scale)) for length in shape]
    return tuple(slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(shape, lengths, strict=True))


def _volumes(a: FileArray, b: FileArray, part: tuple[slice, ...]) -> tuple[Array, Array]:
    def slices(number: int) -> Iterator[Array]:
        first, second, _ = _masked(a.image(number), b.image(number))
        yield first[part[1:]]
        yield second[part[1:]]

    shape = tuple(each.stop - each.start for each in part)
    first, second = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for place, number in enumerate(range(part[0].start, part[0].stop)):
        first[place], second[place] = slices(number)
    return first, second
