"""``firstlight sim KIND``: a beamline that is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .say import DONE, WRONG, complain, remark, say, verb

if TYPE_CHECKING:
    import threading

PARENT = "FIRSTLIGHT_END_WITH"
"""Environment variable: the process number of a parent without which the simulator shall not go on."""


@verb
def sim(
    context: typer.Context,
    kind: Annotated[str | None, typer.Argument(metavar="KIND", help="Which one: 'firstlight list simulators'.")] = None,
) -> None:
    """Simulate a detector. Its options are the simulator's own: 'firstlight sim pva --help' shows them.

    Prints one line of JSON once it is there: addresses and names. Ctrl-C ends it.
    """
    from firstlight.core import registry

    if kind is None or kind in ("-h", "--help"):
        say("Usage: firstlight sim KIND [FILE] [--option value …]\n\nKinds: " + ", ".join(registry.names("simulators")))
        raise typer.Exit(DONE if kind else WRONG)
    model = registry.get("simulators", kind)
    if {"-h", "--help"} & set(context.args):
        _help(kind, model)
        return
    raise typer.Exit(_simulate(kind, model, parse_options(context.args, model)))


def parse_options(arguments: list[str], model: Any) -> dict[str, Any]:
    """``--name value``, ``--name=value``, ``--flag``, ``--no-flag`` and one FILE, as the fields of a model.

    Raises:
        FirstlightError: An option does not exist, or lacks its value.
    """
    fields: dict[str, Any] = model.model_fields
    given: dict[str, Any] = {}
    left = list(arguments)
    while left:
        word = left.pop(0)
        if not word.startswith("--"):
            _put(given, "file" if "file" in fields else word, word, fields)
            continue
        name, equals, value = word[2:].partition("=")
        name = name.replace("-", "_")
        if name.startswith("no_") and name not in fields:
            _put(given, name[3:], False, fields)
        elif equals:
            _put(given, name, _value(name, value, fields), fields)
        elif name in fields and fields[name].annotation is bool and not (left and left[0] in ("true", "false")):
            _put(given, name, True, fields)
        elif left:
            _put(given, name, _value(name, left.pop(0), fields), fields)
        else:
            _put(given, name, None, fields)
    return given


def _value(name: str, text: str, fields: dict[str, Any]) -> Any:
    """The text itself where a text or path is wanted; otherwise what it means in YAML."""
    from pathlib import Path
    from types import UnionType
    from typing import Union, get_args, get_origin

    import yaml

    annotation = fields[name].annotation if name in fields else None
    either = get_origin(annotation) in (Union, UnionType)  # not dict[str, str], which is no text
    kinds = set(get_args(annotation) if either else (annotation,)) - {type(None)}
    return text if kinds and kinds <= {str, Path} else yaml.safe_load(text)


def _put(given: dict[str, Any], name: str, value: Any, fields: dict[str, Any]) -> None:
    import difflib

    from firstlight.core.errors import FirstlightError

    if name not in fields:
        close = difflib.get_close_matches(name, fields, n=1)
        raise FirstlightError(
            f"The simulator has no option '--{name.replace('_', '-')}'.",
            expected="an option that '--help' shows",
            next_move=f"Did you mean --{close[0].replace('_', '-')}?" if close else None,
        )
    if value is None:
        raise FirstlightError(f"The option '--{name.replace('_', '-')}' needs a value.")
    given[name] = value


def _help(kind: str, model: Any) -> None:
    from rich.console import Console

    from .show import print_parameters

    say(f"Usage: firstlight sim {kind} [FILE] [--option value …]\n\n{(model.__doc__ or '').strip()}\n")
    schema = model.model_json_schema()
    dashed = {name.replace("_", "-"): described for name, described in schema.get("properties", {}).items()}
    print_parameters(Console(), {**schema, "properties": dashed}, prefix="--")


def _end_with_parent(stop: threading.Event) -> None:
    """Stop when the process that started us is gone, if it asked for that: a killed demo leaves no beamline behind."""
    import os
    import threading

    parent = os.environ.get(PARENT)
    if parent is None:
        return

    def watch() -> None:
        while not stop.wait(0.5):
            if str(os.getppid()) != parent:
                stop.set()

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def _simulate(kind: str, model: Any, given: dict[str, Any]) -> int:
    import json
    import signal
    import threading

    from pydantic import ValidationError

    from firstlight.core.errors import SourceError

    try:
        simulator = model.model_validate(given)
    except ValidationError as error:
        texts = [
            (f"--{'.'.join(map(str, item['loc'])).replace('_', '-')}: " if item["loc"] else "")
            + item["msg"].removeprefix("Value error, ")
            for item in error.errors()
        ]
        complain(f"The options of the simulator '{kind}' are not right:\n  " + "\n  ".join(texts))
        return WRONG
    stop = threading.Event()
    _end_with_parent(stop)
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: stop.set()) for number in numbers]
    try:
        report = simulator.run(stop, lambda told: say(json.dumps(told)))
    except SourceError as error:
        complain(str(error))
        return WRONG
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
    remark(json.dumps(report, default=str))
    return DONE
