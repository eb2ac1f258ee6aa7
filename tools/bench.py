"""Run the benchmarks, with one virtual environment for each peer that they compare with.

Peers cannot share an environment (their bounds on numpy exclude each other), so each `requirements/peers/NAME.txt`
becomes `PEERS/NAME`. Benchmarks get the folder in the environment variable `PEERS`, run a peer with
`PEERS/NAME/bin/python`, and say so when one is not there.
"""

import argparse
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements" / "peers"
SOURCE_LINE = "# source: "
"""First line of a requirements file whose peer must be installed from a folder that this environment variable names."""


def main() -> int:
    """Make what environments are missing, then run the benchmarks named (all of them without a name)."""
    options = command_line().parse_args()
    peers = options.peers.resolve()
    wanted = [] if options.no_peers else sorted(REQUIREMENTS.glob("*.txt"))
    missing = [path.stem for path in wanted if not ready(path, peers)]
    if missing:
        print(f"not installed, so not compared with: {', '.join(missing)}", flush=True)
    files = sorted((ROOT / "benchmarks").glob("*.py"))
    chosen = [path for path in files if not options.names or path.stem in options.names]
    unknown = set(options.names) - {path.stem for path in files}
    if unknown:
        print(
            f"no benchmark is called {', '.join(sorted(unknown))}; there are: {', '.join(path.stem for path in files)}"
        )
        return 2
    return max((run(path, peers) for path in chosen), default=0)


def command_line() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="benchmarks to run, such as 'fbp'; all of them without a name")
    parser.add_argument("--peers", type=Path, default=ROOT / ".peers", help="folder with one environment per peer")
    parser.add_argument("--no-peers", action="store_true", help="install no peers; use those that are there")
    return parser


def ready(requirements: Path, peers: Path) -> bool:
    """Make the environment of one peer unless it is there and fits its requirements; tell whether it can be used."""
    environment, wanted = peers / requirements.stem, requirements.read_text()
    stamp = environment / "installed.txt"
    if stamp.is_file() and stamp.read_text() == wanted:
        return True
    packages = ["--requirement", str(requirements)]
    if wanted.startswith(SOURCE_LINE):
        variable = wanted.splitlines()[0].removeprefix(SOURCE_LINE)
        if variable not in os.environ:
            print(f"{requirements.stem}: is built from source; set {variable} to its folder ({requirements.name})")
            return False
        packages.append(os.environ[variable])
    print(f"{requirements.stem}: installing into {environment} ...", flush=True)
    venv.create(environment, with_pip=True, clear=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    if subprocess.run([*pip, *packages], check=False).returncode:
        print(f"{requirements.stem}: pip failed; see its message above")
        return False
    stamp.write_text(wanted)
    return True


def run(benchmark: Path, peers: Path) -> int:
    """Run one benchmark in this interpreter's environment."""
    print(f"\n== {benchmark.stem}", flush=True)
    environment = {**os.environ, "PEERS": str(peers)}
    return subprocess.run([sys.executable, str(benchmark)], cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
