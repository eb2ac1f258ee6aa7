"""A run in another process: watched, steered, stopped, killed; and the one who watches killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from firstlight.core.errors import ChangeRefused, JobError, StepFailed, UnknownName
from firstlight.core.run import Run
from firstlight.jobs.crash import alive, reap
from firstlight.jobs.picture import Wanted
from firstlight.jobs.remote import RemoteRun, RunGone
from firstlight.jobs.store import RunFolder, Store, state_folder
from firstlight.jobs.supervise import Supervisor, started

pytestmark = pytest.mark.timeout(60)


def begin(supervisor, report=None, **fake):
    run = supervisor.start({"name": "made up", "fake": fake}, report=report)
    assert started(run, 20).state in ("running", "done", "failed", "stopped")
    return run


def known_to_disk(run):
    """What a crash leaves: frames were counted, and the log has a line of them."""
    status = run.folder.last_status()
    return status is not None and status.counts.done > 0 and any("frames" in line["text"] for line in run.folder.log())


def test_a_run_is_watched_to_its_end(supervisor, tmp_path):
    run = begin(supervisor, frames=40, report=tmp_path / "report.json")
    assert isinstance(run, Run)
    texts = [event.text for event in run.events()]
    assert texts[0] == "The run has started."
    assert texts[-1] == "The run is done."
    results = run.finished(30)
    assert results["slices"].data.shape == (48, 64)
    status = run.status()
    assert status.state == "done"
    assert status.counts.done == status.counts.expected == 40
    assert run.report()["done"] == 40
    assert (tmp_path / "report.json").exists()
    assert [entry.state for entry in supervisor.entries()] == ["done"]
    assert run.steps()["slices"]["schema"]["properties"]["z"]["minimum"] == 0


def test_a_connection_in_use_while_all_are_closed_is_closed_after_it(supervisor):
    run = begin(supervisor, frames=None, rate=1)
    seen = run.view("slices.xy", timeout=30).version
    asked = threading.Thread(target=run.view, args=("slices.xy",), kwargs={"after": seen, "timeout": 5})
    asked.start()
    while run._free and asked.is_alive():  # until the question has taken the connection
        time.sleep(0.005)
    run.close()
    asked.join(20)
    assert not run._free
    run.stop()


def test_views_arrive_while_the_run_goes_on(supervisor):
    run = begin(supervisor, frames=None, rate=50)
    first = run.view("slices.xy", timeout=30)
    second = run.view("slices.xy", after=first.version, timeout=30)
    assert second.version > first.version
    header, pixels = run.picture("slices.xy", Wanted(32, 24), timeout=30)
    assert pixels.shape == (24, 32)
    assert header["pixel_unit"] == "um"
    with pytest.raises(UnknownName, match=r"slices\.xy"):
        run.view("nonsense")
    run.stop()
    run.finished(30)
    assert run.status().state == "stopped"
    last = run.view("slices.xy")
    assert run.picture("slices.xy", Wanted(32, 24))[0]["version"] == last.version
    assert run.view("slices.xy", after=last.version, timeout=0) is None
    with pytest.raises(UnknownName):
        run.view("nonsense")


def test_parameters_change_while_it_runs(supervisor):
    run = begin(supervisor, frames=None)
    before = run.view("slices.xy", timeout=30).data[0, 0]
    _, frame = run.set({"slices": {"z": np.int64(9)}})
    after = run.view("slices.xy", timeout=30).data[0, 0]
    assert after - before == 4000
    assert run.status().changes[0].id == frame
    with pytest.raises(ChangeRefused, match="whole number"):
        run.set({"slices": {"z": -1}})
    with pytest.raises(UnknownName):
        run.set({"other": {"z": 1}})
    run.stop()
    run.finished(30)
    with pytest.raises(RunGone):
        run.set({"slices": {"z": 1}})


def test_many_threads_share_one_run(supervisor):
    run = begin(supervisor, frames=None, rate=200)
    problems = []

    def watch(number):
        version = -1
        try:
            for _ in range(20):
                header, pixels = run.picture("slices.xy", Wanted(10 + number, 10), after=version, timeout=30)
                assert header["version"] > version
                assert np.isfinite(pixels).all()
                version = header["version"]
                run.status()
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=watch, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems


def test_one_that_waits_holds_up_no_other(supervisor):
    run = begin(supervisor, frames=None, rate=0.01)
    waiting = threading.Thread(target=lambda: run.view("slices.xy", timeout=50))
    waiting.start()
    for _ in range(20):
        run.status()
    assert waiting.is_alive()
    run.kill()
    waiting.join()


def test_a_killed_process_is_a_crash_that_is_explained(supervisor):
    run = begin(supervisor, frames=None, rate=100)
    while not known_to_disk(run):
        time.sleep(0.02)
    run.kill()
    assert run.folder.entry().over  # noted at once, so that its time and cause are known to those who look later
    with pytest.raises(StepFailed, match="SIGKILL"):
        run.finished(30)
    entry = run.entry()
    assert entry.state == "crashed"
    assert "frames" in entry.error  # the last lines of its log
    status = run.status()
    assert status.state == "crashed"
    assert status.counts.done > 0  # as known a second before
    assert status.frames_per_second == 0


def test_a_process_that_dies_by_itself_says_what_it_printed(supervisor):
    run = begin(supervisor, frames=None, die_at=5)
    with pytest.raises(StepFailed, match="about to fault"):
        run.finished(30)


def test_a_crash_is_noticed_by_one_who_was_not_there(supervisor):
    run = begin(supervisor, frames=None)
    entry = run.entry()
    other = RemoteRun(RunFolder(run.folder.path))
    assert other.status().state == "running"
    os.kill(entry.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while other.entry().state == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert other.entry().state == "crashed"
    other.close()


def test_a_failing_step_is_told(supervisor):
    run = begin(supervisor, frames=50, fail_at=5)
    with pytest.raises(StepFailed, match="failed at frame 5"):
        run.finished(30)
    assert run.status().error == run.entry().error
    assert run.entry().state == "failed"


def test_mistakes_in_the_job_are_all_reported(supervisor):
    run = begin(supervisor, problems=["one", "two", "three"])
    with pytest.raises(JobError) as error:
        run.finished(30)
    assert error.value.problems == ["one", "two", "three"]
    assert "3. three" in run.status().error


def test_a_job_that_can_not_start(supervisor):
    run = begin(supervisor, broken=True)
    with pytest.raises(StepFailed, match="nobody expected this"):
        run.finished(30)


def test_a_run_is_stopped_while_it_loads(supervisor):
    run = supervisor.start({"fake": {"slow_start": 40}})
    assert run.status().state == "starting"
    run.stop()  # at once: Python may not even be up to hear the signal as a wish
    run.finished(30)
    assert run.entry().state == "stopped"


def test_sigterm_ends_a_run_in_order(supervisor):
    run = begin(supervisor, frames=None)
    run.view("slices.xy", timeout=30)
    os.kill(run.entry().pid, signal.SIGTERM)
    run.finished(30)
    assert run.entry().state == "stopped"
    assert run.report()["done"] > 0


def test_the_run_goes_on_when_its_starter_is_killed(tmp_path):
    fake = Path(__file__).with_name("fake_process.py")
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom firstlight.jobs.store import Store\nfrom firstlight.jobs.supervise import Supervisor, started\n"
        f"s = Supervisor(Store(Path({str(tmp_path)!r})), process=(sys.executable, {str(fake)!r}))\n"
        "r = s.start({'fake': {'frames': 150, 'rate': 500, 'hold_at': 100}})\nstarted(r, 20)\nprint(r.id, flush=True)\ntime.sleep(60)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    run_id = starter.stdout.readline().strip()
    starter.kill()
    starter.wait()
    starter.stdout.close()
    heir = Supervisor(Store(tmp_path))
    run = heir.run(run_id)
    entry = run.entry()
    assert run.status().state == "running"
    run.set({"slices": {"z": 3}})  # what it holds for
    run.finished(30)
    assert run.status().counts.done == 150
    assert [entry.state for entry in heir.entries()] == ["done"]
    heir.close()
    while alive(entry.pid, entry.born):  # no child of ours: nobody else waits for it
        time.sleep(0.01)


def test_the_socket_is_for_its_owner_alone(supervisor):
    run = begin(supervisor, frames=None)
    address = Path(run.entry().address)
    assert address.stat().st_mode & 0o777 == 0o600
    assert address.parent.stat().st_mode & 0o077 == 0
    run.stop()
    run.finished(30)
    deadline = time.monotonic() + 30
    while address.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not address.exists()


def test_long_paths_get_their_socket_elsewhere(tmp_path):
    store = Store(tmp_path / ("long" * 30))
    supervisor = Supervisor(store, process=(sys.executable, str(Path(__file__).with_name("fake_process.py"))))
    run = begin(supervisor, frames=None)
    assert len(run.entry().address) < 104
    assert run.status().state == "running"
    run.stop()
    run.finished(30)
    reap(run.id, 30)
    supervisor.close()


def test_rubbish_at_the_socket_harms_nobody(supervisor):
    import socket

    run = begin(supervisor, frames=None)
    for data in (
        b"\x00" * 100 + b"\n",
        b"[1]\n",
        b'{"bytes": 99999999999}\n',
        b'{"call": 3}\n',
        b'{"call": "view"}\n',
        b'{"call": "set", "changes": 3}\n',
    ):
        with socket.socket(socket.AF_UNIX) as connected:
            connected.settimeout(30)
            connected.connect(run.entry().address)
            connected.sendall(data)
            answer = connected.recv(65536)
            assert answer == b"" or b'"error"' in answer
    assert run.status().state == "running"


def test_the_store_lists_removes_and_forgets(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_STATE", str(tmp_path / "s"))
    assert state_folder() == tmp_path / "s"
    store = Store()
    folders = [store.create({}, f"run {number}") for number in range(4)]
    for folder in folders:
        folder.update(state="done")
    store.prune(keep=2)
    assert len(store.folders()) == 2
    for wrong in ("", "..", "../s", ".", "nothing", "/etc"):
        with pytest.raises(UnknownName):
            store.folder(wrong)


def test_a_process_number_that_was_given_to_another(tmp_path):
    assert alive(os.getpid(), None)
    assert not alive(os.getpid(), 1.0)
    folder = Store(tmp_path).create({}, "old")
    folder.write("process.json", {"pid": os.getpid(), "born": 1.0})
    folder.update(state="running")
    assert RemoteRun(folder).entry().state == "crashed"


def test_views_with_awkward_names_stay_in_the_folder(tmp_path, fake):
    folder = Store(tmp_path).create({}, "x")
    shown = fake.FakeRun(frames=1).view("slices.xy", timeout=30)
    folder.keep_view("../../etc/x", shown)
    assert folder.last_view("../../etc/x").version == shown.version
    assert [path.parent.name for path in folder.path.rglob("*.shown")] == ["views"]
