"""The commands as a user types them: what they print and how they end, some in a process of their own."""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest
import yaml
from typer.testing import CliRunner

from firstlight.cli.main import app

GOOD = """
name: good
source: {use: phantom, columns: 64, rows: 4, angles: 90}
steps:
  - {use: flat_field}
  - {use: minus_log}
  - {use: fbp, name: volume}
sinks: [{use: hdf5, of: volume, path: OUT}]
"""
BAD = """
source: {use: phantom, columns: 3}
steps:
  - {use: flatfield}
  - {use: minus_log, nonsense: 1}
"""
pytestmark = pytest.mark.timeout(120)


@dataclass
class Done:
    """A command that has ended; the names are those of `subprocess.CompletedProcess`."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def empty_folder(tmp_path, monkeypatch):
    """Work in an empty folder, with a store of its own."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"FIRSTLIGHT_STATE": str(tmp_path / "state"), "COLUMNS": "140", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def firstlight(empty_folder):
    """Call the command inside this process, which spares its start."""

    def call(*arguments):
        done = CliRunner().invoke(app, [*map(str, arguments)])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Done(done.exit_code, done.stdout, done.stderr)

    return call


@pytest.fixture
def process(empty_folder):
    """Call the command in a process of its own."""

    def call(*arguments):
        command = [sys.executable, "-m", "firstlight.cli.main", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)

    return call


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.yaml"
    path.write_text(GOOD.replace("OUT", str(tmp_path / "out.h5")))
    return path


@pytest.fixture
def bad(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    return path


def test_run(process, good, tmp_path):
    done = process("run", good, "--set", "volume.filter=hann", "--report", "report.json")
    assert done.returncode == 0, done.stderr
    assert "done: 90 of 90 frames" in done.stderr
    assert str(tmp_path / "out.h5") in done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["expected"] == report["done"] == 90
    assert (tmp_path / "out.h5").exists()
    listed = json.loads(process("list", "runs", "--json").stdout)
    assert [(run["title"], run["state"]) for run in listed] == [("good", "done")]


def test_run_with_another_runner_as_json(process, good):
    done = process("run", good, "--runner", "naive", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["done"] == 90
    assert done.stderr == ""


@pytest.mark.parametrize("verb", ["run", "check"])
def test_all_mistakes_of_a_job_are_told(firstlight, bad, verb):
    done = firstlight(verb, bad)
    assert done.returncode == 2
    assert "3 mistakes" in done.stderr
    assert "Did you mean flat_field" in done.stderr
    assert "no parameter 'nonsense'" in done.stderr
    assert "Traceback" not in done.stderr


def test_only_a_part(firstlight, good):
    done = firstlight("run", good, "--only", "row=mid:mid+2", "--only", "angle=::2", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["expected"], report["done"], report["lost"], report["excluded"]) == (45, 45, 0, 0)


def test_check(firstlight, good, bad):
    done = firstlight("check", good)
    assert done.returncode == 0, done.stderr
    assert "volume" in done.stdout
    assert "z=4 × y=64 × x=64" in done.stdout
    assert "-- stage: gather minus_log.data" in done.stdout
    assert json.loads(firstlight("check", good, "--json").stdout)["ok"]
    answer = json.loads(firstlight("check", bad, "--json").stdout)
    assert len(answer["problems"]) == 3


def test_check_of_a_file_that_is_still_to_come_plans_what_it_can(firstlight, good, tmp_path):
    job = yaml.safe_load(good.read_text()) | {"source": {"use": "hdf5_live", "path": "later.h5", "frames": 90}}
    job["source"] |= {"darks": "entry/dark", "flats": "entry/flat"}
    (tmp_path / "live.yaml").write_text(yaml.safe_dump(job))
    done = firstlight("check", "live.yaml")
    assert done.returncode == 0, done.stderr
    assert "waits for: There is no such file. (path = 'later.h5')" in done.stdout
    assert "data [angle=90 × row=? × col=?]" in done.stdout
    assert "-- stage: gather minus_log.data" in done.stdout
    told = json.loads(firstlight("check", "live.yaml", "--json").stdout)
    assert told["ok"]
    assert "later.h5" in told["waits_for"]
    wrong = firstlight("check", "live.yaml", "--set", "volume.inputs=[source.nobody]")
    assert wrong.returncode == 2
    assert "the source has no stream 'nobody'" in wrong.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "none.yaml"], "does not exist"),
        (["run", "good.yaml", "--set", "nonsense"], "step.parameter=value"),
        (["run", "good.yaml", "--set", "nobody.x=1"], "there is no step 'nobody'"),
        (["run", "good.yaml", "--runner", "fast"], "no runner 'fast'"),
        (["run", "good.yaml", "--report", "nowhere/r.json"], "report can not be written"),
        (["demo", "--no-browser", "--report", "nowhere/r.json"], "report can not be written"),
        (["run", "good.yaml", "--only", "row"], "AXIS=START:STOP"),
        (["run", "good.yaml", "--only", "row=1", "--only", "row=2"], "one '--only' for each axis"),
        (["run", "good.yaml", "--only", "height=1"], "no axis 'height'"),
        (["check", "good.yaml", "--only", "row=3:9"], "leaves the axis; it has the positions 0 to 3"),
        (["show", "flatfield"], "Did you mean flat_field"),
        (["list", "things"], "no kind 'things'"),
        (["sim", "pva", "--colour", "red"], "no option '--colour'"),
        (["sim", "pva", "--rate", "fast"], "--rate"),
        (["sim", "pva", "none.h5"], "\n  file = 'none.h5' is no file"),
        (["sim", "nothing"], "no simulator 'nothing'"),
        (["reconstruct", "none.h5", "-o", "x.h5"], "no such file"),
        (["reconstruct", "good.yaml", "-o", "x.h5"], "No source recognises"),
        (["serve", "--host", "0.0.0.0"], "token"),
        (["serve", "--host", "0.0.0.0", "--token", "short"], "too short"),
        (["demo", "none.h5", "--no-browser"], "no such file"),
        (["nonsense"], "No such command"),
    ],
)
def test_bad_usage_ends_with_2_and_a_sentence(firstlight, good, arguments, told):
    done = firstlight(*arguments)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr


@pytest.mark.parametrize(("arguments", "told"), [(["run", "none.yaml"], "does not exist"), (["nonsense"], "No such")])
def test_a_process_ends_with_2_and_a_sentence(process, arguments, told):
    done = process(*arguments)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "is empty"), (b"\x89HDF\r\n\x1a\n" + bytes(500), "can not be opened"), (None, "this folder")],
)
def test_a_file_that_nobody_can_read_is_told_apart(firstlight, tmp_path, content, told):
    path = tmp_path / "scan.h5"
    path.mkdir() if content is None else path.write_bytes(content)
    done = firstlight("reconstruct", path, "-o", "x.h5")
    assert done.returncode == 2
    assert told in done.stderr


def test_an_output_that_exists_is_replaced_only_when_told(firstlight, good):
    assert firstlight("run", good).returncode == 0
    again = firstlight("run", good)
    assert again.returncode == 2
    assert "--set sink.overwrite=true" in again.stderr
    assert firstlight("run", good, "--set", "sink.overwrite=true").returncode == 0


def test_a_scan_too_short_for_a_center_says_what_to_do(firstlight, tmp_path):
    from firstlight.jobs.load import load_job
    from firstlight.jobs.start import start

    sink = {"use": "dxfile", "of": "source.data", "path": str(tmp_path / "short.h5")}
    start(load_job({"source": {"use": "phantom", "columns": 32, "rows": 2, "angles": 3}, "sinks": [sink]})).finished(60)
    done = firstlight("reconstruct", "short.h5", "-o", "x.h5")
    assert done.returncode == 1
    assert "fbp.center" in done.stderr


def test_a_job_that_is_no_text_is_told(firstlight, tmp_path):
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    done = firstlight("check", "picture.png")
    assert done.returncode == 2
    assert "is no text" in done.stderr


@pytest.mark.slow
def test_the_demo_of_a_scan_without_axis_says_so_and_plays(firstlight, tmp_path):
    from firstlight.jobs.load import load_job
    from firstlight.jobs.start import start

    sink = {"use": "dxfile", "of": "source.data", "path": str(tmp_path / "short.h5")}
    start(load_job({"source": {"use": "phantom", "columns": 32, "rows": 2, "angles": 3}, "sinks": [sink]})).finished(60)
    done = firstlight("demo", "short.h5", "--no-browser", "--seconds", "2", "--no-loop")
    assert done.returncode == 0, done.stderr
    done = firstlight("demo", "short.h5", "--no-browser", "--seconds", "2")
    assert done.returncode == 0, done.stderr
    assert "taken to be the middle" in done.stderr


def test_debug_shows_where(process):
    assert "Traceback" in process("--debug", "run", "none.yaml").stderr


def test_a_run_that_fails_ends_with_1(process, good):
    done = process("run", good, "--set", "source.rows=4", "--set", "runner.memory=1")
    assert done.returncode in (0, 1, 2)  # whether so little memory suffices is the runner's to say
    assert "Traceback" not in done.stderr


def test_list_loads_nothing_heavy():
    code = "import sys; sys.argv = ['firstlight', 'list', 'operators']\nfrom firstlight.cli.main import app\ntry: app()\nexcept SystemExit: pass\n"
    code += "heavy = {'numba', 'scipy', 'h5py', 'cupy', 'torch', 'fastapi', 'finufft'} & set(sys.modules)\nsys.exit(str(heavy) if heavy else 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "flat_field" in done.stdout


@pytest.mark.parametrize("kind", ["steps", "operators", "sources", "sinks", "views", "runners", "simulators"])
def test_every_plugin_is_listed_with_a_summary(firstlight, kind):
    found = json.loads(firstlight("list", kind, "--json").stdout)
    assert found
    assert all(item["name"] and item["summary"] for item in found), found


def test_show(firstlight):
    text = firstlight("show", "flat_field").stdout
    assert "row col" in text
    assert "gets what lies between" in " ".join(text.split())
    assert "Args:" not in text
    found = json.loads(firstlight("show", "find_center", "--json").stdout)
    assert found["kind"] == "operator"
    assert found["schema"]["properties"]
    assert len(json.loads(firstlight("show", "pva", "--json").stdout)) >= 2


def test_doctor(firstlight):
    found = json.loads(firstlight("doctor", "--json").stdout)
    names = {item["name"] for item in found}
    assert {"python", "threads", "memory", "gpu", "disk", "port 8000", "extra epics"} <= names
    assert all(item["state"] in ("ok", "absent", "bad") for item in found)


def test_reconstruct_the_tooth(process, tooth, tmp_path):
    import h5py

    done = process("reconstruct", tooth, "-o", "tooth_rec.h5", "--report", "r.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["values"]["find_center.center"] == pytest.approx(296.0, abs=0.5)
    with h5py.File(tmp_path / "tooth_rec.h5") as file:
        group = file
        while "default" in group.attrs:
            group = group[group.attrs["default"]]
        assert group[group.attrs["signal"]].shape == (2, 640, 640)


def test_starting_is_quick():
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "firstlight.cli.main", "--version"], check=True, capture_output=True)
    code = "import firstlight.cli.main, sys; sys.exit(bool({'numba', 'fastapi', 'scipy', 'rich'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert time.perf_counter() - begun < 10


def test_in_a_terminal_bars_show_each_consumer_and_nothing_else(good, tmp_path):
    import pty

    environment = {**os.environ, "FIRSTLIGHT_STATE": str(tmp_path / "state"), "COLUMNS": "140", "TERM": "xterm"}
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "firstlight.cli.main", "run", str(good), "--set", "source.rate=40"]
    with subprocess.Popen(command, env=environment, stderr=slave, stdout=slave, cwd=tmp_path) as child:
        os.close(slave)
        shown = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:  # the other end was closed
                break
            if not piece:
                break
            shown += piece
        os.close(master)
    assert child.returncode == 0
    known = shown.decode().partition("volume ")[2]
    assert "/90" in known
    assert "0/?" not in known


def test_sweep_names_the_best_and_draws(firstlight, good, tmp_path):
    done = firstlight(
        "sweep",
        good,
        "volume.center=29:34:0.5",
        "--only",
        "row=mid",
        "-o",
        "sweep.h5",
        "--report",
        "r.json",
        "--statistics",
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["best"] == {"volume.center": 31.5}
    assert "best by entropy: volume.center = 31.5" in done.stderr
    assert report["statistics"]["volume"]["values"] == 11 * 64 * 64
    assert (tmp_path / "sweep_sheet.png").read_bytes().startswith(b"\x89PNG")
    again = firstlight("run", "--again", "sweep.h5", "-o", "more/again.h5", "--set", "volume.filter=hann")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "more" / "again.h5").exists()
    assert (tmp_path / "more" / "again_sheet.png").exists()


def test_snapshots_and_warnings(firstlight, good, tmp_path):
    done = firstlight(
        "run", good, "--set", "source.zingers=40", "--snapshot", "minus_log", "--snapshot", "volume=v.png"
    )
    assert done.returncode == 0, done.stderr
    assert "warning: source.data: " in done.stderr
    assert re.search(r"source\.data: frame \d+ is saturated: pixels have the largest value of their type", done.stderr)
    for step, picture in (("minus_log", "minus_log.tif"), ("volume", "v.png")):
        assert (tmp_path / picture).exists()
        assert re.search(rf"picture of {step}.*: .*{picture}", done.stderr), done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["sweep", "none.h5", "fbp.center=1:2:1", "-o", "x.h5"], "There is no 'none.h5'"),
        (["sweep", "good.yaml", "volume.center", "-o", "x.h5"], "step.parameter=value"),
        (["sweep", "good.yaml", "volume.center=2:1:1", "-o", "x.h5"], "start:stop:step"),
        (["sweep", "good.yaml", "nobody.center=1:2:1", "-o", "x.h5"], "no step 'nobody'"),
        (["sweep", "good.yaml", "volume.center=1:2:1", "-o", "x.xyz"], "No sink writes this ending"),
        (["sweep", "good.yaml", "volume.center=1:2:1", "-o", "x.h5", "--metric", "beauty"], "metric = 'beauty'"),
        (["sweep", "good.yaml", "volume.center=1:2:1", "-o", "s3://scans/x.h5"], "is an address"),
        (["run"], "one of the two"),
        (["run", "good.yaml", "--again", "x.h5"], "one of the two"),
        (["run", "--again", "none.h5"], "no such result"),
        (["run", "good.yaml", "-o", "x.xyz"], "No sink writes this ending"),
        (["run", "two.yaml", "-o", "x.h5"], "a job with one output"),
        (["run", "good.yaml", "--snapshot", "volume=x.jpg"], "snapshot 1"),
    ],
)
def test_bad_usage_of_sweep_again_and_snapshot(firstlight, good, arguments, told, tmp_path):
    sinks = "sinks: [{use: hdf5, of: volume, path: a.h5}, {use: hdf5, of: volume, path: b.h5}]\n"
    (tmp_path / "two.yaml").write_text(good.read_text().partition("sinks:")[0] + sinks)
    done = firstlight(*arguments)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr


def test_the_output_of_a_job_goes_where_it_is_told(firstlight, good, tmp_path):
    """Another ending is another sink; a job without a sink gets one for its last step."""
    done = firstlight("run", good, "-o", "elsewhere", "--set", "volume.filter=hann")
    assert done.returncode == 0, done.stderr
    assert any((tmp_path / "elsewhere").glob("*.tif"))
    job = yaml.safe_load((tmp_path / "good.yaml").read_text())
    (tmp_path / "bare.yaml").write_text(yaml.safe_dump({name: job[name] for name in job if name != "sinks"}))
    assert firstlight("run", "bare.yaml", "-o", "bare.nxs").returncode == 0
    assert (tmp_path / "bare.nxs").is_file()


def test_a_failed_run_says_what_is_left_and_how_to_write_there_again(firstlight, good):
    job = yaml.safe_load(good.read_text())
    job["steps"].insert(2, {"use": "call", "function": "numpy.linalg.inv", "axes": "row col -> row col"})  # 4 × 64
    good.write_text(yaml.safe_dump(job))
    done = firstlight("run", good)
    assert done.returncode == 1, done.stderr
    assert "unfinished:" in done.stderr
    assert "--set sink.overwrite=true" in done.stderr


def test_a_file_that_the_simulator_can_not_play_is_a_wrong_command(firstlight, tmp_path):
    (tmp_path / "noise.h5").write_bytes(b"no scan at all")
    done = firstlight("sim", "pva", "noise.h5")
    assert done.returncode == 2
    assert "noise.h5" in done.stderr
