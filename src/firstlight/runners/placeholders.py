"""Names in a sink's parameters that are known only when the scan is open: ``{scan}``."""

from __future__ import annotations

import re
from pathlib import PurePath

from firstlight.core.sink import Sink

SCAN = "{scan}"


def filled(sink: Sink, scan: str) -> Sink:
    """The sink with ``{scan}`` in its text parameters replaced by the scan's name, made safe as a part of a path.

    A sink without the placeholder is given back as it is.
    """
    given = {name: getattr(sink, name) for name in type(sink).model_fields}
    texts = {name: str(value) for name, value in given.items() if isinstance(value, str | PurePath)}
    found = {name: text.replace(SCAN, safe(scan)) for name, text in texts.items() if SCAN in text}
    if not found:
        return sink
    return type(sink).model_validate({**given, **found})


def safe(name: str) -> str:
    """A scan's name without what would lead out of a folder; the source, and so the name, may be anybody's."""
    return re.sub(r"[^\w.+-]+", "_", name).strip(".") or "scan"
