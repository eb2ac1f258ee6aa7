"""Sources of electron detectors: they need a peer on a socket, so their contract tests stand beside it."""

from pathlib import Path

TESTS = Path(__file__).parents[2]

LIVE = {"dectris": TESTS / "connectors" / "dectris" / "test_source.py"}
