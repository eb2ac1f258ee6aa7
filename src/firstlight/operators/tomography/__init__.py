"""Steps from projections to slices."""
