"""Ptychography: object and probe from diffraction patterns and positions, while they arrive and afterwards."""
