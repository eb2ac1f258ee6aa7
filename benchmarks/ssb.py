"""Live single-side-band ptychography: frames per second of one core, beside the SSB_UDF of ptychography40 on LiberTEM.

The scan is the phantom of a phase object (64 x 64 points, 128 x 128 pixels, uint16). Both get the same frames and prepare what does
not depend on them beforehand; processor seconds of one thread count, so that other work on the machine matters little. Ours gets a
scan line at a time, and once more a quarter of a line at a time. Both phases are compared with the truth.

    python benchmarks/ssb.py [--points 64] [--peers .peers]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl

from firstlight.core import registry
from firstlight.core.chunk import Chunk, Scan
from firstlight.kernels.electron_optics import wavelength

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "ssb.json"
SIZE = 128
APERTURE = 24.0
"""Half angle in mrad; a pixel of the phantom is about 1 mrad."""
CENTER = ((SIZE - 1) / 2, (SIZE - 1) / 2)


def main() -> int:
    """Measure ours and the peer's, and compare the phases."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--points", type=int, default=64, help="points of a line, and lines")
    parser.add_argument("--peers", type=Path, default=Path(os.environ.get("PEERS", HERE.parent / ".peers")))
    options = parser.parse_args()
    phantom = registry.get("sources", "phantom_stem")(
        scan_y=options.points, scan_x=options.points, pixels=SIZE, aperture=APERTURE
    )
    scan, frames = phantom.open(), phantom.read({})
    truth = phantom.truth().phase
    with threadpoolctl.threadpool_limits(1):
        ours: dict[str, Any] = {
            f"{n}_frames": _ours(scan, frames, n, truth) for n in (options.points, options.points // 4)
        }
    result: dict[str, Any] = {"points": options.points, "pixels": SIZE, "ours_by_chunk": ours}
    python = options.peers / "libertem-live" / "bin" / "python"
    if python.exists():
        result["ptychography40"] = _peer(python, scan, frames, truth)
        first = ours[f"{options.points}_frames"]
        result["ratio"] = round(first["frames_per_second"] / result["ptychography40"]["frames_per_second"], 1)
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    result |= {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "load_before": round(os.getloadavg()[0], 1),
        "date": time.strftime("%Y-%m-%d"),
        "command": " ".join(["python", "benchmarks/ssb.py", *sys.argv[1:]]),
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def _ours(scan: Scan, frames: np.ndarray, size: int, truth: np.ndarray) -> dict[str, Any]:
    step = registry.get("operators", "ssb")(center=CENTER).calibrated(scan)
    flat = frames.reshape(-1, *frames.shape[-2:])
    seconds = []
    for _ in range(3):
        state = step.empty(scan)
        used = time.process_time()
        for begin in range(0, len(flat), size):
            ids = np.arange(begin, begin + size, dtype=np.int64)
            step.add(state, Chunk(flat[begin : begin + size], ("row", "col"), ids))
        phase = step.result(state)["phase"]
        seconds.append(time.process_time() - used)
    found = {"frames_per_second": round(len(flat) / min(seconds[1:]))}
    return found | {"correlation_with_truth": _correlation(phase, truth)}


def _peer(python: Path, scan: Scan, frames: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    told = {name: scan.calibration[name] for name in ("energy", "aperture", "detector_angle", "step_y", "step_x")}
    angle = told["aperture"].to("mrad") * 1e-3
    given = {
        "lamb": wavelength(told["energy"].to("keV")),
        "dpix": [told["step_y"].to("nm") * 1e-9, told["step_x"].to("nm") * 1e-9],
        "semiconv": angle,
        "semiconv_pix": angle / (told["detector_angle"].to("mrad") * 1e-3),
        "cy": CENTER[0],
        "cx": CENTER[1],
    }
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "frames.npy", frames)
        command = [python, HERE / "peers" / "ssb_worker.py", Path(folder) / "frames.npy", json.dumps(given)]
        command += [Path(folder) / "phase.npy"]
        threads = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        done = subprocess.run(
            list(map(str, command)),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            env={**os.environ, **threads},
        )
        if done.returncode:
            raise SystemExit(done.stderr[-2000:])
        phase = np.load(Path(folder) / "phase.npy")
    seconds = json.loads(done.stdout.splitlines()[-1])["seconds"]
    count = frames.shape[0] * frames.shape[1]
    return {"frames_per_second": round(count / seconds), "correlation_with_truth": _correlation(phase, truth)}


def _correlation(phase: np.ndarray, truth: np.ndarray) -> float:
    return round(float(np.corrcoef(phase.ravel(), truth.ravel())[0, 1]), 4)


if __name__ == "__main__":
    sys.exit(main())
