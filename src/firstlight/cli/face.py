"""Loading a face, or the routes of a program that we replace, by name: siblings of the command line, which knows their names alone."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def face(name: str) -> Any:
    """The module that serves a face, such as ``rest``: it has Settings, serve and ServiceThread."""
    return import_module(f"firstlight.faces.{name}.serve")


def further_routes(program: str) -> Any:
    """What makes the routes of a program that we replace, of a supervisor and the folders that runs may use."""
    return import_module(f"firstlight.compat.{program}.routes").routes
