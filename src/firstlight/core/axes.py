"""Axis labels and the signatures that steps are declared with.

A signature such as ``"row~1 col, row col -> z=row y x"`` says which axes a step must see whole:

* ``row col``      these axes whole, in this order; every other axis is free,
* ``row~1``        one neighbour on each side as a halo (``row~size`` takes the number from a parameter),
* ``[angle]``      may arrive in pieces (folds, solvers and arrangements), ``[*]`` all other axes,
* ``z=row``        on the right: the free axis ``row`` is called ``z`` from here on,
* ``a: y x, b: x`` on the right: several named outputs; without a name the output is called ``data``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .errors import AxesError

DEFAULT_OUTPUT = "data"

_LABEL = r"[a-z][a-z0-9_]*"
_TOKEN = re.compile(
    rf"\[(?P<piece>\*|{_LABEL})\]|(?P<new>{_LABEL})=(?P<old>{_LABEL})|(?P<label>{_LABEL})(?:~(?P<halo>\d+|{_LABEL}))?"
)
_NAMED = re.compile(rf"^\s*(?P<name>{_LABEL})\s*:(?P<rest>.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Pattern:
    """The axes of one data argument or output."""

    whole: tuple[str, ...] = ()
    """Axes that the step sees whole, in the order in which its body gets them."""
    pieces: tuple[str, ...] = ()
    """Bracketed axes, which may arrive in pieces; ``*`` stands for all that are not named."""
    halo: Mapping[str, int | str] = field(default_factory=dict[str, "int | str"])
    """Neighbours needed on each side, per axis: a number, or the parameter that holds it."""
    renamed: Mapping[str, str] = field(default_factory=dict[str, str])
    """Output only: old label to new label of free axes."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a step takes and gives, in axis labels."""

    text: str
    inputs: tuple[Pattern, ...]
    outputs: Mapping[str, Pattern]

    @property
    def first(self) -> Pattern:
        """The pattern of the first data argument."""
        return self.inputs[0]


def parse_signature(text: str) -> Signature:
    """Read a signature.

    Raises:
        AxesError: The text is not a signature; the message names the token.
    """
    left, arrow, right = text.partition("->")
    if not arrow:
        raise AxesError(
            "A signature needs an arrow.",
            field="signature",
            value=text,
            expected="'axes in -> axes out', for example 'angle col -> z=row y x'",
        )
    inputs = tuple(_pattern(part, text, output=False) for part in left.split(","))
    outputs: dict[str, Pattern] = {}
    for part in right.split(","):
        named = _NAMED.match(part)
        name, body = (named["name"], named["rest"]) if named else (DEFAULT_OUTPUT, part)
        if name in outputs:
            raise AxesError("Two outputs have the same name.", field="signature", value=text, expected="distinct names")
        outputs[name] = _pattern(body, text, output=True)
    return Signature(text=text.strip(), inputs=inputs, outputs=outputs)


def _pattern(part: str, text: str, *, output: bool) -> Pattern:
    whole: list[str] = []
    pieces: list[str] = []
    halo: dict[str, int | str] = {}
    renamed: dict[str, str] = {}
    for token in part.split():
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise AxesError(
                f"'{token}' is not an axis.",
                field="signature",
                value=text,
                expected="labels such as 'row' or '[angle]'",
            )
        if match["piece"]:
            pieces.append(match["piece"])
        elif match["new"]:
            renamed[match["old"]] = match["new"]
        else:
            whole.append(match["label"])
            if match["halo"]:
                halo[match["label"]] = int(match["halo"]) if match["halo"].isdigit() else match["halo"]
    misplaced = pieces if output else list(renamed)
    if misplaced:
        raise AxesError(
            "Brackets belong on the left of the arrow, renaming on the right.",
            field="signature",
            value=text,
            expected="'[old] … -> new=old …'",
        )
    labels = [*whole, *pieces]
    if len(set(labels)) != len(labels):
        raise AxesError(
            "An axis is named twice in one argument.", field="signature", value=text, expected="distinct labels"
        )
    return Pattern(tuple(whole), tuple(pieces), halo, renamed)


def halo_of(pattern: Pattern, parameters: Mapping[str, Any]) -> dict[str, int]:
    """The halo in pixels per axis, with the parameters of one step filled in.

    A parameter that holds a window's full width `size` gives the halo `size // 2`; a plain number is the halo itself.
    """
    return {axis: n if isinstance(n, int) else int(parameters[n]) // 2 for axis, n in pattern.halo.items()}


def without_axis(pattern: Pattern, label: str | None) -> Pattern:
    """The same pattern with one axis less that is seen whole."""
    return replace(pattern, whole=tuple(each for each in pattern.whole if each != label))


def output_axes(pattern: Pattern, free: Sequence[str]) -> tuple[str, ...]:
    """Labels of an output: the free axes (renamed where the signature says so), then its own."""
    return (*(pattern.renamed.get(label, label) for label in free), *pattern.whole)
