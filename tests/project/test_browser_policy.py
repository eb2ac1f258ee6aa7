"""Browser tests are skipped with a reason where there is no browser, and fail where they may not be skipped."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEST = "import pytest\n\n@pytest.mark.browser\ndef test_page(): pass\n"


@pytest.mark.parametrize(("required", "outcome"), [("0", "1 skipped"), ("1", "1 error")])
def test_without_chromium(tmp_path, required, outcome):
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_page.py").write_text(TEST)
    environment = {**os.environ, "PATH": str(tmp_path), "FIRSTLIGHT_REQUIRE_BROWSER": required}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # to import them all takes seconds
    command = [
        sys.executable,
        "-m",
        "pytest",
        *("-p", "no:cacheprovider", "-p", "pytest_timeout"),
        "-c",
        str(ROOT / "pyproject.toml"),
        str(tmp_path),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert outcome in done.stdout, done.stdout + done.stderr
    assert "apt-get install chromium" in done.stdout
