"""What a sweep by residuals says of itself."""

import numpy as np
import pytest

from firstlight.core.chunk import Chunk, Scan, Stream
from firstlight.operators.reduce.least_residual import LeastResidual


def told(left, first=20.0):
    return folded(left, first)[0]


def folded(left, first):
    marks = {"cgls/center": tuple(first + n for n in range(len(left)))}
    axes = ("cgls/center", "iteration")
    scan = Scan({"data": Stream(axes, {axes[0]: len(left), "iteration": 1}, "float32", marks=marks)})
    fold = LeastResidual()
    state = fold.empty(scan)
    fold.add(state, Chunk(np.array(left, np.float32)[:, None], ("iteration",), np.arange(len(left))))
    return fold.remarks(state), fold.findings(state)


@pytest.mark.parametrize(("left", "words"), [([0.3, 0.1, 0.3], []), ([0.100, 0.1005, 0.1001], ["do not tell"])])
def test_a_best_value_that_says_nothing_is_told(left, words):
    found = told(left)
    assert len(found) == len(words)
    assert all(word in text for word, text in zip(words, found, strict=True))


def test_zero_that_wins_because_it_needs_no_interpolation_is_not_named_the_best():
    spike = [0.077, 0.077, 0.037, 0.070, 0.071]  # what the head phantom with a roll of 3° leaves
    remarks, found = folded(spike, -2.0)
    assert "wins by that" in remarks[0]
    assert "best" not in found
    assert found["sweep"]["metrics"]["residual"] == pytest.approx(spike)
    remarks, found = folded([0.12, 0.08, 0.037, 0.075, 0.11], -2.0)  # slopes on both sides: a least
    assert (remarks, found["best"]) == ((), {"cgls/center": 0.0})
    assert folded(spike, 20.0)[1]["best"] == {"cgls/center": 22.0}


def test_what_is_no_number_has_no_best_value():
    remarks, found = folded([np.nan, np.nan], 20.0)
    assert "no number" in remarks[0]
    assert "best" not in found
