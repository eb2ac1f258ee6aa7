"""Names for HDF5 objects in annotations.

They stand for `Any`: by h5py's own annotations each look-up may give a group, a dataset or a datatype, which would ask
for a check at every line where the layout of the file is known. It also keeps h5py from being imported for its types.
"""

from __future__ import annotations

from typing import Any, TypeAlias

File: TypeAlias = Any
Group: TypeAlias = Any
Dataset: TypeAlias = Any
