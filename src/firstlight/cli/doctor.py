"""``firstlight doctor``: what works on this machine, and what does not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from .say import DONE, FAILED, JsonOption, say, verb

_WRITTEN = 256 << 20
"""Bytes written to measure the disk."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "absent", "bad"]
    """absent: not there, and only needed for some work."""
    text: str


@verb
def doctor(
    json_: JsonOption = False,
    folder: Annotated[Path, typer.Option("--folder", help="Folder whose disk is measured.")] = Path("."),
) -> None:
    """Say what works on this machine: extras, ports, GPU, disk, memory, threads."""
    import json

    found = [*_machine(), *_extras(), *_gpu(), *_ports(), _disk(folder), *_pages()]
    if json_:
        say(json.dumps([asdict(finding) for finding in found], indent=1))
    else:
        signs = {"ok": "✓", "absent": "–", "bad": "✗"}
        for finding in found:
            say(f"{signs[finding.state]} {finding.name:16} {finding.text}")
    raise typer.Exit(FAILED if any(finding.state == "bad" for finding in found) else DONE)


def _machine() -> list[Finding]:
    import os
    import platform
    import sys

    import psutil

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = psutil.virtual_memory()
    enough = sys.version_info >= (3, 11)
    return [
        Finding("python", "ok" if enough else "bad", f"{platform.python_version()} on {platform.platform(terse=True)}"),
        Finding("threads", "ok", f"{usable} of {os.cpu_count()} cores may be used"),
        Finding(
            "memory",
            "ok" if memory.available > 2 << 30 else "bad",
            f"{memory.available / 2**30:.1f} GiB free of {memory.total / 2**30:.1f} GiB",
        ),
    ]


def _extras() -> list[Finding]:
    """One line per extra, as the package's own metadata lists them."""
    import re
    from importlib.metadata import distribution

    package = distribution("firstlight")
    found: list[Finding] = []
    for extra in package.metadata.get_all("Provides-Extra") or []:
        # a requirement reads: name[extras]>=version; … extra == "epics"
        named = re.compile(rf"""extra\s*==\s*['"]{re.escape(extra)}['"]""")
        needs = [re.split(r"[^\w.-]", text)[0] for text in package.requires or [] if named.search(text)]
        missing = [name for name in needs if not _installed(name)]
        if needs:
            text = f"pip install 'firstlight[{extra}]' brings {', '.join(missing)}" if missing else "installed"
            found.append(Finding(f"extra {extra}", "absent" if missing else "ok", text))
    return found


def _installed(name: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _gpu() -> list[Finding]:
    """The devices that kernels can run on, by the names that jobs use; or why there are none."""
    from firstlight.kernels.cuda import arrays

    why = arrays.absent()
    if why is not None:
        return [Finding("gpu", "absent", f"{why}; everything runs on the CPU")]
    found: list[Finding] = []
    for number in range(arrays.count()):
        memory = arrays.memory(number)
        room = f"{memory.free / 2**30:.1f} GiB free of {memory.total / 2**30:.1f} GiB"
        found.append(Finding("gpu", "ok", f"cuda:{number} {arrays.name(number)}, {room}"))
    return found


def _ports() -> list[Finding]:
    import socket

    found: list[Finding] = []
    for port, use in ((8000, "web page (firstlight serve)"), (5075, "EPICS PV Access")):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                found.append(Finding(f"port {port}", "ok", f"free for the {use}"))
            except OSError:
                found.append(Finding(f"port {port}", "absent", f"taken: the {use} needs another ('--port')"))
    return found


def _disk(folder: Path) -> Finding:
    """Write a quarter of a GiB, and force it to the disk."""
    import os
    import shutil
    import tempfile
    import time

    try:
        free = shutil.disk_usage(folder).free
        if free < 4 * _WRITTEN:
            return Finding("disk", "bad", f"{free / 2**30:.2f} GiB free in {folder.absolute()}")
        block = os.urandom(1 << 20) * 16
        with tempfile.TemporaryFile(dir=folder) as file:
            begun = time.perf_counter()
            for _ in range(_WRITTEN // len(block)):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
            seconds = time.perf_counter() - begun
    except OSError as error:
        return Finding("disk", "bad", f"{folder.absolute()} can not be written: {error.strerror}")
    return Finding(
        "disk", "ok", f"{_WRITTEN / seconds / 1e6:.0f} MB/s to {folder.absolute()}, {free / 2**30:.1f} GiB free"
    )


def _pages() -> list[Finding]:
    from importlib.resources import files

    built = (files("firstlight") / "faces" / "rest" / "static" / "index.html").is_file()
    return [
        Finding("web pages", "ok" if built else "absent", "built" if built else "not built: 'make install' builds them")
    ]
