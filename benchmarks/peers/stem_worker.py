"""LiberTEM's part of benchmarks/stem.py: does the case that it reads from its standard input, prints seconds.

python stem_worker.py POINTS THREADS RADII ANSWER
"""

import json
import sys
import time

import numpy as np
from libertem.api import Context
from libertem.udf.com import CoMUDF
from libertem.udf.masks import ApplyMasksUDF
from libertem.udf.sum import SumUDF

SIZE = 256


def main(points: int, threads: int, radii: list, answer: str) -> None:
    """Each case is one `run_udf`, on the default number of partitions of its executor."""
    frames = np.random.default_rng(0).poisson(3, (16, SIZE, SIZE)).astype(np.uint16)
    data = np.tile(frames, (points**2 // 16, 1, 1)).reshape(points, points, SIZE, SIZE)
    y, x = np.mgrid[:SIZE, :SIZE]
    radius = np.hypot(y - (SIZE - 1) / 2, x - (SIZE - 1) / 2)
    masks = [((radius >= a) & (radius <= b)).astype(np.float32) for a, b in radii]
    steps = {
        "sum": SumUDF(),
        "masks": ApplyMasksUDF(mask_factories=[lambda m=m: m for m in masks]),
        "com": CoMUDF.with_params(cy=(SIZE - 1) / 2, cx=(SIZE - 1) / 2),
    }
    with Context.make_with("threads", cpus=threads) as context:
        dataset = context.load("memory", data=data, sig_dims=2, num_partitions=4 * threads)
        for line in sys.stdin:
            names = list(steps) if line.strip() == "all" else [line.strip()]
            began, used = time.perf_counter(), time.process_time()
            found = context.run_udf(dataset=dataset, udf=[steps[name] for name in names])
            seconds = (time.perf_counter() - began, time.process_time() - used)
            arrays = {}
            for name, result in zip(names, found, strict=True):
                key = "raw_shifts" if name == "com" else "intensity"
                arrays[name] = np.asarray(result[key].data)
            np.savez(answer, **arrays)
            sys.stdout.write(json.dumps(seconds) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4])
