"""How flat frames vary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.kernels.eigen_flats import principal_images
from firstlight.operators.reduce.median import Median, Sample


class EigenFlats(Median):
    """Find the mean flat frame and the images by which flat frames differ most (Van Nieuwenhove et al. 2015).

    The first image is the mean; the others are principal components, the strongest first, each scaled to one standard
    deviation of its weight: flat frame = mean + sum of weight x image. Give it the flat frames (`inputs: [source.flat]`),
    and its result to `dynamic_flat_field`. Of more than `frames` flat frames a fair sample is kept.
    """

    use: ClassVar[str] = "eigen_flats"
    signature: ClassVar[Any] = "[*] row col -> component row col"
    cites: ClassVar[tuple[str, ...]] = ("10.1364/OE.23.027975",)
    sentence: ClassVar[str] = "Principal components of the flat frames were computed ({components})."
    tolerance: ClassVar[float] = 2e-3

    components: Annotated[int, Field(ge=1, le=50)] = 4
    """Images beside the mean; those beyond the number of flat frames are 0."""

    def sizes(self, known: Mapping[str, int | None], scan: Scan) -> dict[str, int | None]:
        """The mean and the components."""
        return {"component": self.components + 1}

    def workspace(self, scan: Scan, frames: int) -> int:
        """Frames kept, their differences from the mean, and the images."""
        pixels = scan.main.size("row") * scan.main.size("col")
        each = np.dtype(scan.main.dtype).itemsize + 4
        return pixels * (self.frames * each + 4 * (self.components + 1))

    def result(self, state: Sample) -> dict[str, Array]:
        """Mean and components, float32 of shape (component, row, col); NaN before the first frame."""
        if not state.frames:
            return {"data": np.full((self.components + 1, *state.shape), np.nan, np.float32)}
        frames = np.stack([state.frames[lot] for lot in sorted(state.frames)])
        return {"data": principal_images(frames, self.components)}
