"""NXtomo, the NeXus layout of tomography, and the looser files of facilities that hold the same."""
