"""``firstlight serve``: the service with its web pages."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from .say import remark, verb


@verb
def serve(
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; any but this machine's own needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option("--token", envvar="FIRSTLIGHT_TOKEN", show_envvar=True, help="What every request must carry."),
    ] = None,
    root: Annotated[
        list[Path] | None,
        typer.Option(
            "--root", help="Folder that jobs from the network may use; may be given again. Default: this one."
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", help="Further name that browsers may use.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option("--allow-origin", help="Further page that may steer runs.")
    ] = None,
    holoptycho: Annotated[
        bool, typer.Option("--holoptycho", help="Answer holoptycho's routes too (/run, /stop, /status, …).")
    ] = False,
) -> None:
    """Serve the web pages and the REST interface. Runs are processes of their own: they go on when the service ends."""
    from firstlight.jobs.supervise import Supervisor

    from .face import face, further_routes

    rest = face("rest")
    settings = rest.Settings(
        host=host,
        port=port,
        token=token,
        roots=tuple(folder.absolute() for folder in root or ()),
        allowed_hosts=tuple(allow_host or ()),
        allowed_origins=tuple(allow_origin or ()),
    )
    supervisor = Supervisor()
    further = [further_routes("holoptycho")(supervisor, settings.confined_to)] if holoptycho else []
    remark(f"firstlight listens on {settings.address} (Ctrl-C ends the service; runs go on)")
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is how it is meant to end
        rest.serve(settings, supervisor, further=further)
