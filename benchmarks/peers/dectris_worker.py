"""LiberTEM-live's part of benchmarks/dectris.py: runs in its own environment, prints seconds for one series.

python dectris_worker.py API_PORT DATA_PORT FRAMES
"""

import json
import sys
import time

from libertem.udf.com import CoMUDF
from libertem_live.api import LiveContext


def main(api: int, data: int, frames: int) -> None:
    """The default executor: one worker for each core. A short series warms it up."""
    with LiveContext() as context:
        connection = context.make_connection("dectris").open(
            api_host="127.0.0.1", api_port=api, data_host="127.0.0.1", data_port=data
        )
        with connection:
            seconds = 0.0
            for count in (1024, frames):
                controller = connection.get_active_controller(trigger_mode="exte")
                began = time.perf_counter()
                acquisition = context.make_acquisition(
                    conn=connection, controller=controller, nav_shape=(count // 64, 64)
                )
                context.run_udf(dataset=acquisition, udf=CoMUDF.with_params())
                seconds = time.perf_counter() - began
    sys.stdout.write(json.dumps({"seconds": seconds}) + "\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
