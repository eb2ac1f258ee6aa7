"""Ptychography by a network: each frame becomes a patch of the object at once, without iteration."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.errors import StepFailed
from firstlight.operators.ptychography.orientation import Orientation, exchanges

from .patch_mosaic import OUTPUTS, PatchMosaic
from .prediction import Prediction, normalization_of
from .session import Network


class PtychographyNetwork(PatchMosaic):
    """Predict the object from diffraction patterns by a network, and put its patches together.

    Frames are photon counts in the far field; positions are those of the probe on the sample, y and x, in any unit of length or
    in pixels of the object. The network takes amplitudes and gives amplitude and phase of the object in the window of each frame.
    Its phase is known up to a constant for each patch: overlaps of neighbours tell these constants (least squares over all pairs).
    Patches are put between pixels and weighted; the image depends on the frames' ids and positions alone, not on how they came.

    Outputs: the complex `object` and its `phase` (in radian, about zero) and `amplitude`; the `coverage`, which is the sum of
    the weights; the `corner`, position of the first pixel's upper left, y and x, as the network takes positions; and the `spread`, how far the patches that lie on a pixel differ: the root of the weighted mean of their squared
    distance. An image of a network is a guess of what it learned: where the spread is large it is wrong, where it is small it may be.
    """

    use: ClassVar[str] = "ptychography_network"
    signature: ClassVar[Any] = f"[position] row col, [position] yx -> {OUTPUTS}"
    arguments: ClassVar[tuple[str, ...]] = ("frames", "positions")

    scale: Annotated[float, Field(gt=0)] = 1.0
    """Counts are multiplied by this after they are divided by `normalization`; their root is the amplitude."""
    crop: tuple[Annotated[int, Field(ge=8)], Annotated[int, Field(ge=8)]] | None = None
    """Rows and columns of the frames that are used; default: all. They must be those of the network."""
    crop_middle: tuple[int, int] | None = None
    """Row and column of the frame around which they are used; default: its middle."""
    saturation: Annotated[float, Field(gt=0)] | None = None
    """Pixels with this count or more are taken as dark; default: those at the largest value of their type."""
    orientation: Orientation = "identity"
    """How frames are turned and mirrored before use (names as in `orient`)."""
    zero_frequency: Literal["center", "corner"] = "center"
    """Where the far field's zero frequency is: in the middle of the frame, or its first pixel."""

    def digest(self, chunk: Chunk) -> Chunk:
        """Patches of the object: done by the threads that bring the frames."""
        network = self.network()
        prediction = Prediction(
            network,
            normalization_of(network, self.normalization),
            self.scale,
            self.orientation,
            self.patch_orientation,
            self.zero_frequency == "corner",
            self.saturation,
        )
        return chunk.with_data(prediction.patches(self._cut(chunk.data)), chunk.axes)

    def digests_like(self, other: Any) -> bool:
        """Only what is done to single frames counts."""
        return all(getattr(self, name) == getattr(other, name) for name in _OF_FRAMES)

    def window_of(self, scan: Scan) -> tuple[int, int] | None:
        """Rows and columns of the frames that are used; None where the scan does not know them yet."""
        rows, cols = scan.main.sizes.get("row"), scan.main.sizes.get("col")
        return None if rows is None or cols is None else self.crop or (rows, cols)

    def check_window(self, scan: Scan, network: Network) -> None:
        """Find frames that are not for this network.

        Raises:
            StepFailed: They have another size.
        """
        self.check_square(network)
        rows, cols = self.window_of(scan) or network.window
        shown = (cols, rows) if exchanges(self.orientation) else (rows, cols)
        if shown != network.window:
            raise StepFailed(
                f"The network '{network.path.stem}' takes frames of {network.window[0]} × {network.window[1]} pixels, and these"
                f" have {shown[0]} × {shown[1]}.",
                field="crop",
                value=self.crop,
                expected=f"{network.window[0]} × {network.window[1]}",
                next_move=f"Set crop to [{network.window[0]}, {network.window[1]}], or choose a network for such frames.",
            )

    def _cut(self, frames: Array) -> Array:
        if self.crop is None:
            return frames
        shape = frames.shape[-2:]
        middle = self.crop_middle or (shape[0] // 2, shape[1] // 2)
        starts = [at - n // 2 for at, n in zip(middle, self.crop, strict=True)]
        if any(a < 0 or a + n > full for a, n, full in zip(starts, self.crop, shape, strict=True)):
            raise StepFailed(
                "The window leaves the frame.",
                field="crop_middle",
                value=str(middle),
                expected=f"a middle with {self.crop[0]} × {self.crop[1]} pixels around it, in frames of {shape[0]} × {shape[1]}",
                next_move="Give another crop_middle, or a smaller crop.",
            )
        return frames[:, starts[0] : starts[0] + self.crop[0], starts[1] : starts[1] + self.crop[1]]


_OF_FRAMES = (
    "model",
    "model_file",
    "probe",
    "probe_orientation",
    "device",
    "normalization",
    "scale",
    "crop",
    "crop_middle",
    "saturation",
    "orientation",
    "patch_orientation",
    "zero_frequency",
)
"""Parameters of what is done to single frames."""
