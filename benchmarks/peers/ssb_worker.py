"""The peer's part of benchmarks/ssb.py: the SSB_UDF of ptychography40 on LiberTEM, one thread; prints processor seconds.

python ssb_worker.py FRAMES.npy PARAMETERS ANSWER.npy
"""

import json
import sys
import time

import numpy as np
from libertem.api import Context
from libertem.common.container import MaskContainer
from ptychography40.reconstruction.ssb import SSB_UDF
from ptychography40.reconstruction.ssb.trotters import generate_masks


def main(file: str, parameters: str, answer: str) -> None:
    """The masks are made beforehand, as the peer advises for live data; the first pass warms up."""
    data, given = np.load(file), json.loads(parameters)
    masks = generate_masks(
        reconstruct_shape=data.shape[:2],
        mask_shape=data.shape[2:],
        dtype=np.float32,
        cutoff=1,
        method="subpix",
        **given,
    )
    container = MaskContainer(
        mask_factories=lambda: masks,
        dtype=masks.dtype,
        use_sparse="scipy.sparse.csr",
        count=masks.shape[0],
        backend="numpy",
    )
    udf = SSB_UDF(**given, mask_container=container)
    seconds = []
    with Context.make_with("inline") as context:
        dataset = context.load("memory", data=data, sig_dims=2, num_partitions=1)
        for _ in range(3):
            used = time.process_time()
            found = context.run_udf(dataset=dataset, udf=udf)
            seconds.append(time.process_time() - used)
    np.save(answer, np.asarray(found["phase"].data))
    sys.stdout.write(json.dumps({"seconds": min(seconds[1:]), "entries": int(masks.nnz)}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
