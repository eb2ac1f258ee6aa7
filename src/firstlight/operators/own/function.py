"""Functions of installed packages by name, with a check of the arguments before they are called."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError, UnknownName


@dataclass(frozen=True, slots=True)
class Function:
    """A function, the arguments that stay the same, and where the data go."""

    call: Callable[..., Any]
    arguments: Mapping[str, Any]
    data: str | None = None
    """Argument of the data; None: the first one, by position."""
    angles: str | None = None
    """Argument of the angles in radian."""

    def __call__(self, block: Array, angles: Array | None, center: float | None = None) -> Any:
        """Call it on one block; the center may be another for each version of what finds it."""
        named = dict(self.arguments)
        if center is not None:
            named["center"] = center
        if self.angles is not None:
            named[self.angles] = angles
        if self.data is None:
            return self.call(block, **named)
        return self.call(**{self.data: block}, **named)


def find_function(name: str, arguments: Mapping[str, Any], *, data: str | None, angles: str | None) -> Function:
    """Import a function and compare the arguments with its signature.

    Args:
        name: Package, module and function, with dots.
        arguments: What it is given beside the data.
        data: The argument of the data; None: the first one.
        angles: The argument of the angles; None: none.

    Raises:
        UnknownName: There is no such package or function.
        FirstlightError: The name is no function, or it does not take these arguments.
    """
    found = _load(name)
    if not callable(found):
        raise FirstlightError(f"'{name}' is no function.", field="function", value=name, expected="something to call")
    given = {*arguments, *([data] if data else []), *([angles] if angles else [])}
    try:
        parameters = list(inspect.signature(found).parameters.values())
    except (ValueError, TypeError):  # functions written in C may not tell their arguments
        return Function(found, dict(arguments), data, angles)
    _compare(name, parameters, given, first=data is None)
    return Function(found, dict(arguments), data, angles)


def _load(name: str) -> Any:
    """The object of a dotted name: as many parts as can be imported are modules, the others attributes."""
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:count])
        try:
            found: Any = importlib.import_module(module)
        except ModuleNotFoundError as missing:
            if missing.name is not None and (module == missing.name or module.startswith(missing.name + ".")):
                continue
            raise UnknownName(
                f"The package of '{name}' needs '{missing.name}', which is not installed.", field="function", value=name
            ) from missing
        for place, part in enumerate(parts[count:], count):
            if not hasattr(found, part):
                raise _unknown(".".join(parts[: place + 1]), part, found)
            found = getattr(found, part)
        return found
    raise UnknownName(
        f"There is no package '{parts[0]}'.",
        field="function",
        value=name,
        expected="a function of an installed package",
        next_move=f"Install it with: pip install {parts[0]}",
    )


def _unknown(name: str, part: str, owner: Any) -> UnknownName:
    close = difflib.get_close_matches(part, [each for each in dir(owner) if not each.startswith("_")], n=3)
    return UnknownName(
        f"There is no '{name}'.",
        field="function",
        value=name,
        expected="a function of an installed package",
        next_move=f"Did you mean {' or '.join(close)}?" if close else None,
    )


def _compare(name: str, parameters: list[inspect.Parameter], given: set[str], *, first: bool) -> None:
    """Refuse arguments that a function does not take, and name those that it needs."""
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
    if first and not positional:
        raise FirstlightError(
            f"'{name}' takes no data by position.",
            field="data",
            expected="the name of the argument that takes the data",
        )
    taken = {positional[0].name} if first and positional[0].kind is not inspect.Parameter.VAR_POSITIONAL else set[str]()
    named = {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)} - taken
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters)
    for wrong in sorted(given - named if not anything else given & taken):
        close = difflib.get_close_matches(wrong, sorted(named), n=1)
        raise FirstlightError(
            f"'{name}' takes no argument '{wrong}' beside the data.",
            field=wrong,
            expected="one of " + (", ".join(sorted(named)) or "none"),
            next_move=f"Did you mean '{close[0]}'?" if close else None,
        )
    simple = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p.name for p in parameters if p.default is p.empty and p.kind in simple and p.name not in taken | given]
    if needed:
        raise FirstlightError(
            f"'{name}' needs the argument{'s' if len(needed) > 1 else ''} {', '.join(needed)}.",
            field=needed[0],
            expected="a value, as a key of the step",
        )
