"""Filtered back-projection beside its peers: seconds a slice, and error against the truth.

Claims: faster than every peer at equal or better accuracy, faster than unpadded gridrec too, and within 1.6 times the
bare FFTs of the algorithm. Every contender is a process that stays alive; in each of five rounds all run in turn, on
the same float32 sinograms with two threads; medians are compared. Peers live in environments of their own under PEERS
(`make bench` makes them); what is absent is said. tomopy must be built from source; where that is not possible, the
algorithm of its `gridrec.c` alone, with FFTW for MKL and compiled with `-O3 -march=native -ffast-math` to
PEERS/gridrec/libgridrec.so, stands for it (`gridrec_alone`). The axis of scikit-image's iradon lies half a pixel from
the others', so its error is not comparable.

    PEERS=folder python benchmarks/fbp.py [--size 2048] [--angles 1500] [--slices 16] [--only NAME ...] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firstlight.kernels.ellipsoids import (
    SHEPP_LOGAN_CYLINDERS,
    ellipsoid_table,
    line_integrals,
    plane_coordinates,
    voxels,
)

HERE = Path(__file__).resolve().parent
LIMIT = 1.6
CONTENDERS = {  # name: environment under PEERS; "" is this one
    "firstlight": "",
    "bare_ffts": "",
    "bare_ffts_in_place": "",
    "finufft": "",
    "gridrec": "tomopy",
    "gridrec_padded": "tomopy",
    "gridrec_alone": "",
    "gridrec_alone_padded": "",
    "algotom_fbp": "algotom",
    "algotom_dfi": "algotom",
    "astra": "astra",
    "skimage": "astra",
}
BOUNDS = ("bare_ffts", "bare_ffts_in_place")


class Contender:
    """A process that reconstructs once for every line it is sent."""

    def __init__(self, name: str, peers: Path, data: Path, slices: int) -> None:
        """Start it and wait until it is warm; `absent` is the reason if it cannot run."""
        self.name, self.result, self.absent = name, data.with_name(f"{name}.npy"), ""
        self.seconds: list[float] = []
        home = CONTENDERS[name]
        python = str(peers / home / "bin" / "python") if home else sys.executable
        self.process: subprocess.Popen[str] | None = None
        if not Path(python).exists():
            self.absent = f"no environment {home!r} under PEERS"
            return
        threads = dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "2"
        )
        command = [python, str(HERE / "peers" / "fbp_worker.py"), name, str(data), str(slices), str(self.result)]
        environment = {**os.environ, **threads, "PEERS": str(peers)}
        if home:  # tomopy's own shared library lies in its environment
            environment["LD_LIBRARY_PATH"] = str(peers / home / "lib")
        self.process = subprocess.Popen(
            command,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.absent = self._answer().get("absent", "")

    def _answer(self) -> dict[str, Any]:
        """Next line of JSON; anything else that a peer prints is passed over."""
        stream = self.process.stdout if self.process else None
        for line in stream or ():
            if line.startswith("{"):
                return json.loads(line)
        return {"absent": "the process ended"}

    def run(self) -> None:
        """Reconstruct once and note the seconds a slice."""
        if self.process is None or self.process.stdin is None or self.absent:
            return
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = self._answer()
        self.absent = answer.get("absent", "")
        if "seconds" in answer:
            self.seconds.append(answer["seconds"])

    def close(self) -> None:
        """End the process."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
            self.process.wait(30)


def write_data(path: Path, size: int, angles: int) -> NDArray[np.float32]:
    """Write the phantom's sinogram, averaged over detector pixels, and return the truth, averaged over pixels."""
    theta = np.arange(angles) * np.pi / angles
    table = ellipsoid_table(SHEPP_LOGAN_CYLINDERS, size / 2)
    np.savez(path, sinogram=line_integrals(table, theta, [0.0], size, rays=(1, 4))[:, 0], theta=theta)
    x = plane_coordinates(size)
    return voxels(table, [0.0], x[::-1], x, points=(1, 4, 4))[0]


def error(picture: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """Relative RMS within 0.45 of the width, in the orientation of the eight that fits best."""
    place = np.arange(truth.shape[0]) - (truth.shape[0] - 1) / 2
    inside = np.hypot(place[:, None], place[None, :]) <= 0.45 * truth.shape[0]
    views = [np.rot90(flipped, turns) for flipped in (picture, picture.T) for turns in range(4)]
    return min(float(np.sqrt(np.mean((v - truth)[inside] ** 2) / np.mean(truth[inside] ** 2))) for v in views)


def report(contenders: list[Contender], truth: NDArray[np.float32]) -> dict[str, Any]:
    """Medians, least, error, and the ratios that the claims are about."""
    rows: dict[str, dict[str, Any]] = {}
    for one in contenders:
        if one.absent or not one.seconds:
            rows[one.name] = {"absent": one.absent}
            continue
        row = {"median": statistics.median(one.seconds), "least": min(one.seconds), "runs": len(one.seconds)}
        rows[one.name] = {key: round(value, 4) for key, value in row.items()}
        if one.result.exists():
            rows[one.name]["error"] = round(error(np.load(one.result), truth), 4)
    ours = next((one for one in contenders if one.name == "firstlight"), None)
    ratios: dict[str, dict[str, float]] = {}
    for one in contenders:
        if ours is None or not ours.seconds or one is ours or not one.seconds:
            continue
        top, bottom = (ours, one) if one.name in BOUNDS else (one, ours)
        pairs = [a / b for a, b in zip(top.seconds, bottom.seconds, strict=False)]
        key = f"firstlight_over_{one.name}" if one.name in BOUNDS else f"{one.name}_over_firstlight"
        ratios[key] = {
            "of_medians": round(statistics.median(top.seconds) / statistics.median(bottom.seconds), 3),
            "of_least": round(min(top.seconds) / min(bottom.seconds), 3),
            "median_of_rounds": round(statistics.median(pairs), 3),
        }
    return {"seconds_per_slice": rows, "ratios": ratios, "limit_over_bare_ffts": LIMIT}


def main() -> None:
    """Run all contenders in turn and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--angles", type=int, default=1500)
    parser.add_argument("--slices", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow-rounds", type=int, default=1, help="rounds of astra and skimage, a minute a slice")
    parser.add_argument("--only", nargs="*", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--peers", type=Path, default=Path(os.environ.get("PEERS", ".peers")))
    parser.add_argument("--output", type=Path, default=HERE / "results" / "fbp.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.npz"
        truth = write_data(data, options.size, options.angles)
        contenders = [Contender(name, options.peers.resolve(), data, options.slices) for name in options.only]
        for one in contenders:
            if one.absent:
                print(f"{one.name} is absent: {one.absent}", file=sys.stderr)
        for turn in range(options.rounds):
            for one in contenders:
                if one.name not in ("astra", "skimage") or turn < options.slow_rounds:
                    one.run()
        settings = {"size": options.size, "angles": options.angles, "slices": options.slices, "threads": 2}
        result = {**settings, "rounds": options.rounds, **report(contenders, truth)}
        for one in contenders:
            one.close()
    text = json.dumps(result, indent=2)
    print(text)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
