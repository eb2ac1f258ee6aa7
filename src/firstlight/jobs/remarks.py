"""What a run has to say of its data: frames that can not be right, and what steps noticed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firstlight.core.run import IN_WORDS


def remarks_of(report: Mapping[str, Any]) -> list[str]:
    """One sentence for each, which begins with the step."""
    said = [f"{step}: {text}." for step, texts in (report.get("remarks") or {}).items() for text in texts]
    for step, kinds in (report.get("faults") or {}).items():
        for kind, found in kinds.items():
            more = f", and {found['frames'] - 1} more" if found["frames"] > 1 else ""
            said.append(f"{step}: {found['along']} {found['first']} {IN_WORDS[kind]}{more}")
    return said
