"""scikit-image, which the extra `images` installs: imported when a step needs it, and not before."""

from __future__ import annotations

from typing import Any

from firstlight.core.errors import MissingExtra


def restoration(step: str) -> Any:
    """The module `skimage.restoration`.

    Raises:
        MissingExtra: scikit-image is not installed.
    """
    try:
        import skimage.restoration
    except ModuleNotFoundError as missing:
        raise MissingExtra(missing.name or "skimage", "images", f"The step '{step}'") from missing
    return skimage.restoration
