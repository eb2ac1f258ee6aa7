"""``firstlight demo [FILE]``: a simulated beamline, a live run and the web page, with one command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .demo_scans import OPEN, SCANS, DemoScan, ScanName
from .say import ReportOption, check_report, remark, verb

if TYPE_CHECKING:
    from firstlight.core.run import Status
    from firstlight.jobs.remote import RemoteRun
    from firstlight.jobs.supervise import Supervisor

PORT = 8000
_LINE = 3.0
"""Seconds between two lines on how it gets on."""
_DRAINED = 1.0
"""Seconds without another frame after which nothing is on its way any more."""


@verb
def demo(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="A recorded scan (DXfile, NXtomo; .npy; CXI); default: the phantom."),
    ] = None,
    scan: Annotated[
        ScanName,
        typer.Option(
            "--scan", help="What is measured: tomography, stem (4D-STEM; stem-merlin: by a Merlin) or ptychography."
        ),
    ] = "tomography",
    rate: Annotated[
        float | None, typer.Option("--rate", metavar="FPS", min=0.0, help="Frames per second; 0: as fast as it goes.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", metavar="N", min=0.1, help="End after this time; default: Ctrl-C.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="P", min=0, max=65535, help="Port of the web page.")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the web page.")] = True,
    report: ReportOption = None,
    loop: Annotated[
        bool,
        typer.Option(
            "--loop/--no-loop", help="After the last frame turn on, or leave the scan open to be looked into."
        ),
    ] = True,
) -> None:
    """Watch a sample appear: a simulated detector streams a scan, a live run reconstructs it, a web page shows it."""
    import tempfile

    from firstlight.core import registry
    from firstlight.jobs.supervise import Supervisor

    check_report(report)
    shown = SCANS[scan]
    registry.get("simulators", shown.simulator)  # says which extra is missing, before anything is started
    supervisor = Supervisor()
    with tempfile.TemporaryDirectory(prefix="firstlight-demo-") as folder:
        try:
            options = shown.options(file) | {"rate": shown.rate if rate is None else rate}
            if shown.turns:
                options |= _turning(file, seconds, loop=loop, supervisor=supervisor)
            demo = _Demo(supervisor, Path(folder), shown, file, options, port, report, browser, loop, seconds)
            code = demo.show()
        finally:
            supervisor.close()
    raise typer.Exit(code)


def _turning(file: Path | None, seconds: float | None, *, loop: bool, supervisor: Supervisor) -> dict[str, Any]:
    """Options of a simulator that goes on turning."""
    import os

    options: dict[str, Any] = {"loop": loop, "prefix": f"firstlight:demo{os.getpid()}:"}
    if seconds is not None:
        options["seconds"] = seconds
    if file is not None and loop:  # odd half turns are mirrored about the axis: a wrong one would blur the slices
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


@dataclass
class _Demo:
    """Simulator, run and page together."""

    supervisor: Supervisor
    folder: Path
    scan: DemoScan
    file: Path | None
    options: dict[str, Any]
    port: int | None
    report: Path | None
    browser: bool
    loop: bool
    seconds: float | None

    def job(self, told: dict[str, Any]) -> dict[str, Any]:
        """For what the simulator tells about itself."""
        job = self.scan.job(told, self.file)
        stays = self.loop and not self.scan.turns
        return job | {"runner": {"linger": OPEN}} if stays else job

    def show(self) -> int:
        """Start the three parts, watch, and end them in order; the exit code."""
        import webbrowser

        from .face import face
        from .follow import tell_end

        rest = face("rest")
        remark("Starting the simulated beamline …")
        simulator = _Simulator(self.folder, self.scan.simulator, self.options)
        run = service = None
        try:
            run = self.supervisor.start(self.job(simulator.ready()), report=self.report)
            service = _service(rest, self.port, self.supervisor)
            address = f"http://127.0.0.1:{service.port}/runs/{run.id}"
            remark(f"Open {address} to watch. Ctrl-C ends the demo.")
            if not compiled():
                remark("The first run on a machine compiles its steps: slices come after half a minute or so.")
            if self.browser:
                webbrowser.open(address)
            try:
                goes_on = self._goes_on(simulator)
                _watch(run, goes_on)
                if self.loop:
                    _stay(run, goes_on)
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

    def _goes_on(self, simulator: _Simulator) -> Callable[[], bool]:
        """A turning scan goes on as long as its simulator, another until it is told to end."""
        import time

        if self.scan.turns:
            return lambda: simulator.runs
        end = float("inf") if self.seconds is None else time.monotonic() + self.seconds
        return lambda: time.monotonic() < end


def compiled() -> bool:
    """True if steps of an earlier run lie compiled where numba keeps them, unless it is told another place."""
    from importlib.util import find_spec

    kernels = find_spec("firstlight.kernels")
    folders = (kernels.submodule_search_locations or ()) if kernels else ()
    return any(found for folder in folders for found in Path(folder).glob("__pycache__/*.nbi"))


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


def _watch(run: RemoteRun, goes_on: Callable[[], bool]) -> None:
    """Say how it gets on until the scan or the run has ended."""
    import sys
    import time

    from .follow import status_line

    last = time.monotonic()
    terminal = sys.stderr.isatty()
    while goes_on() and not run.entry().over:
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


def _stay(run: RemoteRun, goes_on: Callable[[], bool]) -> None:
    """Keep the page of a run that is done."""
    import time

    if run.entry().state == "done" and goes_on():
        remark("The run is done; its page stays until Ctrl-C.")
        while goes_on():
            time.sleep(0.1)


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

    def __init__(self, folder: Path, kind: str, options: dict[str, Any]) -> None:
        import json
        import os
        import subprocess
        import sys

        from .sim import PARENT

        self._output = folder / "simulator.txt"
        arguments = [
            f"--{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in options.items()
        ]
        with self._output.open("wb") as output:
            # a session of its own, so that Ctrl-C reaches us first: the simulator is to stop before the run
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "firstlight.cli.main", "sim", kind, *arguments],
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
        """Wait until it serves; what it tells about itself.

        Raises:
            SourceError: It ended, or does not get ready.
        """
        import time

        from firstlight.core.errors import SourceError

        deadline = time.monotonic() + timeout
        while (told := self._told()) is None:
            if not self.runs or time.monotonic() > deadline:
                said = self._output.read_text(errors="replace").strip()[-1000:]
                raise SourceError(f"The simulator did not start. It says: {said or 'nothing'}")
            time.sleep(0.05)
        return told

    def _told(self) -> dict[str, Any] | None:
        """The line that it prints once it serves."""
        import json

        for line in self._output.read_text(errors="replace").splitlines(keepends=True):
            if line.startswith("{") and line.endswith("}\n"):
                return json.loads(line)
        return None

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
