"""Reconstruction beyond `fbp`: direct back-projection in any geometry, and iterative methods."""
