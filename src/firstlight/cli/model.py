"""``firstlight model list|set|status|samples``: networks, the one that is used where none is named, and what to train others with."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from .say import JsonOption, say, verb

app = typer.Typer(name="model", help="Networks: which there are, and which one is used.", no_args_is_help=True)

FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--folder", metavar="FOLDER", help="Where networks lie; default: FIRSTLIGHT_MODELS, or your data folder."
    ),
]
RegistryOption = Annotated[
    str | None,
    typer.Option(
        "--registry",
        metavar="URL",
        envvar="FIRSTLIGHT_MODEL_REGISTRY",
        help="MLflow tracking server with models; its variables MLFLOW_TRACKING_TOKEN (or …_USERNAME and …_PASSWORD) say who asks.",
    ),
]


@app.command("list")
@verb
def list_models(folder: FolderOption = None, registry: RegistryOption = None, json_: JsonOption = False) -> None:
    """List the networks, with their size; a star marks the one that is used. Then those of the registry, if one is named."""
    from firstlight.core.errors import FirstlightError
    from firstlight.jobs.networks import registered
    from firstlight.operators.learn.models import chosen_model, models

    try:
        chosen = chosen_model(folder)
    except FirstlightError:
        chosen = None  # `status` tells why
    found, others = models(folder), [] if registry is None else registered(registry, folder)
    if json_:
        plain = [_plain(each, each == chosen) for each in found]
        say(
            json.dumps(
                plain + [{**asdict(each), "registry": registry, "fetched": there} for each, there in others], indent=1
            )
        )
        return
    for each in found:
        size = each.path.stat().st_size / 1e6
        say(f"{'*' if each == chosen else ' '} {each.full_name}  {size:.1f} MB  {each.path}")
    for each, there in others:
        note = "fetched" if there else "ready" if each.status == "READY" else each.status.lower()
        say(f"  {each.name}_v{each.version}  {note}  {registry}  {each.description}".rstrip())


@app.command("set")
@verb
def set_model(
    name: Annotated[str, typer.Argument(help="Name of the network: NAME, the newest version, or NAME_v3.")],
    folder: FolderOption = None,
    registry: RegistryOption = None,
) -> None:
    """Choose the network that is used where none is named. It is read and run once, so that a bad file is refused now.

    With a registry it is fetched from there, unless that version was fetched before.
    """
    from firstlight.jobs.networks import fetch_model
    from firstlight.operators.learn.models import choose_model, find_model
    from firstlight.operators.learn.session import load_network

    if registry is not None:
        name = fetch_model(registry, name, folder).full_name
    load_network(find_model(name, folder).path)
    found = choose_model(name, folder)
    say(f"{found.full_name}  {found.path}")


@app.command("status")
@verb
def model_status(folder: FolderOption = None, json_: JsonOption = False) -> None:
    """Show the network that is used: what it takes, and what its file says of itself."""
    from firstlight.jobs.networks import origin
    from firstlight.operators.learn.models import chosen_model
    from firstlight.operators.learn.session import load_network

    found = chosen_model(folder)
    network = load_network(found.path)
    told = {
        **_plain(found, True),
        "window": list(network.window),
        "batch": network.batch,
        "holds_probe": network.probe is not None,
        "takes_probe": network.takes_probe,
        **network.about,
        **({"from": told_of} if (told_of := origin(found)) else {}),
    }
    if json_:
        say(json.dumps(told, indent=1))
        return
    for name, value in told.items():
        say(f"{name}: {value}")


def _plain(model: Any, chosen: bool) -> dict[str, Any]:
    return {"name": model.name, "version": model.version, "path": str(model.path), "chosen": chosen}


@app.command("samples")
@verb
def samples(
    scan: Annotated[Path, typer.Argument(help="File with the patterns and positions of a scan.")],
    image: Annotated[Path, typer.Argument(metavar="OBJECT", help="Its reconstruction: the complex object.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="HDF5 file to write.")],
    stride: Annotated[int, typer.Option("--stride", min=1, help="Every so many patterns.")] = 1,
    pixel: Annotated[
        float | None, typer.Option("--pixel", min=0, help="Pixel of the object in nm; default: as the scan says.")
    ] = None,
) -> None:
    """Write samples to train a network with: amplitudes, positions in metre, and the object in each window."""
    from firstlight.core import registry
    from firstlight.jobs.arrays import open_array
    from firstlight.jobs.defaults import source_of
    from firstlight.operators.learn.samples import write_samples

    with open_array(str(image)) as result:
        found = result.read(0)
    source = registry.get("sources", source_of(scan))(path=scan)
    try:
        written = write_samples(
            out, source, source.open(), found, stride=stride, pixel=None if pixel is None else pixel * 1e-9
        )
    finally:
        source.close()
    say(f"{written.count} samples of {written.window[0]} × {written.window[1]} pixels in {out}")
