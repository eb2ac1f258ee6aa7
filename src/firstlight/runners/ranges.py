"""What each step does, and when, on the timeline of NVIDIA's profilers (NVTX ranges)."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

from firstlight.core.errors import MissingExtra

DOMAIN = "firstlight"
"""Under which the ranges stand."""


def ranged(name: str) -> AbstractContextManager[Any]:
    """A range with the name of a step, on the thread that works; nothing where no profiler looks.

    It is made under Nsight Systems (which sets NVTX_INJECTION64_PATH), and where FIRSTLIGHT_NVTX is 1; not where that is 0.

    Raises:
        MissingExtra: FIRSTLIGHT_NVTX is 1, and the package nvtx is not installed.
    """
    annotate = _annotate()
    return nullcontext() if annotate is None else annotate(name, domain=DOMAIN)


@cache
def _annotate() -> Any:
    wanted = os.environ.get("FIRSTLIGHT_NVTX", "")
    if wanted == "0" or not (wanted or os.environ.get("NVTX_INJECTION64_PATH")):
        return None
    try:
        from nvtx import annotate  # pyright: ignore[reportMissingTypeStubs]
    except ModuleNotFoundError as missing:
        if not wanted:
            return None
        raise MissingExtra("nvtx", "nvtx", "FIRSTLIGHT_NVTX") from missing
    return annotate
