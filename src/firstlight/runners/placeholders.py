"""Names in a sink's parameters that are known only when the scan is open: ``{scan}``."""

from __future__ import annotations

import re

from firstlight.core.sink import Sink

SCAN = "{scan}"


def filled(sink: Sink, scan: str) -> Sink:
    """The sink with ``{scan}`` in its text parameters replaced by the scan's name, made safe as a part of a path.

    A sink without the placeholder is given back as it is.
    """
    texts = {name: value for name in type(sink).model_fields if isinstance(value := getattr(sink, name), str)}
    found = {name: text.replace(SCAN, safe(scan)) for name, text in texts.items() if SCAN in text}
    if not found:
        return sink
    return type(sink).model_validate({**{name: getattr(sink, name) for name in type(sink).model_fields}, **found})


def safe(name: str) -> str:
    """A scan's name without what would lead out of a folder; the source, and so the name, may be anybody's."""
    return re.sub(r"[^\w.+-]+", "_", name).strip(".") or "scan"
