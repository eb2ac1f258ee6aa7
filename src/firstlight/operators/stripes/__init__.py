"""Steps that remove stripes from sinograms and rings from slices."""
