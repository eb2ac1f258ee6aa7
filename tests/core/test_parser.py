"""Python's parser is used by one thread at a time."""

import ast
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from firstlight.kernels.expression import parse_expression
from firstlight.parser import literal


def test_no_two_threads_make_syntax_trees_at_once(monkeypatch):
    """CPython 3.11 would raise a SystemError in one of them, now and then."""
    inside, alone = threading.Semaphore(1), []
    parse = ast.parse

    def watched(*given, **how):
        alone.append(inside.acquire(blocking=False))
        time.sleep(0.01)
        try:
            return parse(*given, **how)
        finally:
            if alone[-1]:
                inside.release()

    monkeypatch.setattr(ast, "parse", watched)
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(parse_expression, f"v + {number}") for number in range(4)]
        asked += [threads.submit(literal, f"[{number}]") for number in range(4)]
        found = [one.result() for one in asked]
    assert found == [*(f"v + {number}" for number in range(4)), [0], [1], [2], [3]]
    assert alone == [True] * 8
