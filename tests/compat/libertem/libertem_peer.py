"""Runs in LiberTEM's own environment: its UDFs by its own engine, and by our plumbing.

python libertem_peer.py SOURCES OUT   (SOURCES: where our package is; OUT: results of both, .npz)
"""

import sys


def by_our_plumbing(udf, data):
    import numpy as np

    from firstlight.compat.libertem import instance
    from firstlight.compat.libertem.buffers import Shape
    from firstlight.compat.libertem.udf import Meta

    def working(ids, covered=None):
        meta = Meta(Shape(data.shape), data.dtype, data.dtype, ids=ids, covered=covered)
        return instance.at_work(udf, meta, {})

    flat, sig = data.reshape(-1, *data.shape[2:]), data.shape[2:]
    first = working(np.arange(len(flat)))
    arrays = {n: d.allocate(len(flat), sig) for n, d in first.declared.items() if d.use != "result_only"}
    for ids in np.array_split(np.random.default_rng(1).permutation(len(flat)), 4):
        one = working(ids)
        made = one.get_task_data() if instance.own(one, "get_task_data") else {}
        part = instance.process(one, flat[ids].astype(one.meta.input_dtype), made or {})
        instance.merge(first, arrays, part, ids)
    last = working(np.arange(len(flat)), np.ones(len(flat), bool))
    return {name: values for name, (_, values, _) in instance.results(last, arrays).items()}


def main(sources, out):
    sys.path.insert(0, sources)
    import numpy as np
    from libertem.api import Context
    from libertem.executor.inline import InlineJobExecutor
    from libertem.udf.com import CoMUDF
    from libertem.udf.logsum import LogsumUDF
    from libertem.udf.masks import ApplyMasksUDF
    from libertem.udf.stddev import StdDevUDF
    from libertem.udf.sum import SumUDF
    from libertem.udf.sumsigudf import SumSigUDF

    data = np.random.default_rng(3).integers(0, 500, (5, 6, 8, 9)).astype(np.uint16)
    udfs = {
        "sum": SumUDF(),
        "sumsig": SumSigUDF(),
        "std": StdDevUDF(),
        "logsum": LogsumUDF(),
        "masks": ApplyMasksUDF([lambda: np.ones((8, 9)), lambda: np.tri(8, 9)]),
        "com": CoMUDF.with_params(cy=3, cx=4),
        "turned": CoMUDF.with_params(cy=3, cx=4, r=3.5, scan_rotation=33, flip_y=True),
        "flat": CoMUDF.with_params(cy=3, cx=4, regression=1),
    }
    context = Context(executor=InlineJobExecutor())
    scan, found = context.load("memory", data=data, sig_dims=2), {"data": data}
    for name, udf in udfs.items():
        theirs, ours = context.run_udf(scan, udf), by_our_plumbing(udf, data)
        found |= {f"theirs/{name}/{buffer}": each.data for buffer, each in theirs.items()}
        found |= {f"ours/{name}/{buffer}": each for buffer, each in ours.items()}
    np.savez(out, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
