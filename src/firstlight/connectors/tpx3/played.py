"""What simulators of Timepix3 detectors play."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core import registry
from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError
from firstlight.core.npy import open_npy
from firstlight.core.source import RandomAccess, Source


def played(file: Path | None, parameters: Mapping[str, Any]) -> Array:
    """Frames (scan_y, scan_x, row, col) of a .npy file, or of the phantom of a phase object.

    Raises:
        SourceError: They are something else than unsigned integers with four axes.
    """
    if file is not None:
        found: Array = open_npy(file)
    else:
        source: Source = registry.get("sources", "phantom4d")(**parameters)
        source.open()
        found = source.read({}) if isinstance(source, RandomAccess) else np.zeros(0)
        source.close()
    if found.ndim != 4 or found.dtype.kind != "u":
        raise SourceError(
            "This can not be played.",
            field="file",
            value=(found.shape, found.dtype.name),
            expected="unsigned integers (scan_y, scan_x, row, col)",
        )
    return found
