"""What the PVXS library writes to stderr by itself."""

from __future__ import annotations

import os


def hush() -> None:
    """Keep PVXS from reporting each refused or broken connection: we say that once, in our own words.

    Anybody who sets PVXS_LOG sees everything that was asked for.
    """
    if "PVXS_LOG" in os.environ:
        return
    from p4p import _p4p

    _p4p.logger_level_set("pvxs.tcp.io", _p4p.logLevelFatal)
