"""What is written after ``firstlight sim KIND`` means what the simulator takes."""

import pytest

from firstlight.cli.sim import parse_options
from firstlight.connectors.dectris.sim import DectrisSimulator
from firstlight.connectors.hxn.sim import HxnSimulator


@pytest.mark.parametrize(
    ("model", "words", "means"),
    [
        (
            HxnSimulator,
            ["--config", '{"alg_flag": "DM", "it_ends_after": 30}'],
            {"config": {"alg_flag": "DM", "it_ends_after": 30}},
        ),
        (
            HxnSimulator,
            ["--parameters={scan_y: 9}", "--no-compress", "--hp-start"],
            {"parameters": {"scan_y": 9}, "compress": False, "hp_start": True},
        ),
        (HxnSimulator, ["--scan-id", "411993", "--lose-ids", "[3, 4]"], {"scan_id": "411993", "lose_ids": [3, 4]}),
        (DectrisSimulator, ["--channels", "[low, high]"], {"channels": ["low", "high"]}),
        (DectrisSimulator, ["--encoding", "<", "--rate=1e3"], {"encoding": "<", "rate": "1e3"}),
    ],
)
def test_options_are_read_as_their_fields_are(model, words, means):
    found = parse_options(words, model)
    assert found == means
    model.model_validate(found)
