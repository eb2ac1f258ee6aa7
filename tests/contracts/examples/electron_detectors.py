"""Sources of electron detectors. Those that need a peer on a socket have their contract tests beside it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from firstlight.connectors.merlin.wire import FRAMES, write_frame, write_start
from firstlight.connectors.tpx3.raw_sim import Tpx3RawSimulator
from firstlight.connectors.tpx3.sim import Tpx3Simulator
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


def tpx3_file(tmp_path: Path) -> Source:
    """A trigger of a line is missing."""
    counts = np.minimum(PIXELS[:, :, :4], 3).reshape(3, 4, 4, 4)
    parts = Tpx3RawSimulator(lose_triggers=(1,)).sections(counts)
    (tmp_path / "scan.tpx3").write_bytes(b"".join(parts))
    return registry.get("sources", "tpx3_file")(path=tmp_path / "scan.tpx3", scan_y=3, scan_x=4, dwell=1e-5)


def tpx3_scan(tmp_path: Path) -> Source:
    """The scan was cancelled in its last third."""
    messages = Tpx3Simulator(frames=4, padding=8, cancel_after=2).messages(PIXELS.reshape(3, 4, 4, 6))
    (tmp_path / "scan.csr").write_bytes(b"".join(messages))
    return registry.get("sources", "tpx3_scan")(path=tmp_path / "scan.csr")


SOURCES: dict[str, Callable[[Path], Source]] = {"mib": mib, "tpx3_file": tpx3_file, "tpx3_scan": tpx3_scan}
LIVE = {
    "dectris": TESTS / "connectors" / "dectris" / "test_source.py",
    "merlin": TESTS / "connectors" / "merlin" / "test_live.py",
    "tpx3": TESTS / "connectors" / "tpx3" / "test_tpx3.py",
    "tpx3_raw": TESTS / "connectors" / "tpx3" / "test_raw.py",
}
UNLIMITED = {"mib": {"sync_offset"}}
