"""Simulated scans of known truth: a tomography phantom and a 4-D scan of a phase object."""
