"""Source over a scan that a nanoprobe recorded into Tiled: frames are fetched as they are asked for."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.errors import MissingExtra, SourceError
from firstlight.core.units import Metre, Quantity

from ..recorded.diffraction import Diffraction, diffraction_recording
from ..recorded.frames import Recording
from ..recorded.source import RecordedSource
from .scans import DETECTORS, ENCODERS, arrays_of, axis_of, baseline, find_run, start_of

_HC = 12.39842
"""Planck's constant times the speed of light, in keV Å."""
_SILICON = 3.1355893
"""Spacing of Si(111) planes in Å, those of the monochromator."""
_PIXELS = {"eiger": 75.0, "merlin": 55.0}
"""Pixel of a detector in micrometre, by the beginning of its name."""
_KEPT = ("uid", "scan_id", "plan_name", "x_scale_factor", "z_scale_factor", "scan")
"""Of the start document, for configs of scans alike."""
_COUNTS = 1e3
"""Positions that reach further than this are counts of an encoder; others are micrometres."""


@dataclass(frozen=True, slots=True)
class TiledReader:
    """Frames of an array on a server."""

    client: Any
    name: str
    stored: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Frames, rows, columns; an axis of length 1 that some servers have is left out."""
        shape = tuple(map(int, self.client.shape))
        if len(shape) == 4 and 1 in shape[:2]:
            return (shape[0] * shape[1], *shape[2:])
        return shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return np.dtype(self.client.dtype)

    def read_into(self, where: tuple[slice, ...], out: Array) -> None:
        """Fetch a block.

        Raises:
            OSError: The server is gone, or refuses.
        """
        shape = tuple(self.client.shape)
        if len(shape) == 4:
            where = (slice(0, 1), *where) if shape[0] == 1 else (where[0], slice(0, 1), *where[1:])
        try:
            out[...] = np.asarray(self.client.read(where)).reshape(out.shape)
        except Exception as error:  # whatever the client raises
            raise OSError(f"{type(error).__name__}: {error}") from error


class TiledScanSource(RecordedSource):
    """Plays a ptychographic scan of a Tiled server, such as HXN's: patterns, and the stream `positions` (y and x, in micrometre).

    The address may be that of the server, of a catalogue, or of the run. Counts of the encoders become micrometres by the
    factors of the start document; several samples for each frame are averaged.
    """

    use: ClassVar[str] = "tiled"

    path: Path = Path()
    """Not used: the scan is on a server."""
    url: str = Field(min_length=1)
    """Address of the server's root, of a catalogue, or of a run."""
    uid: str | None = None
    """Unique name of the run."""
    scan_id: Annotated[int, Field(ge=0)] | None = None
    """Number of the run; of several the newest."""
    key: str = "TILED_API_KEY"
    """Name of the environment variable with the API key; not set: none is sent."""
    detector: str | None = None
    """Name of the frames; default: the first Eiger or Merlin."""
    x_direction: Literal[-1, 1] = -1
    """Which way the fast axis runs."""
    y_direction: Literal[-1, 1] = -1
    """Which way the slow axis runs."""
    angle_correction: bool = True
    """Shorten the fast axis by the rotation of the sample, as HXN does."""
    distance: Annotated[Metre, Field(gt=0)] | None = None
    """From the sample to the detector; default: what the start document says."""

    def load(self) -> Recording:
        """Connect, and find frames, encoders and calibration.

        Raises:
            MissingExtra: Tiled's client is not installed.
            SourceError: The server does not answer, or has no such scan; or the scan lacks what is needed.
        """
        root = connect(self.url, self.key)
        try:
            run = find_run(root, self.uid, self.scan_id)
            recording = self._recording_of(run)
        except (SourceError, MissingExtra):
            root.context.http_client.close()
            raise
        except Exception as error:  # whatever the client raises
            root.context.http_client.close()
            raise _gone(self.url, error) from error
        return Recording(recording.scan, recording.parts, root.context.http_client.close)

    def _recording_of(self, run: Any) -> Recording:
        node, start = arrays_of(run), start_of(run)
        name = self.detector or next(each for each in DETECTORS if each in node)
        if name not in node:
            raise SourceError("The run has no such frames.", field="detector", value=name, expected=", ".join(node))
        reader = TiledReader(node[name], f"'{name}' of run {start.get('uid', '')} on {self.url.partition('?')[0]}")
        if len(reader.shape) != 3 or reader.dtype.kind not in "uif":
            raise SourceError(
                "These are no frames.", field="detector", value=reader.shape, expected="(frames, rows, columns)"
            )
        angle = baseline(run, "zpsth")
        places, samples = self._places(node, start, reader.shape[0], angle)
        known = {
            "angle": "" if angle is None else repr(angle),
            "start": json.dumps({name: start[name] for name in _KEPT if name in start}, default=str),
            "scan_id": str(start.get("scan_id", "")),
            "uid": str(start.get("uid", "")),
            "samples": str(samples),
        }
        found = Diffraction(
            reader,
            places,
            "um",
            f"scan_{start.get('scan_id', 'tiled')}",
            self.known(self._calibration(run, name, start)),
            metadata={key: value for key, value in known.items() if value},
        )
        return diffraction_recording(found)

    def _places(self, node: Any, start: Mapping[str, Any], count: int, angle: float | None) -> tuple[Array, int]:
        """Rows (slow) and columns (fast) in micrometre, shape (frame, 2); and how many samples each is the mean of.

        Raises:
            SourceError: There are no encoders, or they have fewer samples than there are frames.
        """
        pair = next((pair for pair in ENCODERS if all(name in node for name in pair)), None)
        if pair is None:
            raise SourceError(
                "The run has no positions.",
                field="positions",
                value=None,
                expected=" or ".join(" and ".join(names) for names in ENCODERS),
            )
        axes: list[Array] = []
        each = 1
        scales = (("x_scale_factor", self.x_direction), ("z_scale_factor", self.y_direction))
        for name, (scale, direction) in zip(pair, scales, strict=True):
            found = axis_of(node, (name,))
            samples = np.empty(0) if found is None else found[1]
            each = len(samples) // count if count else 0
            if not each:
                raise SourceError(
                    "There are fewer positions than frames.",
                    field=name,
                    value=len(samples),
                    expected=f"{count} or more",
                )
            means = samples[: count * each].reshape(count, each).mean(axis=1)
            counts = float(np.nanmax(np.abs(means), initial=0.0)) > _COUNTS
            axes.append(means * -(float(start.get(scale) or 1.0)) / 1e4 * direction if counts else means)
        fast, slow = axes
        if self.angle_correction and angle is not None:
            turn = math.radians(angle)
            fast = fast * (abs(math.cos(turn)) if abs(angle) <= 45 else abs(math.sin(turn)))
        return np.stack([slow, fast], axis=1), each

    def _calibration(self, run: Any, detector: str, start: Mapping[str, Any]) -> dict[str, Quantity | None]:
        scan = start.get("scan")
        told = scan.get("detector_distance") if isinstance(scan, Mapping) else None
        distance = self.distance or (float(told) if isinstance(told, int | float) and 0 < told < 100 else None)
        pixel = next((size for name, size in _PIXELS.items() if detector.startswith(name)), None)
        theta = baseline(run, "dcm_th")
        bragg = math.sin(math.radians(theta)) if theta is not None else 0.0
        return {
            "energy": Quantity(_HC / (2 * _SILICON * bragg), "keV") if bragg > 0 else None,
            "distance": Quantity(distance, "m") if distance else None,
            "pixel": Quantity(pixel, "um") if pixel else None,
        }


def connect(url: str, key: str) -> Any:
    """Client of an address.

    Args:
        url: Of a server, a catalogue or a run; without a key in it.
        key: Name of the environment variable with the API key.

    Raises:
        MissingExtra: Tiled's client is not installed.
        SourceError: The address holds a key, or nobody answers.
    """
    try:
        from tiled.client import from_uri
    except ModuleNotFoundError as error:
        raise MissingExtra("tiled", "tiled", "The source 'tiled'") from error
    if "?" in url:
        raise SourceError(
            "The address holds more than an address.",
            field="url",
            value=url.partition("?")[0] + "?…",
            next_move=f"Put the API key into the environment variable {key}.",
        )
    try:
        return from_uri(url, api_key=os.environ.get(key) or None)
    except Exception as error:  # whatever the client raises
        raise _gone(url, error) from error


def _gone(url: str, error: Exception) -> SourceError:
    return SourceError(
        f"Tiled does not give the scan: {type(error).__name__}: {str(error)[:300]}",
        field="url",
        value=url,
        next_move="Check the address, and that the key (TILED_API_KEY) may read this catalogue.",
    )
