"""Sources of electron detectors. Those that need a peer on a socket have their contract tests beside it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from firstlight.connectors.merlin.wire import FRAMES, write_frame, write_start
from firstlight.core import registry
from firstlight.core.source import Source

TESTS = Path(__file__).parents[2]
PIXELS = np.random.default_rng(0).integers(1, 1000, (12, 4, 6)).astype(np.uint16)


def mib(tmp_path: Path) -> Source:
    """One frame is missing, and two have changed places."""
    numbers = [0, 1, 3, 2, 4, 5, 6, 8, 9, 10, 11]
    (tmp_path / "scan.mib").write_bytes(b"".join(write_frame(n, PIXELS[n]) for n in numbers))
    (tmp_path / "scan.hdr").write_bytes(write_start({FRAMES: 12}))
    return registry.get("sources", "mib")(path=tmp_path / "scan.mib", scan_y=3, chunk=200)


SOURCES: dict[str, Callable[[Path], Source]] = {"mib": mib}
LIVE = {
    "dectris": TESTS / "connectors" / "dectris" / "test_source.py",
    "merlin": TESTS / "connectors" / "merlin" / "test_live.py",
    "tpx3": TESTS / "connectors" / "tpx3" / "test_tpx3.py",
}
UNLIMITED = {"mib": {"sync_offset"}}
