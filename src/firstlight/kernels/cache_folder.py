"""Where what can be made again is kept on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``$FIRSTLIGHT_CACHE``, else ``firstlight`` in the user's cache folder; it need not exist."""
    chosen = os.environ.get("FIRSTLIGHT_CACHE")
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "firstlight"
