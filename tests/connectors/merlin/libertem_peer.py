"""Runs in LiberTEM-live's own environment: its receiver.

python libertem_peer.py DATA_PORT CONTROL_PORT Y X OUT   sum of all frames, and of each
"""

import sys

import numpy as np
from libertem.udf.sum import SumUDF
from libertem.udf.sumsigudf import SumSigUDF
from libertem_live.api import LiveContext

if __name__ == "__main__":
    data, control, y, x, out = sys.argv[1:]
    with LiveContext() as context:
        connection = context.make_connection("merlin").open(
            api_host="127.0.0.1", api_port=int(control), data_host="127.0.0.1", data_port=int(data)
        )
        with connection:
            with connection.control() as merlin:
                merlin.cmd("STARTACQUISITION")
                merlin.cmd("SOFTTRIGGER")
            pending = connection.wait_for_acquisition(60.0)
            acquisition = context.make_acquisition(conn=connection, nav_shape=(int(y), int(x)), pending_aq=pending)
            total, each = context.run_udf(dataset=acquisition, udf=[SumUDF(), SumSigUDF()])
            np.savez(out, total=total["intensity"].data, each=each["intensity"].data)
