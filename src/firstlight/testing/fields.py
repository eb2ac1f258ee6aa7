"""What every plugin's parameters must keep: forms, flags and reference pages are made of them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Collection
from typing import Any

from firstlight.core.step import Configured

from .demand import demand

LIMITS = {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "enum", "const"}


def demand_documented(kind: type[Configured], unlimited: Collection[str] = ()) -> None:
    """Every field has a title, a description, and a limit if it is a number (or stands in `unlimited`).

    Raises:
        AssertionError: A field lacks one.
    """
    demand(kind.use, f"{kind.__name__} has no name ('use').")
    demand(kind.summary(), f"'{kind.use}' has no docstring.")
    for name, schema in kind.model_json_schema().get("properties", {}).items():
        demand(schema.get("title"), f"'{kind.use}.{name}' has no title.")
        demand(schema.get("description"), f"'{kind.use}.{name}' has no description: write it under the field.")
        demand(name in unlimited or not _open_numbers(schema), f"'{kind.use}.{name}' is a number without any limit.")


def _open_numbers(schema: dict[str, Any]) -> bool:
    every = schema.get("anyOf", [schema])
    return any(s.get("type") in ("number", "integer") and not LIMITS & s.keys() for s in every)


def demand_round_trips(made: Configured) -> None:
    """JSON and pickle give the same back, the fields are frozen, and unknown ones are refused.

    Raises:
        AssertionError: They do not.
    """
    values = json.loads(made.model_dump_json())
    demand(type(made).model_validate(values) == made, f"'{made.use}' is not the same after JSON: {values}")
    demand(pickle.loads(pickle.dumps(made)) == made, f"'{made.use}' is not the same after pickle.")  # noqa: S301
    demand(type(made).model_config.get("frozen"), f"'{made.use}' can be changed.")
    demand(type(made).model_config.get("extra") == "forbid", f"'{made.use}' takes unknown parameters.")
