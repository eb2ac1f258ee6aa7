"""Wavelength and pixel of the object, from what the scan says and what the user gives."""

from __future__ import annotations

from dataclasses import dataclass

from firstlight.core.chunk import Scan
from firstlight.core.errors import StepFailed

HC = 1.239841984e-9
"""Planck's constant times the speed of light, in keV m."""


@dataclass(frozen=True, slots=True)
class Optics:
    """Lengths in metre; None where nobody knows."""

    wavelength: float | None
    pixel: tuple[float, float] | None
    """Height and width of a pixel of the object."""
    distance: float | None
    """From the sample to the detector; in the near field, of the equivalent parallel beam."""

    @classmethod
    def of(
        cls,
        scan: Scan,
        window: tuple[int, int],
        *,
        near: bool,
        energy: float | None,
        distance: float | None,
        source_distance: float | None,
        detector_pixel: float | None,
        pixel: float | None,
    ) -> Optics:
        """What follows from the scan's calibration (energy, distance, pixel: the detector's) and from given values.

        Far field: the object's pixel is ``λ z / (N p)`` (N pixels of size p at distance z). Near field in a beam that
        diverges from a point L₁ before the sample: ``p / M`` with ``M = (L₁ + z) / L₁``, at the distance ``z / M``.

        Args:
            scan: The scan.
            window: Rows and columns of a frame.
            near: True for the near field.
            energy: Of a photon, in keV.
            distance: Sample to detector, in metre.
            source_distance: Focus to sample, in metre (near field).
            detector_pixel: In metre.
            pixel: Of the object, in metre: what it says goes before all else.
        """
        energy = energy or _calibrated(scan, "energy", "keV")
        distance = distance or _calibrated(scan, "distance", "m")
        detector = detector_pixel or _calibrated(scan, "pixel", "m")
        source_distance = source_distance or _calibrated(scan, "source_distance", "m")
        wavelength = HC / energy if energy else None
        magnification = (source_distance + distance) / source_distance if near and source_distance and distance else 1.0
        found = (pixel, pixel) if pixel else None
        if found is None and near and detector:
            found = (detector / magnification, detector / magnification)
        if found is None and not near and wavelength and distance and detector:
            found = (wavelength * distance / (window[0] * detector), wavelength * distance / (window[1] * detector))
        return cls(wavelength, found, distance / magnification if distance else None)

    def require(self, *names: str) -> tuple[float, ...]:
        """Some of the values.

        Raises:
            StepFailed: One is not known.
        """
        found = tuple(getattr(self, name) for name in names)
        missing = [name for name, value in zip(names, found, strict=True) if value is None]
        if missing:
            raise StepFailed(
                f"The {' and the '.join(missing)} of this scan is not known.",
                field=missing[0],
                value=None,
                expected="a calibration of the scan (energy, distance, pixel of the detector), or parameters of the step",
                next_move="Give energy, distance and detector_pixel, or the pixel of the object.",
            )
        return found


def _calibrated(scan: Scan, name: str, unit: str) -> float | None:
    found = scan.calibration.get(name)
    return None if found is None else found.to(unit)
