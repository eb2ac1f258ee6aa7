"""A run process whose run is made up: frames at a rate, two views, one step. For tests of what lies around a run."""

import sys
import threading
import time
from pathlib import Path

import numpy as np

from firstlight.core.chunk import Stream
from firstlight.core.errors import ChangeRefused, JobError, StepFailed, UnknownName
from firstlight.core.run import Change, Counts, Event, Result, Results, Status, StepInfo, ViewInfo
from firstlight.core.view import Shown
from firstlight.jobs.process import execute
from firstlight.jobs.store import RunFolder

SCHEMA = {"title": "Slices", "type": "object", "properties": {"z": {"type": "integer", "minimum": 0, "title": "Z"}}}


class FakeRun:
    """Satisfies the Run protocol. Parameters: frames, rate (per second), size (rows, columns), fail_at, die_at.

    With `hold_at` it waits at that frame until its parameter z is changed: it can not end before somebody has come.
    """

    def __init__(self, frames=50, rate=100.0, size=(48, 64), fail_at=None, die_at=None, nan=False, hold_at=None):
        self.frames, self.rate, self.size, self.nan = frames, rate, tuple(size), nan
        self.fail_at, self.die_at, self.hold_at = fail_at, die_at, hold_at
        self.changed = threading.Condition()
        self.done, self.state, self.error = 0, "running", None
        self.z = 5
        self.changes, self.happened = (), [Event("state", "The run has started.")]
        self.stopping = False
        self.image = np.arange(np.prod(self.size), dtype=np.float32).reshape(self.size)
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        while not self.stopping and (self.frames is None or self.done < self.frames):
            time.sleep(1 / self.rate)
            if self.die_at == self.done:
                sys.stderr.write("the fake run is about to fault\n")
                import os
                import signal

                os.kill(os.getpid(), signal.SIGKILL)
            if self.fail_at == self.done:
                return self.end("failed", f"step 'slices' (z=5) failed at frame {self.done}: the fake was told to")
            with self.changed:
                while self.hold_at == self.done and not (self.changes or self.stopping):
                    self.changed.wait(0.1)
                self.done += 1
                if self.done % 10 == 0:
                    self.happened.append(Event("log", f"{self.done} frames"))
                self.changed.notify_all()
        self.end("stopped" if self.stopping else "done", None)

    def end(self, state, error):
        with self.changed:
            self.state, self.error = state, error
            self.happened.append(Event("state", f"The run is {state}.", level="error" if error else "info"))
            self.changed.notify_all()

    @property
    def ended(self):
        return self.state in ("done", "failed", "stopped")

    @property
    def counts(self):
        expected = self.frames or self.done
        return Counts(expected=expected, done=self.done, waiting=expected - self.done)

    @property
    def views(self):
        height, width = self.size
        return (
            ViewInfo(
                "slices.xy", "slices", "xy", ("y", "x"), (height, width), "1/cm", (0.65, 0.65), "um", {"z": "slices.z"}
            ),
            ViewInfo("profile", "profile", "data", ("x",), (width,)),
        )

    def status(self):
        return Status(
            state=self.state, counts=self.counts, consumers={"slices": self.counts}, frames_per_second=self.rate,
            bytes_per_second=1e6, latency_ms={"p50": 1.0, "p95": 2.0, "p99": 3.0}, queue_bytes=10, queue_capacity=100, queue_frames=1,
            skipped={}, views=self.views, steps=(StepInfo("slices", "live_slices", {"z": self.z}, {}, True),),
            values={"find_center.center": np.float64(234.5), "odd.value": float("nan")}, changes=self.changes, error=self.error,
            result=None, progress=self.done / self.frames if self.frames else None,
            statistics={"slices": {"min": np.float32(-1.0), "max": float("inf")}}, faults={"slices": {"nan": {"frames": 3, "first": 17}}},
        )  # fmt: skip

    def view(self, name, *, after=-1, timeout=0.0):
        names = [view.name for view in self.views]
        if name not in names:
            raise UnknownName(f"There is no view '{name}'.", field="view", value=name, expected=" or ".join(names))
        with self.changed:
            self.changed.wait_for(lambda: self.done > max(after, 0) or self.ended, timeout)
            version = self.done
        if version <= max(after, 0):
            return None
        data = self.image[0] if name == "profile" else self.image + np.float32(1000 * self.z)
        if self.nan and data.ndim == 2:
            data = np.where(np.arange(len(data))[:, None] < 4, np.float32(np.nan), data)
        axes = ("x",) if name == "profile" else ("y", "x")
        stream = Stream(axes, dict(zip(axes, data.shape, strict=True)), "float32", arrival=0, unit="1/cm")
        return Shown(data, stream, version, id=version - 1, received=time.time(), coverage=0.5)

    def events(self, *, follow=True):
        seen = 0
        while True:
            with self.changed:
                if follow:
                    self.changed.wait_for(lambda seen=seen: len(self.happened) > seen or self.ended)
                fresh, over = self.happened[seen:], self.ended or not follow
            yield from fresh
            seen += len(fresh)
            if over and not fresh:
                return

    def set(self, changes):
        for step, values in changes.items():
            if step != "slices" or set(values) - {"z"}:
                raise UnknownName(f"There is no step '{step}'.", field="step", value=step, expected="slices")
            if not isinstance(values["z"], int) or values["z"] < 0:
                raise ChangeRefused(
                    "z is not valid.", field="slices.z", value=values["z"], expected="a whole number ≥ 0"
                )
            with self.changed:
                self.changes += (Change("slices", "z", self.z, values["z"], 0, self.done),)
                self.z = values["z"]
                self.changed.notify_all()
        return 0, self.done

    def stop(self):
        self.stopping = True

    def finished(self, timeout=None):
        with self.changed:
            if not self.changed.wait_for(lambda: self.ended, timeout):
                raise TimeoutError("not yet")
        if self.error:
            raise StepFailed(self.error)
        return Results({"slices.xy": Result(self.image, ("y", "x"))})

    def report(self):
        return {**self.counts.as_dict(), "frames_per_second": self.rate, "values": {"find_center.center": 234.5}}


def start(request, folder: RunFolder):
    """Make the run that a job's part `fake` describes."""
    job = request["job"]
    fake = dict(job.get("fake", {}))
    time.sleep(fake.pop("slow_start", 0.0))
    if "problems" in fake:
        raise JobError(fake["problems"])
    if fake.pop("broken", False):
        raise ValueError("nobody expected this")
    folder.write("job.json", job)
    folder.write("steps.json", {"slices": {"title": "Live slices", "summary": "Three planes.", "schema": SCHEMA}})
    return FakeRun(**fake)


if __name__ == "__main__":
    sys.exit(execute(RunFolder(Path(sys.argv[1])), start))
