"""The command ``firstlight``. What a verb needs is imported when it runs, so that the command itself starts fast."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from . import (
    batch,
    check,
    cite,
    compare,
    demo,
    doctor,
    hp,
    import_,
    init,
    list_,
    model,
    reconstruct,
    record,
    run,
    serve,
    show,
    sim,
    sweep,
)
from .say import settings

app = typer.Typer(
    name="firstlight",
    help="See your sample while the beam is on: live and offline reconstruction in one pipeline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"firstlight {version('firstlight')}")
        raise typer.Exit


@app.callback()
def common(
    debug: Annotated[bool, typer.Option("--debug", help="Show where in the program an error arose.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """See your sample while the beam is on: live and offline reconstruction in one pipeline."""
    settings.debug = debug
    _once.seen.clear()
    if logging.lastResort is not None:
        logging.lastResort.addFilter(_once)


class _Once(logging.Filter):
    """Lets a warning pass once: a file that is looked at before it is read gives the same ones each time."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """True for what was not said before."""
        message = record.getMessage()
        said = message in self.seen
        self.seen.add(message)
        return not said


_once = _Once()


app.command("demo")(demo.demo)
app.command("run")(run.run)
app.command("check")(check.check)
app.command("list")(list_.list_plugins)
app.command("show")(show.show)
app.command(
    "sim", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)(sim.sim)
app.command("record")(record.record)
app.command("serve")(serve.serve)
app.command("reconstruct")(reconstruct.reconstruct)
app.command("sweep")(sweep.sweep)
app.command("batch")(batch.batch)
app.command("cite")(cite.cite)
app.command("compare")(compare.compare)
app.command("init")(init.init)
app.command("import")(import_.import_)
app.command("doctor")(doctor.doctor)
app.add_typer(model.app)
app.add_typer(hp.app)


if __name__ == "__main__":
    app()
