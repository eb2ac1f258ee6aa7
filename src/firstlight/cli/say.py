"""What all verbs share: how errors are told, what exit codes mean, and the common options."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

import typer

from .entry import INTERRUPTED

DONE, FAILED, WRONG = 0, 1, 2
"""Exit codes: done; the run failed; the command or the job is wrong."""

P = ParamSpec("P")
R = TypeVar("R")

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="STEP.PARAMETER=VALUE", help="Set a parameter; may be given again and again."),
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="AXIS=START:STOP[:STEP]",
        help="Read only a part of the scan, such as row=mid-2:mid+3, angle=::2 or row=7; once for each axis.",
    ),
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory", metavar="SIZE", help="Memory that the run may take, such as 8G; default: 70 % of what is free."
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="DEVICE",
        help="Where steps run that can: cpu, cuda (every GPU), or cuda:0,1; default: auto, a GPU where there is one.",
    ),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on with a run of the same job that was interrupted: what is done stays.")
]
SaveAllOption = Annotated[bool, typer.Option("--save-all", help="Write what each step gives too, beside the output.")]
StatisticsOption = Annotated[
    bool, typer.Option("--statistics", help="Tell least and greatest value, mean, spread and NaNs of every step.")
]
SnapshotOption = Annotated[
    list[str] | None,
    typer.Option(
        "--snapshot",
        metavar="STEP[=FILE]",
        help="Keep the middle frame or slice of a step: FILE ends in .tif (values) or .png (to look at); default STEP.tif.",
    ),
]
RunnerOption = Annotated[
    str | None, typer.Option("--runner", metavar="NAME", help="Runner to use: 'firstlight list runners'.")
]
ReportOption = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Write a machine-readable report (JSON).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@dataclass
class _Settings:
    debug: bool = False


settings = _Settings()


def verb(function: Callable[P, R]) -> Callable[P, R]:
    """Tell errors in a sentence instead of a traceback, and end with the right code."""

    @functools.wraps(function)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        from firstlight.core.errors import FirstlightError, StepFailed

        try:
            return function(*args, **kwargs)
        except FirstlightError as error:
            if settings.debug:
                raise
            complain(str(error))
            raise typer.Exit(FAILED if isinstance(error, StepFailed) else WRONG) from None
        except KeyboardInterrupt:  # typer would say no more than that it was aborted
            remark("Interrupted.")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:  # `firstlight list operators | head`
            sys.stderr.close()
            raise typer.Exit(DONE) from None

    return told


def complain(text: str) -> None:
    """Tell an error."""
    red, plain = ("\x1b[31m", "\x1b[0m") if sys.stderr.isatty() else ("", "")
    sys.stderr.write(f"{red}error:{plain} {text}\n")


def remark(text: str) -> None:
    """Tell something that is no result."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def say(text: str) -> None:
    """Print a result."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def on_this_machine(file: Path) -> Path:
    """A file that the command line names, whole.

    Raises:
        JobError: It is an address such as ``s3://bucket/rec.zarr``, of which a path keeps one slash.
    """
    from firstlight.core.errors import JobError

    if re.match(r"[a-z][a-z0-9+]+:/", str(file)):
        raise JobError(
            [f"'{file}' is an address. Expected a file of this machine here; 'firstlight run' takes addresses."]
        )
    return file.absolute()


def check_report(path: Path | None) -> None:
    """Refuse a report that could not be written before any work is done for it.

    Raises:
        FirstlightError: Its folder is missing or not ours, or it is a folder itself.
    """
    import os

    from firstlight.core.errors import FirstlightError

    if path is None:
        return
    place = path if path.exists() else path.absolute().parent
    if path.is_dir() or not place.exists() or not os.access(place, os.W_OK):
        raise FirstlightError(
            "The report can not be written there.",
            field="--report",
            value=str(path),
            expected="a file in a folder that exists and is yours to write",
        )


def parse_only(given: Iterable[str] | None) -> dict[str, str]:
    """``only.axis`` to positions, from ``--only``.

    Raises:
        FirstlightError: An entry is not understood, or an axis is named twice.
    """
    from firstlight.core.errors import FirstlightError
    from firstlight.core.selection import Picked

    found: dict[str, str] = {}
    for text in given or ():
        label, equals, positions = text.partition("=")
        target = f"only.{label.strip()}"
        if not equals or not label.strip() or target in found:
            again = "one '--only' for each axis" if target in found else "AXIS=START:STOP, such as row=100:200"
            raise FirstlightError("'--only' is not understood.", field="--only", value=text, expected=again)
        Picked.parse(positions)
        found[target] = positions.strip()
    if "only.col" in found:
        remark("note: columns count from the first one selected, and so does the column of a rotation axis")
    return found


def parse_sets(
    given: Iterable[str] | None,
    runner: str | None = None,
    only: Iterable[str] | None = None,
    *,
    what: str = "--set",
    example: str = "fbp.filter=hann",
) -> dict[str, str]:
    """``step.parameter`` to value, from ``--set`` (or what else takes such), ``--runner`` and ``--only``.

    Raises:
        FirstlightError: An entry is not understood.
    """
    from firstlight.core.errors import FirstlightError

    overrides: dict[str, str] = {}
    for text in given or ():
        target, equals, value = text.partition("=")
        if not equals or not target.strip() or ("." not in target and target.strip() != "name"):
            raise FirstlightError(
                f"'{what}' is not understood.",
                field=what,
                value=text,
                expected=f"step.parameter=value, such as {example}",
            )
        overrides[target.strip()] = value.strip()
    if runner is not None:
        overrides["runner.use"] = runner
    return overrides | parse_only(only)


def parse_watch(snapshots: Iterable[str] | None, folder: Path, *, statistics: bool) -> dict[str, str]:
    """Overrides from ``--snapshot`` and ``--statistics``; pictures without a name go to `folder`."""
    found = {"runner.statistics": "true"} if statistics else {}
    for text in snapshots or ():
        step, _, file = text.partition("=")
        found[f"snapshots.{step.strip()}"] = str((Path(file) if file else folder / f"{step.strip()}.tif").absolute())
    return found


def parse_scale(
    memory: str | None, device: str | None = None, *, resume: bool = False, save_all: bool = False
) -> dict[str, str]:
    """Overrides from ``--memory``, ``--device``, ``--resume`` and ``--save-all``.

    Raises:
        FirstlightError: The memory is no size.
    """
    found = {} if memory is None else {"runner.memory": _size(memory)}
    found |= {} if device is None else {"runner.device": device}
    found |= {"runner.resume": "true"} if resume else {}
    return found | ({"runner.save_all": "true"} if save_all else {})


def _size(text: str) -> str:
    """A size as the job takes it; a bare number is refused, because nobody means byte.

    Raises:
        FirstlightError: It is no size.
    """
    import re

    from firstlight.core.errors import FirstlightError

    if not re.fullmatch(r"\s*\d+(\.\d*)?([eE]\+?\d+)?\s*([KMGT]|[KMGT]?i?B|kB)\s*", text, re.IGNORECASE):
        raise FirstlightError(
            "This is no size.", field="--memory", value=text, expected="a number with a unit, such as 8G or 500M"
        )
    return text.strip()
