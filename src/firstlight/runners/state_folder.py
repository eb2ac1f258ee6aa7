"""Where what must outlive a process is kept on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def state_folder() -> Path:
    """Where runs are kept, and how far those got that write to a store elsewhere: ``FIRSTLIGHT_STATE``, or the place that the platform has for such things."""
    named = os.environ.get("FIRSTLIGHT_STATE")
    if named:
        return Path(named).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "firstlight"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "firstlight"
