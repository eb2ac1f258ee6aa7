"""Fixtures of the DECTRIS tests."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("zmq")

sys.path.insert(0, str(Path(__file__).parent))
