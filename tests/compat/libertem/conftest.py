"""Fixtures of the tests of live detectors from Python."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("zmq")

sys.path.insert(0, str(Path(__file__).parent))
