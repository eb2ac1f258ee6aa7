"""Examples of what the drop-in for holoptycho brought."""

from collections.abc import Callable

import pytest

from firstlight.testing import OperatorExample

from ..scenes import per_frame

OPERATORS: dict[str, Callable[[], OperatorExample]] = {
    "bright_spot": lambda: per_frame("bright_spot", "uint16", parameters={"threshold": 0.5}),
    "orient": lambda: per_frame("orient", "uint16", parameters={"to": "rot90_cw"}),
}

SINKS = {
    "tiled": lambda: pytest.skip(
        "needs a Tiled server, which takes long to start: tests/connectors/test_tiled.py (heavy)"
    )
}
