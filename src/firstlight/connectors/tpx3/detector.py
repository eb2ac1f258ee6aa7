"""A Timepix3 detector behind Accos, to be used from a notebook: one connection for many scans, which Accos starts."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from firstlight.core.errors import FirstlightError, SourceError

from .link import Late, Link
from .source import Tpx3Source


class Detector:
    """A Timepix3 detector of Amsterdam Scientific Instruments.

    Args:
        host: The computer that Accos runs on.
        port: Its port.
        parameters: Of `Tpx3Source`, for every scan.

    Raises:
        SourceError: Nobody answers there.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 8283, **parameters: Any) -> None:
        """Connect: a scan that begins from now on is not missed."""
        self._source = Tpx3Source(**{"host": host, "port": port, **parameters})
        self._link: Link | None = Link(host, port)
        self._link.connect(time.monotonic() + min(self._source.timeout, 10.0), lambda: False)

    @property
    def api(self) -> Any:
        """There is none: Accos is operated at its own screen.

        Raises:
            FirstlightError: Always.
        """
        raise FirstlightError(
            "A Timepix3 detector has no control interface here.", field="api", next_move="Start the scan in Accos."
        )

    def arm(self, **settings: Any) -> Tpx3Source:
        """Not possible: Accos starts the scans.

        Raises:
            FirstlightError: Always.
        """
        raise FirstlightError(
            "A Timepix3 detector can not be armed from here.",
            field="kind",
            value="tpx3",
            next_move="Use wait(), and start the scan in Accos.",
        )

    def wait(self, timeout: float | None = None, *, record: Path | None = None) -> Tpx3Source | None:
        """The next scan; None at the time-out.

        Args:
            timeout: Seconds; None: for ever.
            record: Record it in this .csr file, as it comes.

        Raises:
            SourceError: The connection ended, or what comes is no scan.
        """
        source = Tpx3Source(**{**self._source.model_dump(), "record": record}).over(self._open())
        end = math.inf if timeout is None else time.monotonic() + timeout
        try:
            source.begin(end)
        except Late:
            return None
        return source

    def listen(self, parameters: Mapping[str, Any]) -> Tpx3Source:
        """A source of the next scan; opening the source waits for that.

        Args:
            parameters: Of the source, such as scan_y and scan_x.
        """
        given = {**self._source.model_dump(), **parameters}
        return Tpx3Source(**given).over(self._open())

    def _open(self) -> Link:
        if self._link is None:
            raise SourceError("The connection is closed.", field="host", next_move="Connect anew.")
        return self._link

    def close(self) -> None:
        """Disconnect; harmless when called twice."""
        link, self._link = self._link, None
        if link is not None:
            link.close()
