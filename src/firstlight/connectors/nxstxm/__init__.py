"""NXstxm: a beam focused to a spot, and the sample moved through it; with a rotation it is tomography."""
