"""One contender of `benchmarks/ptycho.py`, alive until its input ends: a reconstruction for every line it reads."""

from __future__ import annotations

import json
import logging
import sys
import time
import types
from typing import Any

import numpy as np

THREADS = 2


def firstlight(algorithm: str, data: Any, modes: int, rounds: int) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    from firstlight.kernels.ptycho.frames import Estimate, Frames
    from firstlight.kernels.ptycho.propagate import FarField
    from firstlight.operators.ptychography.engines import Round, engine_of

    frames = Frames(np.sqrt(data["counts"]), data["corners"], np.ones(data["counts"].shape[1:], bool))

    def run() -> tuple[float, float, Any]:
        estimate = Estimate(np.ones(tuple(data["size"]), np.complex64), data["probe"][:modes].copy())
        engine = engine_of(algorithm, object_step=0.9, probe_step=0.9, batch=None, noise="gaussian")  # type: ignore[arg-type]
        random = np.random.default_rng(0)
        with ThreadPoolExecutor(THREADS) as pool:
            begun, spent = time.perf_counter(), time.process_time()
            for number in range(rounds):
                given = Round(frames, FarField(), pool.map, THREADS, number > 0, random)
                engine.round(estimate, given)
            seconds, spent = time.perf_counter() - begun, time.process_time() - spent
        return seconds, spent, estimate.image

    return run


def ptychi(algorithm: str, data: Any, modes: int, rounds: int) -> Any:
    # pty-chi needs one class of torchvision, whose wheels do not load beside a CPU torch: a stub stands in
    vision, transforms = types.ModuleType("torchvision"), types.ModuleType("torchvision.transforms")
    transforms.GaussianBlur, vision.transforms = object, transforms  # type: ignore[attr-defined]
    sys.modules.update({"torchvision": vision, "torchvision.transforms": transforms})
    import ptychi.api as api
    import torch
    from ptychi.api.task import PtychographyTask

    torch.set_num_threads(THREADS)
    logging.disable(logging.INFO)
    kinds = {"epie": api.EPIEOptions, "rpie": api.RPIEOptions, "lsq": api.LSQMLOptions, "dm": api.DMOptions}
    window = data["counts"].shape[-1]
    places = data["corners"] + window / 2 - np.asarray(data["size"]) / 2

    def run() -> tuple[float, float, Any]:
        options = kinds[algorithm]()
        options.object_options.pixel_size_m = 1e-8
        options.object_options.optimizable = options.probe_options.optimizable = True
        if algorithm != "dm":
            options.object_options.step_size = options.probe_options.step_size = 1 if algorithm == "lsq" else 0.1
            options.reconstructor_options.batch_size = 40
        options.probe_position_options.optimizable = False
        options.reconstructor_options.default_device = api.Devices.CPU
        options.reconstructor_options.num_epochs = rounds
        task = PtychographyTask(
            options,
            diffraction_data=np.fft.fftshift(data["counts"], axes=(1, 2)),
            object_data=torch.ones((1, *(int(n) for n in data["size"])), dtype=torch.complex64),
            probe_data=torch.from_numpy(data["probe"][None, :modes].copy()),
            probe_position_x_px=torch.tensor(places[:, 1]),
            probe_position_y_px=torch.tensor(places[:, 0]),
        )
        begun, spent = time.perf_counter(), time.process_time()
        task.run()
        seconds, spent = time.perf_counter() - begun, time.process_time() - spent
        return seconds, spent, task.get_data_to_cpu("object", as_numpy=True)[0]

    return run


def main() -> None:
    name, path, modes, rounds, result = sys.argv[1:]
    library, algorithm = name.split("_")
    with np.load(path) as found:
        data = dict(found)
    try:
        run = {"firstlight": firstlight, "ptychi": ptychi}[library](algorithm, data, int(modes), int(rounds))
        run()
    except Exception as error:
        print(json.dumps({"absent": f"{type(error).__name__}: {error}"}), flush=True)
        return
    print(json.dumps({}), flush=True)
    for _ in sys.stdin:
        seconds, spent, image = run()
        np.save(result, image)
        print(json.dumps({"seconds": seconds, "spent": spent}), flush=True)


if __name__ == "__main__":
    main()
