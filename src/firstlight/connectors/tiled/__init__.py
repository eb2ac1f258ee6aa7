"""Results in a Tiled catalogue."""
