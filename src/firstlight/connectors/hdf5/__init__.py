"""HDF5 files of any layout, and NeXus files that are written while data arrive."""
