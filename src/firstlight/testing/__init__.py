"""Contracts that every plugin must keep, as test classes to inherit from.

    from firstlight.testing import SinkContract


    class TestMySink(SinkContract):
        def make(self, tmp_path):
            return MySink(path=str(tmp_path / "out"))

        def read(self, sink):
            return my_reader(sink.path)

        ...

They need pytest alone, and run over the whole registry in firstlight's own suite.
"""

from .arrange import ArrangeContract, ArrangeExample
from .demand import demand, demand_equal
from .fold import FoldContract, FoldExample
from .operator import OperatorContract, OperatorExample
from .play import Played, cut, played
from .runner import RunnerContract
from .sink import SinkContract
from .solver import SolverContract
from .source import SourceContract

__all__ = [
    "ArrangeContract",
    "ArrangeExample",
    "FoldContract",
    "FoldExample",
    "OperatorContract",
    "OperatorExample",
    "Played",
    "RunnerContract",
    "SinkContract",
    "SolverContract",
    "SourceContract",
    "cut",
    "demand",
    "demand_equal",
    "played",
]
