"""``firstlight demo [FILE]``: a simulated beamline, a live run and the web page, with one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .say import ReportOption, check_report, remark, verb

if TYPE_CHECKING:
    from firstlight.core.run import Status
    from firstlight.jobs.remote import RemoteRun
    from firstlight.jobs.supervise import Supervisor

PHANTOM = {"columns": 512, "rows": 384, "angles": 360}
"""Small enough to be live on two cores."""
PORT = 8000
_LINE = 3.0
"""Seconds between two lines on how it gets on."""
_DRAINED = 1.0
"""Seconds without another frame after which nothing is on its way any more."""


@verb
def demo(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A recorded scan (DXfile, NXtomo); default: the phantom.")
    ] = None,
    rate: Annotated[
        float, typer.Option("--rate", metavar="FPS", min=0.0, help="Frames per second; 0: as fast as it goes.")
    ] = 20.0,
    seconds: Annotated[
        float | None, typer.Option("--seconds", metavar="N", min=0.1, help="End after this time; default: Ctrl-C.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="P", min=0, max=65535, help="Port of the web page.")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the web page.")] = True,
    report: ReportOption = None,
    loop: Annotated[bool, typer.Option("--loop/--no-loop", help="Go on turning after the last projection.")] = True,
) -> None:
    """Watch a sample appear: a simulated detector streams a scan, a live run reconstructs it, a web page shows it."""
    import tempfile

    from firstlight.core import registry
    from firstlight.jobs.supervise import Supervisor

    check_report(report)
    registry.get("simulators", "pva")  # says which extra is missing, before anything is started
    supervisor = Supervisor()
    with tempfile.TemporaryDirectory(prefix="firstlight-demo-") as folder:
        try:
            options = _simulator_options(file, rate, seconds, loop=loop, supervisor=supervisor)
            code = _show(supervisor, Path(folder), options, port, report, browser=browser)
        finally:
            supervisor.close()
    raise typer.Exit(code)


def _simulator_options(
    file: Path | None, rate: float, seconds: float | None, *, loop: bool, supervisor: Supervisor
) -> dict[str, Any]:
    import os

    options: dict[str, Any] = {"rate": rate, "loop": loop, "prefix": f"firstlight:demo{os.getpid()}:"}
    if seconds is not None:
        options["seconds"] = seconds
    if file is None:
        return options | {"parameters": PHANTOM}
    options["file"] = str(file.absolute())
    if loop:  # odd half turns are mirrored about the axis: a wrong one would blur the slices
        center = find_center(file, supervisor)
        options |= {} if center is None else {"center": center}
    return options


def find_center(file: Path, supervisor: Supervisor) -> float | None:
    """The column of the rotation axis of a recorded scan; None if it does not reach over half a turn.

    Raises:
        StepFailed: The scan could not be read to its end.
        SourceError: No source knows the file.
    """
    from firstlight.jobs.defaults import source_of

    remark("Looking for the rotation axis of the scan …")
    steps = [{"use": "flat_field"}, {"use": "minus_log"}, {"use": "find_center"}]
    source = {"use": source_of(file), "path": str(file.absolute())}
    run = supervisor.start({"name": "axis of the demo", "source": source, "steps": steps})
    run.finished()
    found = run.report()["values"].get("find_center.center")
    supervisor.forget(run.id)
    if found is None:
        remark("The scan does not tell its axis: it is taken to be the middle column.")
    return None if found is None else float(found)


def job_for(told: dict[str, Any]) -> dict[str, Any]:
    """The demo's job, for what the simulator says about itself."""
    source = {"use": "pva", **{name: told[name] for name in ("image", "dark", "flat", "theta", "server")}}
    if told.get("frames"):
        source["frames"] = told["frames"]
    return {
        "name": "demo",
        "source": source,
        "steps": [
            {"use": "flat_field"},
            {"use": "minus_log"},
            {"use": "find_center", "emit": "2 s"},
            {"use": "live_slices", "name": "slices", "inputs": ["minus_log"], "center": {"from": "find_center.center"}},
            {"use": "latest", "name": "projection", "inputs": ["minus_log"]},
        ],
        "views": [
            {"of": "slices", "every": "0.1 s", "to": ["web"]},
            {"of": "projection", "every": "0.2 s", "to": ["web"]},
        ],
    }


def _show(
    supervisor: Supervisor,
    folder: Path,
    options: dict[str, Any],
    port: int | None,
    report: Path | None,
    *,
    browser: bool,
) -> int:
    """Start the three parts, watch, and end them in order; the exit code."""
    import webbrowser

    from .face import face
    from .follow import tell_end

    rest = face("rest")
    remark("Starting the simulated beamline …")
    simulator = _Simulator(folder, options)
    run = service = None
    try:
        told = simulator.ready()
        run = supervisor.start(job_for(told), report=report)
        service = _service(rest, port, supervisor)
        address = f"http://127.0.0.1:{service.port}/runs/{run.id}"
        remark(f"Open {address} to watch. Ctrl-C ends the demo.")
        if browser:
            webbrowser.open(address)
        try:
            _watch(run, simulator)
        except KeyboardInterrupt:
            remark("Stopping the simulator; what is on its way is worked on to the end.")
        simulator.stop()
        _drain(run)
        run.stop()
        return tell_end_of(run, tell_end)
    finally:
        simulator.stop()
        if run is not None:
            run.stop()
        if service is not None:
            service.stop()


def tell_end_of(run: RemoteRun, tell: Any) -> int:
    """Wait until a run that was asked to stop has ended, then say how."""
    from .follow import wait_until

    if not wait_until(run, lambda entry: entry.over, 120.0):
        run.kill()
        wait_until(run, lambda entry: entry.over, 10.0)
    return int(tell(run))


def _service(rest: Any, port: int | None, supervisor: Supervisor) -> Any:
    from firstlight.core.errors import FirstlightError

    try:
        return rest.ServiceThread(rest.Settings(port=PORT if port is None else port), supervisor)
    except FirstlightError:
        if port is not None:
            raise
        return rest.ServiceThread(rest.Settings(port=0), supervisor)


def _watch(run: RemoteRun, simulator: _Simulator) -> None:
    """Say how it gets on until the simulator or the run has ended."""
    import sys
    import time

    from .follow import status_line

    last = time.monotonic()
    terminal = sys.stderr.isatty()
    while simulator.runs and not run.entry().over:
        time.sleep(0.1)
        if time.monotonic() - last < (0.5 if terminal else _LINE):
            continue
        last = time.monotonic()
        line = status_line(run.status())
        if terminal:
            sys.stderr.write(f"\r\x1b[2K{line}")
            sys.stderr.flush()
        else:
            remark(line)
    if terminal:
        remark("")


def _drain(run: RemoteRun, longest: float = 60.0) -> None:
    """Wait until no frame is on its way or in a buffer."""
    import time

    begun = quiet_since = time.monotonic()
    before: Status | None = None
    while not run.entry().over and time.monotonic() - begun < longest:
        now = run.status()
        if before is None or now.counts != before.counts or now.queue_frames:
            quiet_since = time.monotonic()
        if time.monotonic() - quiet_since > _DRAINED:
            return
        before = now
        time.sleep(0.1)


class _Simulator:
    """The simulator's process."""

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        import json
        import os
        import subprocess
        import sys

        from .sim import PARENT

        self._ready = folder / "ready.json"
        self._output = folder / "simulator.txt"
        texts = {**options, "ready": str(self._ready)}
        arguments = [
            f"--{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in texts.items()
        ]
        with self._output.open("wb") as output:
            # a session of its own, so that Ctrl-C reaches us first: the simulator is to stop before the run
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "firstlight.cli.main", "sim", "pva", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, PARENT: str(os.getpid())},
            )

    @property
    def runs(self) -> bool:
        """True while the process is there."""
        return self._process.poll() is None

    def ready(self, timeout: float = 120.0) -> dict[str, Any]:
        """Wait until it serves; its channels.

        Raises:
            SourceError: It ended, or does not get ready.
        """
        import json
        import time

        from firstlight.core.errors import SourceError

        deadline = time.monotonic() + timeout
        while not self._ready.exists():
            if not self.runs or time.monotonic() > deadline:
                said = self._output.read_text(errors="replace").strip()[-1000:]
                raise SourceError(f"The simulator did not start. It says: {said or 'nothing'}")
            time.sleep(0.05)
        return json.loads(self._ready.read_text())

    def stop(self) -> None:
        """End it; harmless when it has ended."""
        import subprocess

        if self.runs:
            self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
