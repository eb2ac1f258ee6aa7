"""Ptychography on arrays: exit waves, propagation, and the engines that fit an object and a probe to diffraction patterns.

Conventions (docs/explanations/conventions.md): ``exit wave = probe · window of the object``; detector waves have the zero
frequency at the corner ``[0, 0]``, and both transforms are unitary, so that ``Σ|exit wave|² = Σ|detector wave|²`` in
photons. Axes: object ``y x``; probe and exit waves ``mode v u``; amplitudes ``v u``. The corner of a window is its first
row and column on the object.

The same code runs on numpy and on CuPy arrays, in single and double precision: elementwise work on numpy arrays goes
through loops that numba compiled, on others through array expressions.
"""
