"""``firstlight hp …``: the verbs of holoptycho's command line, for its service or ours."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from .say import DONE, FAILED, WRONG, complain, remark, say, verb

app = typer.Typer(
    name="hp",
    help="Control streaming ptychography by holoptycho's routes (of its service, or of 'firstlight serve --holoptycho').",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
logs_app = typer.Typer(help="Lines of the log.", invoke_without_command=True)
config_app = typer.Typer(help="The config.", no_args_is_help=True)
model_app = typer.Typer(help="Networks.", no_args_is_help=True)
remote_app = typer.Typer(
    help="Which service is meant where neither --url nor HOLOPTYCHO_URL says.", no_args_is_help=True
)
app.add_typer(logs_app, name="logs")
app.add_typer(config_app, name="config")
from_app = typer.Typer(help="The config for a scan that is there already, as JSON.", no_args_is_help=True)
config_app.add_typer(from_app, name="from")
app.add_typer(model_app, name="model")
app.add_typer(remote_app, name="remote")

FOLLOWED = 1000
"""Lines that are asked for at least while a log is followed."""


@app.callback()
def common(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Option("--url", envvar="HOLOPTYCHO_URL", show_envvar=True, help="Address of the service.")
    ] = None,
) -> None:
    """Control streaming ptychography by holoptycho's routes."""
    context.obj = url


def _ask(context: typer.Context, path: str, body: dict[str, Any] | None = None, *, post: bool = False) -> Any:
    from firstlight.connectors.hxn.client import HoloptychoError, ask, url_of

    try:
        return ask(url_of(context.obj or _remotes()[1].get(_remotes()[0])), path, body, post=post)
    except HoloptychoError as error:
        complain(str(error))
        raise typer.Exit(FAILED) from None


def _show(found: Any) -> None:
    say(json.dumps(found, indent=2))


def _body(config: str | None) -> dict[str, Any]:
    """The config of a command line: JSON, or @FILE with JSON in it."""
    if config is None:
        return {}
    try:
        found = json.loads(Path(config[1:]).read_text() if config.startswith("@") else config)
    except (OSError, ValueError) as error:
        complain(f"The config can not be read: {error}. Expected a JSON object, or @FILE that holds one.")
        raise typer.Exit(WRONG) from None
    if not isinstance(found, dict):
        complain("The config is no JSON object.")
        raise typer.Exit(WRONG)
    return {"config": found}


ConfigArgument = Annotated[
    str | None, typer.Argument(metavar="[CONFIG]", help="JSON, or @FILE with JSON; default: the one that was run last.")
]


@app.command()
@verb
def status(context: typer.Context) -> None:
    """Show what the pipeline does."""
    _show(_ask(context, "/status"))


@app.command()
@verb
def start(context: typer.Context, config: ConfigArgument = None) -> None:
    """Start a run; returns when it listens to its streams."""
    _show(_ask(context, "/run", _body(config), post=True))


@app.command()
@verb
def stop(context: typer.Context) -> None:
    """End the run in order."""
    _show(_ask(context, "/stop", {}, post=True))


@app.command()
@verb
def restart(context: typer.Context, config: ConfigArgument = None) -> None:
    """End the run if one goes on, and start another."""
    _show(_ask(context, "/restart", _body(config), post=True))


@app.command()
@verb
def check(
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds without anything.")] = 5.0,
    save: Annotated[
        Path | None, typer.Option("--save", help="Folder for what came: eiger_dps.npy, panda_positions.npy.")
    ] = None,
    frames: Annotated[int, typer.Option("--num-frames", min=1, help="Frames to wait for.")] = 10,
    messages: Annotated[int, typer.Option("--num-position-msgs", min=1, help="Messages with positions.")] = 10,
) -> None:
    """Look whether both streams come, at SERVER_STREAM_SOURCE and PANDA_STREAM_SOURCE. Needs no service; a scan must run."""
    from firstlight.connectors.hxn.check import check_streams
    from firstlight.connectors.hxn.check import save as save_streams

    found = check_streams(timeout, frames=frames, messages=messages)
    for each in found:
        say(f"{each.stream:8}  {each.state:7}  {each.address}  {each.says}")
    if save is not None:
        for path in save_streams(found, save):
            remark(f"written: {path}")
    raise typer.Exit(DONE if all(each.state == "OK" for each in found) else FAILED)


@config_app.command("show")
@verb
def show_config(context: typer.Context) -> None:
    """Show the config that was run last."""
    _show(_ask(context, "/config"))


@from_app.command("file")
@verb
def config_from_file_(
    file: Annotated[Path, typer.Argument(help="A scan (CXI, .ptyd, HXN, ptychodus), or a config (INI, JSON).")],
) -> None:
    """Print the config for a scan in a file, or the one that a file holds; to run it: hp start "$(… config from file FILE)"."""
    from firstlight.connectors.hxn.from_scan import config_from_file

    _show(config_from_file(file))


@from_app.command("tiled")
@verb
def config_from_tiled_(
    uid: Annotated[str | None, typer.Option("--uid", envvar="TILED_RUN_UID", help="Unique name of the run.")] = None,
    scan_id: Annotated[int | None, typer.Option("--scan-id", help="Its number; of several the newest.")] = None,
    tiled_url: Annotated[
        str,
        typer.Option("--tiled-url", envvar="TILED_BASE_URL", help="Address of the server, a catalogue, or the run."),
    ] = "http://localhost:8000",
    mode: Annotated[str, typer.Option("--mode", help="iterative or both.")] = "iterative",
) -> None:
    """Print the config for live scans like one on a Tiled server. The API key is taken from TILED_API_KEY."""
    from firstlight.connectors.hxn.from_scan import config_from_tiled

    _show(config_from_tiled(tiled_url, uid=uid, scan_id=scan_id, mode=mode))


@logs_app.callback()
@verb
def logs(
    context: typer.Context,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many lines.")] = 100,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with new lines.")] = False,
    interval: Annotated[float, typer.Option("--interval", min=0.05, help="Seconds between looks.")] = 1.0,
) -> None:
    """Show the last lines of the log."""
    if context.invoked_subcommand is not None:
        return
    import time

    wanted = max(lines, FOLLOWED) if follow else lines
    known: list[str] = _ask(context, f"/logs?lines={wanted}")["lines"]
    for line in known[-lines:] if lines else []:
        say(line)
    while follow:
        time.sleep(interval)
        found: list[str] = _ask(context, f"/logs?lines={wanted}")["lines"]
        for line in found[_overlap(known, found) :]:
            say(line)
        known = found


def _overlap(known: list[str], found: list[str]) -> int:
    """How many of the first new lines are the last known ones."""
    for count in range(min(len(known), len(found)), 0, -1):
        if known[-count:] == found[:count]:
            return count
    return 0


@logs_app.command("clear")
@verb
def clear_logs(context: typer.Context) -> None:
    """Forget the log."""
    _show(_ask(context, "/logs/clear", {}, post=True))


@model_app.command("list")
@verb
def list_models(context: typer.Context) -> None:
    """List the networks."""
    _show(_ask(context, "/model/list"))


@model_app.command("status")
@verb
def model_status(context: typer.Context) -> None:
    """Show which network is chosen."""
    _show(_ask(context, "/model/status"))


@model_app.command("set")
@verb
def set_model(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the network.")],
    version: Annotated[str | None, typer.Option("-v", "--version", help="Version; default: the newest.")] = None,
) -> None:
    """Choose a network for the next run."""
    _show(_ask(context, "/model", {"name": name, "version": version}, post=True))


# ---- remotes ---------------------------------------------------------------------------------------------------------


def _file() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "firstlight" / "holoptycho.json"


def _remotes() -> tuple[str, dict[str, str]]:
    """The chosen service, and the address of each known one."""
    known = {"localhost": "http://127.0.0.1:8000"}
    try:
        found = json.loads(_file().read_text())
        return str(found.get("active", "localhost")), known | {str(k): str(v) for k, v in found["remotes"].items()}
    except (OSError, ValueError, KeyError, AttributeError):
        return "localhost", known


@remote_app.command("list")
@verb
def list_remotes() -> None:
    """List the known services; a star marks the chosen one."""
    active, known = _remotes()
    for name, url in known.items():
        say(f"{'*' if name == active else ' '} {name}  {url}")


@remote_app.command("set")
@verb
def set_remote(
    name: Annotated[str, typer.Argument(help="Name of the service.")] = "localhost",
    url: Annotated[str | None, typer.Argument(help="Its address, where the name is new.")] = None,
) -> None:
    """Choose a service, or add one: NAME URL."""
    from firstlight.connectors.hxn.client import HoloptychoError, url_of

    _, known = _remotes()
    if url is not None:
        try:
            known[name] = url_of(url)
        except HoloptychoError as error:
            complain(str(error))
            raise typer.Exit(WRONG) from None
    if name not in known:
        complain(f"There is no service '{name}'. Known are: {', '.join(known)}. To add one: hp remote set {name} URL")
        raise typer.Exit(WRONG)
    _file().parent.mkdir(parents=True, exist_ok=True)
    _file().write_text(json.dumps({"active": name, "remotes": known}, indent=1) + "\n")
    say(f"{name}  {known[name]}")


@remote_app.command("status")
@verb
def remote_status(context: typer.Context) -> None:
    """Show the chosen service, and what it does."""
    active, known = _remotes()
    remark(f"{context.obj or known.get(active)}" + ("" if context.obj else f" ({active})"))
    _show(_ask(context, "/status"))
    raise typer.Exit(DONE)
