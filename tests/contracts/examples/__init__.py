"""One example of each plugin: the contract tests run over all of them. One module for each family of plugins."""

import importlib
import pkgutil
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def gathered(name: str) -> dict[str, Any]:
    """Join the dictionaries called `name` (OPERATORS, FOLDS, ARRANGEMENTS, SOURCES, LIVE, UNLIMITED, SINKS) of all modules."""
    together: dict[str, Any] = {}
    for module in sorted(found.name for found in pkgutil.iter_modules([str(FOLDER)])):
        mine = getattr(importlib.import_module(f"{__name__}.{module}"), name, {})
        twice = together.keys() & mine.keys()
        if twice:
            raise ValueError(f"{sorted(twice)} have an example in {module} and in another module of {FOLDER}")
        together |= mine
    return together
