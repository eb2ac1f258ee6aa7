"""LiberTEM-live's part of benchmarks/merlin.py: runs in its own environment, prints seconds and processor seconds of each acquisition.

python merlin_worker.py DATA_PORT CONTROL_PORT LINES POINTS ROUNDS
"""

import json
import sys
import time

import psutil
from libertem.udf.com import CoMUDF
from libertem_live.api import LiveContext


def main(data: int, control: int, lines: int, points: int, rounds: int) -> None:
    """The default executor: one worker for each core. The first acquisition warms it up."""
    found = []
    with LiveContext() as context:
        connection = context.make_connection("merlin").open(
            api_host="127.0.0.1", api_port=control, data_host="127.0.0.1", data_port=data
        )
        with connection:
            for _ in range(rounds + 1):
                began, used = time.perf_counter(), processor()
                with connection.control() as merlin:
                    merlin.cmd("STARTACQUISITION")
                    merlin.cmd("SOFTTRIGGER")
                pending = connection.wait_for_acquisition(60.0)
                acquisition = context.make_acquisition(conn=connection, nav_shape=(lines, points), pending_aq=pending)
                context.run_udf(dataset=acquisition, udf=CoMUDF.with_params())
                found.append((time.perf_counter() - began, processor() - used))
    sys.stdout.write(json.dumps(found[1:]) + "\n")


def processor() -> float:
    """Processor seconds of this process and those that it started."""
    own = psutil.Process()
    return sum(sum(each.cpu_times()[:2]) for each in (own, *own.children(recursive=True)))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
