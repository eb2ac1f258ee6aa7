"""Steps that correct what the detector saw."""
