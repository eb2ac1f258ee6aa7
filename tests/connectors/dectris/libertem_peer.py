"""Runs in LiberTEM-live's own environment: its simulator, or its receiver.

python libertem_peer.py sim FRAMES        the mocked detector; prints its ports
python libertem_peer.py dump FILE         the detector that plays a recorded stream
python libertem_peer.py read API DATA FRAMES OUT   its receiver: sum of all frames, and of each
"""

import json
import sys
import threading


def simulate(**given):
    from libertem_live.detectors.dectris.sim import DectrisSim

    sim = DectrisSim(port=0, zmqport=0, verbose=False, **given)
    sim.start()
    sim.wait_for_listen()
    sys.stdout.write(json.dumps({"port": sim.port, "zmqport": sim.zmqport}) + "\n")
    sys.stdout.flush()
    threading.Event().wait()


def read(api, data, frames, out):
    import numpy as np
    from libertem.udf.sum import SumUDF
    from libertem.udf.sumsigudf import SumSigUDF
    from libertem_live.api import LiveContext

    with LiveContext() as context:
        connection = context.make_connection("dectris").open(
            api_host="127.0.0.1", api_port=int(api), data_host="127.0.0.1", data_port=int(data)
        )
        with connection:
            controller = connection.get_active_controller(trigger_mode="exte")
            acquisition = context.make_acquisition(conn=connection, controller=controller, nav_shape=(1, int(frames)))
            total, each = context.run_udf(dataset=acquisition, udf=[SumUDF(), SumSigUDF()])
            np.savez(out, total=total["intensity"].data, each=each["intensity"].data)


if __name__ == "__main__":
    verb, *rest = sys.argv[1:]
    if verb == "sim":
        simulate(num_mock_frames=int(rest[0]))
    elif verb == "dump":
        simulate(path=rest[0])
    else:
        read(*rest)
