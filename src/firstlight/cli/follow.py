"""Watching a run from the terminal until it ends: bars where somebody looks, lines where nobody does."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from firstlight.core.errors import JobError, UnknownName
from firstlight.core.run import ENDED, Status
from firstlight.jobs.master import ENDING as LINKS
from firstlight.jobs.remarks import remarks_of
from firstlight.jobs.remote import RemoteRun
from firstlight.jobs.store import RunEntry, RunFolder
from firstlight.runners.checkpoint import can_go_on

from .entry import INTERRUPTED
from .say import DONE, FAILED, WRONG, complain, remark

_LOOK = 0.1
"""Seconds between two looks at a run."""
_LINE = 5.0
"""Seconds between two lines where there is no terminal."""


@contextmanager
def uninterrupted() -> Generator[None]:
    """Hold Ctrl-C back until something is whole, such as a run that is just being started."""
    pressed: list[int] = []
    try:
        before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    except ValueError:  # signals are the main thread's
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


def follow(run: RemoteRun, *, quiet: bool = False) -> int:
    """Show how a run gets on until it ends; Ctrl-C ends it in order, a second one at once.

    Returns:
        The exit code.
    """
    show = _quietly if quiet else _with_bars if sys.stderr.isatty() else _with_lines
    stopping = False
    while True:
        try:
            show(run)
            break
        except KeyboardInterrupt:
            if stopping:
                run.kill()
                remark("The run was ended at once; its files say what is missing.")
                return FAILED
            stopping = True
            remark("Stopping in order: what is done is written. Ctrl-C again ends it at once.")
            run.stop()
    return tell_end(run, quiet=quiet)


def tell_end(run: RemoteRun, *, quiet: bool = False) -> int:
    """Say how a run ended.

    Returns:
        The exit code.
    """
    entry = run.entry()
    try:
        run.finished(1.0)
    except (JobError, UnknownName) as error:
        complain(str(error))
        return WRONG
    except Exception as error:
        complain(str(error))
        left = run.status().result
        if left and not quiet:
            remark(
                f"unfinished: {left} holds what was written before, and says what is missing."
                " To write there again: --resume, or --set sink.overwrite=true."
            )
        return FAILED
    status = run.status()
    halted = entry.state == "stopped" and status.result is not None and can_go_on(status.result)
    if not quiet:
        remark(f"{entry.state}: {(unfinished_line(status) if halted else '') or counts_line(status)}")
        for name, value in status.values.items():
            if isinstance(value, (int, float)):
                remark(f"  {name} = {value:.6g}")
        for text in remarks_of(run.report()):
            remark(f"  warning: {text}")
        for line in statistics_lines(status):
            remark(line)
        if (following := run.folder.next()) is not None:
            remark(f"another scan began meanwhile: it is the run {following}")
        if status.result and not halted:
            remark(f"result: {status.result}")
            links = Path(status.result).with_name(Path(status.result).stem + LINKS)
            if _written_since(entry.started, links):
                remark(f"every step: {links}")
        for shot in run.folder.job().get("snapshots", ()):
            if _written_since(entry.started, Path(shot["path"])):
                remark(f"picture of {shot['of']}: {shot['path']}")
    if halted:
        remark(
            f"unfinished: {status.result} holds what was written before. The same command with --resume goes on there."
        )
    return INTERRUPTED if halted else DONE


def _written_since(moment: float, file: Path) -> bool:
    """True if a file is there, and no older than a time in Unix second."""
    return file.is_file() and file.stat().st_mtime >= moment


def _quietly(run: RemoteRun) -> None:
    while not run.entry().over:
        time.sleep(_LOOK)


def _with_lines(run: RemoteRun) -> None:
    last = time.monotonic()
    while not run.entry().over:
        time.sleep(_LOOK)
        if time.monotonic() - last >= _LINE:
            last = time.monotonic()
            status = run.status()
            if status.state not in ENDED:
                remark(starting_line(run.folder) if status.state == "starting" else status_line(status))


def _with_bars(run: RemoteRun) -> None:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bars: dict[str, TaskID] = {}
        while not run.entry().over:
            status = run.status()
            if status.consumers and "frames" in bars:  # it stood for them until they were known
                progress.remove_task(bars.pop("frames"))
            for name, counts in (dict(status.consumers) or {"frames": status.counts}).items():
                total = counts.expected or None
                if name not in bars:
                    bars[name] = progress.add_task(title(status, name), total=total, rate="")
                told = counts.done + counts.lost + counts.dropped + counts.rejected + counts.excluded
                begun = status.state != "starting"
                what, fast = (title(status, name), pace(status, name)) if begun else (starting_line(run.folder), "")
                progress.update(bars[name], description=what, completed=told, total=total, rate=fast)
            time.sleep(_LOOK)


def starting_line(folder: RunFolder) -> str:
    """What a run waits for that has not begun: for its source, or for the detector behind it."""
    source = (folder.read("job.json") or {}).get("source")
    if source is None:
        return "starting …"
    places = [f"{name}: {value}" for name, value in source.items() if name != "use" and isinstance(value, str | int)]
    named = f"{source['use']} ({', '.join(places[:2])})" if places else source["use"]
    doing = "listens, and waits for a scan to begin" if folder.listens() else "is being opened, or waited for"
    return f"starting: {named} {doing}"


def statistics_lines(status: Status) -> list[str]:
    """The statistics of each step as a table."""
    if not status.statistics:
        return []
    wide = max(map(len, status.statistics))
    names = ("min", "max", "mean", "std")
    lines = [f"  {'':{wide}}" + "".join(f"{name:>13}" for name in names) + f"{'nan':>10}"]
    for step, found in status.statistics.items():
        numbers = "".join(f"{'-' if found[name] is None else format(found[name], '.5g'):>13}" for name in names)
        lines.append(f"  {step:{wide}}{numbers}{found['nan'] + found['infinite']:>10}")
    return lines


def pace(status: Status, name: str) -> str:
    """How fast one stage goes, and what all wait for."""
    found = status.stages.get(name)
    if found is None:
        return rate(status)
    return f"{found['rate']:.3g}/s" + (f", bound by {status.bound}" if status.bound else "")


def title(status: Status, name: str) -> str:
    """What one stage counts."""
    found = str(status.stages.get(name, {}).get("title", name))
    return f"{found.removeprefix('sink ')} written" if found.startswith("sink ") else found


def left_line(status: Status) -> str:
    """What the run waits for, and about how long it takes."""
    times = [found["left"] for found in status.stages.values() if found.get("left") is not None]
    parts = [f"bound by {status.bound}"] if status.bound else []
    parts += [f"about {duration(max(times))} left"] if times and max(times) >= 1 else []
    return "".join(f", {part}" for part in parts)


def duration(seconds: float) -> str:
    """A time for people, not more exact than a guess is."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def rate(status: Status) -> str:
    """Frames and bytes a second, for people."""
    return f"{status.frames_per_second:.3g} frames/s, {status.bytes_per_second / 1e6:.3g} MB/s"


def counts_line(status: Status, *, apart: tuple[str, ...] = ()) -> str:
    """The counts of a run that are not zero, for people; without those that are told `apart`."""
    counts = status.counts.as_dict()
    parts = [f"{counts['done']} of {counts['expected']} frames"]
    left_out = ("done", "expected", *apart)
    return ", ".join(parts + [f"{number} {name}" for name, number in counts.items() if number and name not in left_out])


def status_line(status: Status) -> str:
    """One line on how a run gets on: with which frames, and once all have come, with which stages."""
    if status.state not in ("running", "draining"):
        return f"{status.state}: {counts_line(status)}" if status.counts.expected else f"{status.state} …"
    share = f", {100 * status.progress:.0f} %" if status.progress is not None else ""
    if working := working_line(status):
        return f"working: {working}{share}{left_line(status)}"
    return f"{status.state}: {counts_line(status, apart=('waiting',))}{share}, {rate(status)}{late(status)}{left_line(status)}"


def late(status: Status) -> str:
    """How long after its frames came a picture is ready, for 95 of 100; empty where nothing is shown."""
    found = (status.latency_ms or {}).get("p95")
    if found is None:
        return ""
    return f", {found:.0f} ms late (p95)" if found < 10_000 else f", {found / 1000:.0f} s late (p95)"


def working_line(status: Status) -> str:
    """How far the stages are that still have something to do, after the last frame; empty before."""
    if status.state != "draining" or status.counts.waiting:
        return ""
    return ", ".join(
        f"{title(status, name)} {found['done']} of {found['expected']}"
        for name, found in status.stages.items()
        if found["done"] < found["expected"]
    )


def unfinished_line(status: Status) -> str:
    """What was not done of a run that was stopped."""
    return ", ".join(
        f"{title(status, name)} {counts.expected - counts.waiting} of {counts.expected}"
        for name, counts in status.consumers.items()
        if counts.waiting
    )


def wait_until(run: RemoteRun, reached: Callable[[RunEntry], bool], timeout: float) -> bool:
    """Wait until a run's entry satisfies a condition, for at most `timeout` second."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if reached(run.entry()):
            return True
        time.sleep(0.05)
    return False
