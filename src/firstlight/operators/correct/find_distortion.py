"""The distortion of a lens, from images of a dot grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import FirstlightError
from firstlight.kernels.dots import fit_distortion, grid_places, locate_dots
from firstlight.operators.reduce.sum import Summing, Total


class FindDistortion(Summing):
    """Find the center and the polynomial of a radial distortion from images of a dot grid (Vo et al. 2015).

    The mean of the frames is used. Dots may be dark or bright; the grid may be turned by up to some 30 degree, tilted a
    little, and need not fill the frame. The results are what `undistort` takes: `row`, `column` and `coefficients`, and
    `error`, the root mean square distance in pixels between dots and model, which should be a few hundredths.
    """

    use: ClassVar[str] = "find_distortion"
    signature: ClassVar[Any] = "[*] row col -> row: , column: , coefficients: power, error: "
    cites: ClassVar[tuple[str, ...]] = ("10.1364/OE.23.032859",)
    sentence: ClassVar[str] = "The distortion was measured on a dot grid ({terms} terms)."

    terms: Annotated[int, Field(ge=1, le=8)] = 4
    """Coefficients of the polynomial beside the constant, which is 1."""

    def sizes(self, known: Mapping[str, int | None], scan: Scan) -> dict[str, int | None]:
        """The constant and the terms."""
        return {"power": self.terms + 1}

    def dtype(self, given: str) -> str:
        """Double precision."""
        return "float64"

    def unit(self, scan: Scan) -> None:
        """Pixels, and powers of them."""
        return

    def ready(self, state: Total) -> bool:
        """True once a frame has come."""
        return state.frames > 0

    def result(self, state: Total) -> dict[str, Array]:
        """Center, coefficients and error.

        Raises:
            FirstlightError: the frames show no grid of dots.
        """
        if state.frames == 0:
            nothing = np.array(np.nan)
            return {
                "row": nothing,
                "column": nothing.copy(),
                "coefficients": np.full(self.terms + 1, np.nan),
                "error": nothing.copy(),
            }
        image = state.sum / state.frames
        try:
            points, places = grid_places(locate_dots(image))
            found = fit_distortion(points, places, (image.shape[0], image.shape[1]), self.terms)
        except ValueError as error:
            raise FirstlightError(
                f"No distortion was found: {error}.",
                field="frames",
                next_move="Look at the mean frame: dots must be whole, of one size, and at least three pixels wide.",
            ) from error
        row, column, error = (np.array(value) for value in (found.row, found.column, found.error))
        return {"row": row, "column": column, "coefficients": found.coefficients, "error": error}
