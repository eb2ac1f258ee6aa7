"""What every test may rely on: loopback only, real data where it is, and honest reasons for what is skipped."""

import os
import shutil
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Nothing a test starts may be seen by, or look for, a machine other than this one.
LOOPBACK = {
    "EPICS_PVA_ADDR_LIST": "127.0.0.1",
    "EPICS_PVA_AUTO_ADDR_LIST": "NO",
    "EPICS_PVAS_INTF_ADDR_LIST": "127.0.0.1",
    "EPICS_PVAS_BEACON_ADDR_LIST": "127.0.0.1",
    "EPICS_PVAS_AUTO_BEACON_ADDR_LIST": "NO",
    "EPICS_CA_ADDR_LIST": "127.0.0.1",
    "EPICS_CA_AUTO_ADDR_LIST": "NO",
    "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
    "EPICS_CAS_BEACON_ADDR_LIST": "127.0.0.1",
}
os.environ.update(LOOPBACK)

# A shell that starts the tests in the background tells them, and all that they start, to ignore Ctrl-C: some test that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The first call of a compiled loop takes seconds, and machines are shared: time says nothing about an example.
settings.register_profile("firstlight", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# CI tries the same examples each time, so that what it says is about the change; everybody else tries new ones.
settings.register_profile("ci", settings.get_profile("firstlight"), derandomize=True)
settings.load_profile(os.environ.get("FIRSTLIGHT_EXAMPLES", "firstlight"))


# What runs in a part of its own (Makefile). A file says so itself: see --saying.
APART = ("alone", "browser", "heavy", "slow")
# Servers of PVA hear each other's names on one machine: these files run one after the other, beside other tests.
SERVE_NAMES = (
    "tests/connectors/pva/",
    "tests/system/test_demo.py",
    "tests/system/test_faults.py",
    "tests/system/test_pva_view.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --saying: to import all files takes half a minute of each part of the tests."""
    parser.addoption(
        "--saying", metavar="MARK,...", default="", help="import files alone whose text has one of these marks"
    )


def says(path: Path, marks: Iterable[str]) -> bool:
    """Tell whether a file gives one of the marks to a test."""
    text = path.read_text()
    return any(f"mark.{mark}" in text for mark in marks)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave files out that do not say what is asked for."""
    wanted = config.option.saying
    if wanted and collection_path.name.startswith("test_") and not says(collection_path, wanted.split(",")):
        return True
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each file to one worker: what it prepares and compiles is then made once."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "serve names" if nodeid.startswith(SERVE_NAMES) else nodeid.partition("::")[0]

    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what must run alone, and skip, with the reason, what this machine lacks."""
    for path, part in {(item.path, mark.name) for item in items for mark in item.iter_markers() if mark.name in APART}:
        if not says(path, [part]):
            raise pytest.UsageError(f"{path} has tests of the part {part!r}: write mark.{part} in it (see --saying)")
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.alone)
        if item.get_closest_marker("gpu") and not has_cuda():
            item.add_marker(
                pytest.mark.skip(reason="no CUDA device on this machine (or the extra 'gpu' is not installed)")
            )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip browser tests without Chromium, or fail them where the environment says that they must run."""
    if item.get_closest_marker("browser") is None or chromium() is not None:
        return
    reason = (
        f"no Chromium on this machine (looked for {', '.join(CHROMIUM_NAMES)}); on Debian: apt-get install chromium"
    )
    if os.environ.get("FIRSTLIGHT_REQUIRE_BROWSER") == "1":
        pytest.fail(f"{reason}. FIRSTLIGHT_REQUIRE_BROWSER=1 forbids skipping browser tests", pytrace=False)
    pytest.skip(reason)


def chromium() -> str | None:
    """Find the browser that the machine has installed."""
    return next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


def has_cuda() -> bool:
    """Tell whether kernels can run on a real device."""
    from firstlight.kernels.cuda import arrays

    return arrays.present() and not arrays.simulated()


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of the Chromium executable, for Playwright's `executable_path`."""
    path = chromium()
    if path is None:
        pytest.fail("a test that uses 'chromium_path' must be marked with @pytest.mark.browser")
    return path


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Folder of real recordings: `FIRSTLIGHT_DATA`, or `../shared/data` beside the repository; skips without it."""
    named = os.environ.get("FIRSTLIGHT_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if folder.is_dir():
        return folder
    if named:
        pytest.fail(
            f"FIRSTLIGHT_DATA={named} is no folder; expected the folder that holds tomography/tooth.h5", pytrace=False
        )
    pytest.skip("no real data: neither FIRSTLIGHT_DATA nor ../shared/data beside the repository is there")


@pytest.fixture(scope="session")
def tooth(data_folder: Path) -> Path:
    """The real tomography scan `tomography/tooth.h5` (DXfile, two rows, 181 angles); skips without it."""
    path = data_folder / "tomography" / "tooth.h5"
    if not path.is_file():
        pytest.skip(f"no real data: {path.name} is not in {data_folder / 'tomography'}")
    return path
