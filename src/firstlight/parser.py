"""Python's own parser, for one thread at a time.

In CPython 3.11 two threads in which syntax trees are made at once can break each other: now and then one of them gets a
SystemError (gh-106905). It lies below all other parts, because the kernels parse expressions and the core headers.
"""

from __future__ import annotations

import ast
import threading
from typing import Any

ONE_AT_A_TIME = threading.Lock()
"""Hold it to call what parses by itself, such as numpy."""


def tree_of(text: str) -> ast.expr:
    """The syntax tree of an expression.

    Raises:
        SyntaxError, ValueError, RecursionError or MemoryError: It is none, or is nested too deep.
    """
    with ONE_AT_A_TIME:
        return ast.parse(text, mode="eval").body


def literal(text: str) -> Any:
    """The value of a number, text, tuple, list or dict as Python writes it.

    Raises:
        SyntaxError, ValueError, TypeError, RecursionError or MemoryError: It is none, or is nested too deep.
    """
    with ONE_AT_A_TIME:
        return ast.literal_eval(text)
