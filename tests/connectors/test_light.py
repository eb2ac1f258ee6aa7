"""Listing connectors must load neither HDF5 nor the kernels' compiler."""

import subprocess
import sys

MODULES = "dxfile.sink dxfile.source hdf5.sink hdf5.source memory.sink memory.source nxtomo.source phantom.source phantom.source4d"


def test_connectors_import_nothing_heavy():
    lines = [f"import firstlight.connectors.{module}" for module in MODULES.split()]
    code = "\n".join([*lines, "import sys", "print({'h5py', 'hdf5plugin', 'numba', 'scipy'} & set(sys.modules))"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
