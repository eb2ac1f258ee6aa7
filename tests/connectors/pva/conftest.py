"""Fixtures of the PVA tests."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("p4p")

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def server():
    from beamlines import Server

    with Server() as one:
        yield one
