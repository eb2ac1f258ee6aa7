"""Expressions as steps, alone and fused with their neighbours."""

import numpy as np
import pytest

import firstlight as fl
from firstlight.connectors.memory.source import MemorySource
from firstlight.core.errors import JobError
from firstlight.core.job import parse_job
from firstlight.operators.own.calculate import calculate
from firstlight.runners import fusing

RNG = np.random.default_rng(4)


def test_it_computes_on_arrays_of_any_shape() -> None:
    for shape in ((7,), (3, 4), (2, 3, 4), (2, 3, 4, 5)):
        values = RNG.random(shape) + 0.5
        np.testing.assert_allclose(calculate(values, expression="-log(v)"), -np.log(values), atol=2e-6)
    turned = RNG.random((5, 4, 3)).T
    np.testing.assert_allclose(calculate(turned, expression="2 * v"), 2 * turned, rtol=1e-6)
    assert calculate(np.ones((2, 3), np.uint16), expression="v > 0").dtype == np.float32


def test_it_becomes_one_loop_with_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    chains: list[list[str]] = []
    fuse = fusing.fuse

    def spy(bodies):
        chains.append([body.name for body in bodies])
        return fuse(bodies)

    monkeypatch.setattr(fusing, "fuse", spy)
    frames = RNG.integers(1, 1000, (6, 5, 8)).astype(np.uint16)
    source = MemorySource.of(frames)
    steps = [
        {"use": "calculate", "expression": "v / 1000"},
        {"use": "minus_log"},
        {"use": "calculate", "name": "square", "expression": "v ** 2"},
    ]
    found = fl.run(source, steps).finished(timeout=60)["square"]
    np.testing.assert_allclose(found, np.log(frames / 1000.0) ** 2, atol=1e-5)
    assert chains
    assert all(chain == ["calculate", "minus_log", "calculate"] for chain in chains)


def test_a_job_with_a_wrong_expression_is_refused_before_it_runs() -> None:
    job = {"source": "phantom", "steps": [{"use": "calculate", "expression": "where(v > 0, v)"}]}
    with pytest.raises(JobError, match="'where' takes 3 values, not 2"):
        parse_job(job)
    with pytest.raises(JobError, match="the parameter 'expression' is missing"):
        parse_job({"source": "phantom", "steps": [{"use": "calculate"}]})
