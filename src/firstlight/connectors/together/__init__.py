"""Several sources as one scan."""
