"""Positions outside the range that was asked for: excluded, counted, and so are the frames that were taken there."""

import numpy as np

import firstlight as fl
from firstlight.connectors.memory.source import MemorySource
from firstlight.core.chunk import MAIN, Chunk, Gap, Scan, Stream
from firstlight.operators.ptychography.exclude_outside import ExcludeOutside

PLACES = np.array([[0.0, 0.0], [1.0, 1.0], [5.0, 1.0], [9.0, 1.0], [np.nan, 1.0], [2.0, 2.0], [2.0, -3.0]])
STEP = ExcludeOutside(low=(0.0, 0.0), high=(4.0, 4.0))


def test_runs_of_ids_become_gaps_of_their_kind():
    scan = Scan({MAIN: Stream(("position", "yx"), {"position": 7, "yx": 2}, "float64")})
    state = STEP.open(scan)
    out = list(STEP.push(state, "data", Chunk(PLACES, ("yx",), np.arange(10, 17), stream="positions")))
    np.testing.assert_array_equal(out[0].ids, [10, 11, 15])
    np.testing.assert_array_equal(out[0].data, PLACES[[0, 1, 5]])
    assert [(gap.first, gap.last, gap.kind, gap.stream) for gap in out[1:]] == [
        (14, 14, "rejected", "positions"),
        (12, 13, "excluded", "positions"),
        (16, 16, "excluded", "positions"),
    ]
    assert all(isinstance(gap, Gap) for gap in out[1:])


def test_a_reconstruction_without_the_frames_taken_there_says_so():
    rng = np.random.default_rng(0)
    frames = rng.poisson(20, (40, 16, 16)).astype(np.float32)
    places = rng.uniform(0, 10, (40, 2))
    places[:7, 1] -= 100  # the stage comes from far away
    source = MemorySource.of(frames, "position row col", arrival=1, streams={"positions": (places, "position yx")})
    steps = [
        {"use": "exclude_outside", "inputs": ["source.positions"], "low": [0.0, 0.0], "high": [10.0, 10.0]},
        {"use": "ptychography", "inputs": ["source.data", "exclude_outside"], "iterations": 2, "probe_defocus": 0.0},
    ]
    run = fl.run(source, steps, runner="local")
    results = run.finished()
    assert results["ptychography.positions"].data.shape == (33, 2)
    counts = run.counts
    assert counts.excluded == 7
    assert counts.done == 33
    assert counts.lost == counts.dropped == 0
