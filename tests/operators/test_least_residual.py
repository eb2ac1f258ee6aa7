"""What a sweep by residuals says of itself."""

import numpy as np
import pytest

from firstlight.core.chunk import Chunk, Scan, Stream
from firstlight.operators.reduce.least_residual import LeastResidual


def told(left):
    marks = {"cgls/center": tuple(20.0 + n for n in range(len(left)))}
    axes = ("cgls/center", "iteration")
    scan = Scan({"data": Stream(axes, {axes[0]: len(left), "iteration": 1}, "float32", marks=marks)})
    fold = LeastResidual()
    state = fold.empty(scan)
    fold.add(state, Chunk(np.array(left, np.float32)[:, None], ("iteration",), np.arange(len(left))))
    return fold.remarks(state)


@pytest.mark.parametrize(("left", "words"), [([0.3, 0.1, 0.3], []), ([0.100, 0.1005, 0.1001], ["do not tell"])])
def test_a_best_value_that_says_nothing_is_told(left, words):
    found = told(left)
    assert len(found) == len(words)
    assert all(word in text for word, text in zip(words, found, strict=True))
