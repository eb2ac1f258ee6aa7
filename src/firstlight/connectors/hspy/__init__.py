"""Files that HyperSpy opens (``.hspy``): HDF5 with one experiment."""
