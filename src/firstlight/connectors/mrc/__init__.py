"""MRC2014, the format of electron tomography."""
