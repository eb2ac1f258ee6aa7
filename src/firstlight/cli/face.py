"""Loading a face by name: faces are siblings of the command line, which knows their names and not their insides."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def face(name: str) -> Any:
    """The module that serves a face, such as ``rest``: it has Settings, serve and ServiceThread."""
    return import_module(f"firstlight.faces.{name}.serve")
